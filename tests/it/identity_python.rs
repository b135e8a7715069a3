//! A client that is not Rust, over mutual TLS with a token: Python's grpcio, with its own TLS.

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::identity_world::World;
use crate::python_client::{make_stubs, python};

const PROGRAM: &str = r#"
import json, sys, uuid
import grpc
from google.rpc import error_details_pb2, status_pb2

address, stubs, ca, certificate, key, token = sys.argv[1:]
sys.path.insert(0, stubs)
from usaged.ingest.v1 import ingest_pb2 as pb, ingest_pb2_grpc as rpc

read = lambda path: open(path, "rb").read()
tls = grpc.ssl_channel_credentials(read(ca), read(key), read(certificate))
bearer = grpc.access_token_call_credentials(read(token).decode().strip())
both = grpc.composite_channel_credentials(tls, bearer)
options = [("grpc.ssl_target_name_override", "localhost")]

def submit(credentials, customer=None):
    request = pb.SubmitRequest(batch_id=str(uuid.uuid4()), product="vcenter")
    request.events.add(name="vm.inventory").fields.add(name="vcpus", value=pb.Value(int_value=8))
    metadata = [("usaged-customer", customer)] if customer else []
    with grpc.secure_channel(address, credentials, options) as channel:
        try:
            receipt = rpc.IngestServiceStub(channel).Submit(request, metadata=metadata, timeout=20)
            return pb.SubmitResponse.State.Name(receipt.state)
        except grpc.RpcError as error:
            info = error_details_pb2.ErrorInfo()
            packed = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
            for detail in status_pb2.Status.FromString(packed).details:
                if detail.Unpack(info):
                    return [error.code().name, info.reason, info.domain]
            return [error.code().name, error.details()]

print(json.dumps({
    "certificate": submit(tls),
    "certificate as another": submit(tls, "globex"),
    "token": submit(both),
    "token as itself": submit(both, "globex"),
    "token as the certificate": submit(both, "acme"),
    "neither": submit(grpc.ssl_channel_credentials(read(ca))),
}))
"#;

#[test]
fn a_python_client_sends_over_mutual_tls_with_a_token() {
    let world = World::new();
    let daemon = world.place().start();
    let token = world.path("t.token").display().to_string();
    let run = |args: &[&str]| world.done(&daemon.grpc, args);
    run(&["token", "issue", "--name", "t", "--role", "sender", "--customer", "globex", "--out", &token]);
    run(&["participation", "set", "globex", "--level", "ceip=standard", "--reason", "t"]);
    let sender = world.sender("acme");
    world.put("acme.pem", &sender.certificate);
    world.put("acme.key", &sender.key);

    let (python, stubs) = (python(), tempfile::tempdir().unwrap());
    make_stubs(&python, stubs.path());
    let file = |name: &str| world.path(name).display().to_string();
    let mut client = Command::new(python);
    client.args(["-B", "-c", PROGRAM, &daemon.grpc]).arg(stubs.path());
    client.args([file("pki/ca.pem"), file("acme.pem"), file("acme.key"), token]);
    let output = client.output().unwrap();
    let said: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let other = json!(["PERMISSION_DENIED", "CUSTOMER_NOT_PERMITTED", "usaged"]);
    // acme takes part in nothing; globex does.
    assert_eq!(said["certificate"], "DISABLED");
    assert_eq!(said["certificate as another"], other);
    assert_eq!((&said["token"], &said["token as itself"]), (&json!("STORED"), &json!("STORED")), "{said}");
    assert_eq!(said["token as the certificate"], other);
    assert_eq!(said["neither"], json!(["UNAUTHENTICATED", "CREDENTIAL_MISSING", "usaged"]));
    assert_eq!(daemon.end(), 0);
}
