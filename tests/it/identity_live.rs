//! Certificates, revocation lists, identities and tokens change while a collector runs: what is good is taken over
//! without dropping a stream, what is bad changes nothing, and what was revoked ends also on a stream that runs.

use std::process::Command;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use usaged::grpc::client::{Channel, ClientTls, Code, Request, Status, Streaming, reason};
use usaged::grpc::proto::admin::GetStatusRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::drain::PullRequest;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::{SubmitRequest, SubmitResponse, SubmitStreamResponse};
use usaged::identity::TokenText;

use crate::fault_daemon::{Daemon, until};
use crate::identity_world::{Ca, IDENTITIES, Names, World, channel};

pub fn refusal<T>(result: Result<T, Status>) -> (Code, String) {
    match result {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status).unwrap_or_default()),
    }
}

pub fn ended() -> (Code, String) {
    (Code::Unauthenticated, "CREDENTIAL_ENDED".to_owned())
}

pub async fn status(channel: &Channel) -> (Code, String) {
    refusal(AdminServiceClient::new(channel.clone()).get_status(GetStatusRequest {}).await)
}

/// A stream of batches that is open.
pub struct Stream {
    batches: mpsc::Sender<SubmitRequest>,
    answers: Streaming<SubmitStreamResponse>,
}

fn batch() -> SubmitRequest {
    let batch_id = uuid::Uuid::new_v4().to_string();
    SubmitRequest { batch_id, ..crate::grpc_collector::batch(1, "esx-1.example.com") }
}

impl Stream {
    pub async fn open(channel: &Channel) -> Self {
        Self::try_open(channel).await.unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// A stream whose first batch was answered, or how it was refused.
    pub async fn try_open(channel: &Channel) -> Result<Self, (Code, String)> {
        Self::try_open_for(channel, None).await
    }

    /// The same for a customer that is named, as a relay has to.
    pub async fn try_open_for(channel: &Channel, customer: Option<&str>) -> Result<Self, (Code, String)> {
        let (batches, sent) = mpsc::channel(1);
        batches.send(batch()).await.unwrap();
        let mut ingest = IngestServiceClient::new(channel.clone());
        let mut request = Request::new(ReceiverStream::new(sent));
        if let Some(customer) = customer {
            request.metadata_mut().insert("usaged-customer", customer.parse().unwrap());
        }
        let opened = ingest.submit_stream(request).await;
        let answers = opened.map_err(|status| refusal::<()>(Err(status)))?.into_inner();
        let mut stream = Self { batches, answers };
        let first = stream.answer().await;
        if first.0 == Code::Ok { Ok(stream) } else { Err(first) }
    }

    pub async fn answer(&mut self) -> (Code, String) {
        refusal(self.answers.message().await.map(|answer| answer.expect("the stream has ended")))
    }

    /// Sends one more batch; what it comes to.
    pub async fn goes_on(&mut self) -> (Code, String) {
        // It may have been ended before the batch goes out.
        let _ = self.batches.send(batch()).await;
        self.answer().await
    }
}

pub fn loads(daemon: &Daemon, result: &str) -> u64 {
    let page = daemon.page("/metrics");
    let line = format!("usaged_identity_loads_total{{result=\"{result}\"}} ");
    page.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |n| n.parse().unwrap())
}

/// Whether the collector tells that the files as they are now were refused.
pub fn are_refused(daemon: &Daemon) -> bool {
    let page = daemon.page("/metrics");
    let gauge = page.lines().find_map(|text| text.strip_prefix("usaged_identities_refused "));
    gauge.unwrap() == "1"
}

pub fn ok() -> (Code, String) {
    (Code::Ok, String::new())
}

/// Connects anew until a call comes to `wanted`. What the files say is in force when it is seen to be: they are put
/// there one after the other, and the collector may well have read some of them before the last was.
async fn until_it_is(what: &str, daemon: &Daemon, tls: &ClientTls, wanted: &(Code, String)) {
    let begun = std::time::Instant::now();
    loop {
        let came = match usaged::grpc::client::connect_with(&daemon.grpc, tls).await {
            Ok(connected) => status(&connected).await,
            Err(_) => (Code::Unavailable, String::new()),
        };
        if came == *wanted {
            return;
        }
        assert!(begun.elapsed() < crate::fault_daemon::SOON, "{what}: {came:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_cas_and_identities_are_swapped_without_dropping_a_stream() {
    let world = World::new();
    let daemon = world.place().start();
    let mut stream = Stream::open(&channel(&daemon.grpc, &world.with(&world.sender("acme"))).await).await;

    // Another certificate from another CA, for connections from now on; clients of both CAs.
    let other = Ca::new("other CA");
    let server = other.server();
    world.put("pki/server.key", &server.key);
    world.put("pki/server.pem", &server.certificate);
    world.put("pki/ca.pem", &format!("{}{}", world.ca.pem, other.pem));
    world.put("pki/ca.crl", &format!("{}{}", world.ca.revokes(&[], 30), other.revokes(&[], 30)));
    daemon.signal(Signal::HUP);
    let names = Names { uri: Some("spiffe://vendor.example/operator"), ..Names::default() };
    let by_other = ClientTls { ca: Some(other.pem.clone().into_bytes()), ..world.with(&other.client(names)) };
    until_it_is("both CAs and the new certificate are taken over", &daemon, &by_other, &ok()).await;
    let by_old_ca = usaged::grpc::client::connect_with(&daemon.grpc, &world.tls()).await;
    assert!(by_old_ca.is_err(), "a new connection sees the new certificate, which the old CA did not sign");
    assert_eq!(stream.goes_on().await, ok(), "the stream that was open goes on");

    assert!(!are_refused(&daemon));

    // A mistake anywhere, and everything stays as it was.
    let said_before = world.place().said().len();
    let said = || world.place().said().split_off(said_before);
    world.put(
        "pki/identities.toml",
        &format!("{IDENTITIES}\n[[identity]]\nname = \"all\"\nrole = \"operator\"\n"),
    );
    world.put("pki/server.pem", &world.ca.server().certificate);
    daemon.signal(Signal::HUP);
    until("both mistakes are refused", || {
        let said = said();
        said.contains("it would be everybody") && said.contains("does not match the certificate")
    });
    assert_eq!(status(&channel(&daemon.grpc, &by_other).await).await, ok());
    assert_eq!(stream.goes_on().await, ok());
    until("it is told that the files are refused", || are_refused(&daemon));

    // Without a signal: the files are watched. The sender's rule is gone, and with it the stream. Until the last file is
    // there, there is a mistake in the others, so that nothing else can be loaded before.
    let (before, only) =
        (loads(&daemon, "loaded"), IDENTITIES.replace("vendor.example/customer", "vendor.example/c"));
    world.put("pki/server.pem", &server.certificate);
    world.put("pki/identities.toml", &only);
    until("the change is noticed", || loads(&daemon, "loaded") > before);
    until("nothing is refused any more", || !are_refused(&daemon));
    assert_eq!(stream.goes_on().await, (Code::PermissionDenied, "IDENTITY_UNKNOWN".to_owned()));
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_ends_a_stream_that_runs_and_opens_no_other() {
    let world = World::new();
    let daemon = world.place().start();
    let names =
        Names { uri: Some("spiffe://vendor.example/customer/acme"), serial: 4711, ..Names::default() };
    let revoked = world.with(&world.ca.client(names));
    let other = world.with(&world.sender("acme"));
    let mut stream = Stream::open(&channel(&daemon.grpc, &revoked).await).await;
    let mut quiet = Stream::open(&channel(&daemon.grpc, &revoked).await).await;
    let mut goes_on = Stream::open(&channel(&daemon.grpc, &other).await).await;

    let before = loads(&daemon, "loaded");
    world.put("pki/ca.crl", &world.ca.revokes(&[4711], 30));
    until("the revocation list is taken over", || loads(&daemon, "loaded") > before);
    assert_eq!(stream.goes_on().await, ended());
    assert_eq!(quiet.answer().await, ended(), "also where nothing is said, a few seconds later");
    assert_eq!(goes_on.goes_on().await, ok());
    // A list of another CA is not taken over: nobody's state would be known, and everybody locked out.
    let refused = loads(&daemon, "refused");
    world.put("pki/ca.crl", &Ca::new("other CA").revokes(&[], 30));
    until("a list of another CA is refused", || loads(&daemon, "refused") > refused);
    assert_eq!(goes_on.goes_on().await, ok());
    assert_eq!(status(&channel(&daemon.grpc, &world.with(&world.operator())).await).await, ok());
    // TLS 1.3 tells the client after its side of the handshake: by the connection or by the first call.
    match usaged::grpc::client::connect_with(&daemon.grpc, &revoked).await {
        Err(_) => {}
        Ok(connected) => assert_ne!(status(&connected).await.0, Code::Ok),
    }
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_genuine_certificate_of_tls_1_3_opens_a_connection() {
    let world = World::new();
    let daemon = world.place().start();
    let foreign = Ca::new("test CA");
    let operator = Names { uri: Some("spiffe://vendor.example/operator"), ..Names::default() };
    let over = Names { is_over: true, ..operator };
    for pair in [foreign.client(operator), world.ca.client(over)] {
        if let Ok(connected) = usaged::grpc::client::connect_with(&daemon.grpc, &world.with(&pair)).await {
            assert_ne!(status(&connected).await.0, Code::Ok);
        }
    }
    let clear = usaged::grpc::client::connect(&daemon.grpc).await;
    if let Ok(connected) = clear {
        assert_ne!(status(&connected).await.0, Code::Ok, "in clear");
    }
    // Python's own TLS, which knows the older ones.
    let port = daemon.grpc.rsplit(':').next().unwrap();
    let speak = |version: &str| {
        let program = format!(
            "import socket, ssl\nc = ssl.create_default_context(cafile={:?})\nc.set_alpn_protocols(['h2'])\n\
             c.minimum_version = c.maximum_version = ssl.TLSVersion.{version}\n\
             s = c.wrap_socket(socket.create_connection(('127.0.0.1', {port})), server_hostname='localhost')\n\
             print(s.version(), s.selected_alpn_protocol())",
            world.path("pki/ca.pem").display().to_string()
        );
        let output = Command::new("python3").args(["-c", &program]).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(speak("TLSv1_3").0, "TLSv1.3 h2\n");
    let (said, why) = speak("TLSv1_2");
    assert!(said.is_empty() && why.contains("SSLError"), "{said} {why}");
    assert_eq!(status(&channel(&daemon.grpc, &world.with(&world.operator())).await).await, ok());
    let page = daemon.page("/metrics");
    assert!(page.contains("usaged_connections_refused_total{reason=\"tls\"}"), "{page}");
    for file in ["certificate", "client_ca", "client_crl"] {
        let line = format!("usaged_certificate_expiry_seconds{{file=\"{file}\"}} ");
        let left: f64 = page.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap();
        assert!(left > 20.0 * 86_400.0 && left < 400.0 * 86_400.0, "{file} {left}");
    }
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_runs_out_or_is_revoked_ends_what_it_began() {
    let world = World::new();
    let daemon = world.place().start();
    let run = |args: &[&str]| world.done(&daemon.grpc, args).out.trim().to_owned();
    run(&["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t"]);
    run(&["subscription", "create", "improve-job", "--purpose", "improve", "--recipient", "r"]);
    // Who changed it is the identity, whatever the caller says of itself.
    let history = run(&["participation", "history", "acme", "--json"]);
    assert!(history.contains("ops (tester)"), "{history}");
    let sender = ["token", "issue", "--name", "t", "--role", "sender", "--customer", "acme"];
    let with = |text: String| ClientTls { token: Some(text), ..world.tls() };
    // It begins before its token ends, however slow the machine is.
    let mut runs_out = None;
    for expires in ["8s", "30s", "120s"] {
        let tls = with(run(&[&sender[..], &["--expires-in", expires]].concat()));
        let opened = Stream::try_open(&channel(&daemon.grpc, &tls).await).await;
        if let Ok(stream) = opened {
            runs_out = Some(stream);
            break;
        }
        assert_eq!(opened.err(), Some(ended()));
    }
    let mut runs_out = runs_out.expect("a token that holds for two minutes");

    // A pull waits; its token is revoked; then there is something to receive.
    let drainer =
        ["token", "issue", "--name", "d", "--role", "drainer", "--subscription", "improve-job", "--json"];
    let drainer: serde_json::Value = serde_json::from_str(&run(&drainer)).unwrap();
    let connected = channel(&daemon.grpc, &with(drainer["text"].as_str().unwrap().to_owned())).await;
    let mut drain = DrainServiceClient::new(connected);
    let request = PullRequest {
        subscription: "improve-job".into(),
        max_wait: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
        ..PullRequest::default()
    };
    // It drains what the stream brought, so that the next pull waits.
    let first = drain.pull(request.clone()).await.unwrap().into_inner().batches;
    assert_eq!(first.len(), 1);
    let pulling = tokio::spawn({
        let mut drain = drain.clone();
        async move { drain.pull(request).await }
    });
    run(&["token", "revoke", drainer["token"]["id"].as_str().unwrap()]);
    let acme = channel(&daemon.grpc, &world.with(&world.sender("acme"))).await;
    IngestServiceClient::new(acme).submit(batch()).await.unwrap();
    assert_eq!(refusal(pulling.await.unwrap()), ended(), "what came after the revocation is not given out");

    assert_eq!(runs_out.answer().await, ended(), "the stream ends by itself when its token has run out");

    // What names the customer goes with it.
    run(&["token", "issue", "--name", "u", "--role", "sender", "--customer", "acme"]);
    let named = |bytes: &[u8]| bytes.windows(14).any(|part| part == b"sender\":\"acme\"");
    assert!(named(&all_bytes(&world.path("data"))), "a token of a sender names its customer");
    run(&["erase", "--customer", "acme", "--everything", "--reference", "t"]);
    assert!(!named(&all_bytes(&world.path("data"))), "and is in no file once the customer is erased");
    assert_eq!(daemon.end(), 0);
}

/// What comes slowly comes under a credential that held when the call began, and has to hold when it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_whose_token_is_revoked_while_its_body_is_on_its_way_is_refused() {
    let world = World::new();
    let daemon = world.place().with(&["--set", "grpc.request_deadline=60s"]).start();
    let run = |args: &[&str]| world.done(&daemon.grpc, args).out.trim().to_owned();
    run(&["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t"]);
    let issued = run(&["token", "issue", "--name", "t", "--role", "sender", "--customer", "acme", "--json"]);
    let issued: serde_json::Value = serde_json::from_str(&issued).unwrap();
    let with = ClientTls { token: Some(issued["text"].as_str().unwrap().to_owned()), ..world.tls() };
    let connected = channel(&daemon.grpc, &with).await;
    let (first, again) = (batch(), batch());
    // The message is there; the end of the request is not.
    let (send, body) = mpsc::channel(1);
    let slow = tokio::spawn({
        let mut calls = tonic::client::Grpc::new(connected.clone());
        async move {
            calls.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static("/usaged.ingest.v1.IngestService/Submit");
            let codec = tonic_prost::ProstCodec::<SubmitRequest, SubmitResponse>::default();
            calls.client_streaming(Request::new(ReceiverStream::new(body)), path, codec).await
        }
    });
    send.send(first).await.unwrap();
    tokio::task::block_in_place(|| {
        until("the call is let in", || daemon.page("/metrics").contains("usaged_requests_in_flight 1"));
    });
    run(&["token", "revoke", issued["token"]["id"].as_str().unwrap()]);
    drop(send);
    assert_eq!(refusal(slow.await.unwrap()), ended(), "the end comes after the revocation");
    let again = IngestServiceClient::new(connected).submit(again).await;
    assert_eq!(refusal(again), ended());
    let acknowledged = daemon.page("/metrics");
    assert!(!acknowledged.contains("code=\"OK\",method=\"Submit\""), "nothing was taken");
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_for_everybody_and_reflection_for_those_who_are_known() {
    let world = World::new();
    let daemon = world.place().start();
    let nobody = channel(&daemon.grpc, &world.tls()).await;
    let auditor = world.ca.client(Names { cn: Some("auditor"), ..Names::default() });
    let known = channel(&daemon.grpc, &world.with(&auditor)).await;
    let check = HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(nobody.clone()).check(check).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);
    // Whoever asks needs few bytes for it, and gets no more.
    let large = HealthCheckRequest { service: "x".repeat(2000) };
    let refused = HealthClient::new(nobody.clone()).check(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    let reflection = |channel: Channel| async move {
        let mut client = ServerReflectionClient::new(channel);
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..ServerReflectionRequest::default()
        };
        match client.server_reflection_info(tokio_stream::iter([request])).await {
            Ok(answers) => refusal(answers.into_inner().message().await),
            Err(status) => refusal::<()>(Err(status)),
        }
    };
    assert_eq!(reflection(nobody).await, (Code::Unauthenticated, "CREDENTIAL_MISSING".to_owned()));
    assert_eq!(reflection(known).await, ok());
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_come_to_an_end_is_given_up() {
    let world = World::new();
    let daemon = world.place().with(&["--set", "grpc.handshake_deadline=1s"]).start();
    // Nothing at all, and half of a TLS record.
    let mut held = Vec::new();
    for begun in [&b""[..], &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]] {
        let mut stream = tokio::net::TcpStream::connect(&daemon.grpc).await.unwrap();
        stream.write_all(begun).await.unwrap();
        held.push(stream);
    }
    for mut stream in held {
        let mut read = [0; 64];
        let end = tokio::time::timeout(crate::fault_daemon::SOON, stream.read(&mut read)).await;
        assert!(matches!(end.expect("the collector gives up"), Ok(0) | Err(_)));
    }
    until("both are counted", || {
        daemon.page("/metrics").contains("usaged_connections_refused_total{reason=\"tls_slow\"} 2")
    });
    // On a slow machine a second may be too short also for one that speaks: then it tries again.
    until_it_is("one that speaks is let in", &daemon, &world.with(&world.operator()), &ok()).await;
    assert_eq!(daemon.end(), 0);
}

// covers: B1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_say_nothing_keep_nobody_from_a_handshake() {
    let world = World::new();
    let set = ["--set", "grpc.handshake_deadline=60s", "--set", "grpc.max_connections_per_peer=200"];
    let daemon = world.place().with(&set).start();
    // More than there are turns, and each may be silent for a minute.
    let mut silent = Vec::new();
    for _ in 0..130 {
        silent.push(tokio::net::TcpStream::connect(&daemon.grpc).await.unwrap());
    }
    let called = async { status(&channel(&daemon.grpc, &world.with(&world.operator())).await).await };
    let called = tokio::time::timeout(std::time::Duration::from_secs(40), called).await;
    assert_eq!(called.expect("somebody who speaks waits for nobody who is silent"), ok());
    drop(silent);
    assert_eq!(daemon.end(), 0);
}

/// Every file below `dir`, read.
fn all_bytes(dir: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(all_bytes(&path));
        } else {
            all.extend(std::fs::read(path).unwrap_or_default());
        }
    }
    all
}

// covers: P1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_issued_used_listed_and_revoked_and_is_in_no_file() {
    let world = World::new();
    let daemon = world.place().start();
    let run = |args: &[&str]| world.run(&daemon.grpc, args);
    let file = world.path("acme.token").display().to_string();
    let issue =
        ["token", "issue", "--name", "gate", "--role", "sender", "--customer", "acme", "--out", &file];
    let issued = run(&issue);
    assert_eq!(issued.code, 0, "{}", issued.err);
    let text = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(text.starts_with("usaged_") && !issued.out.contains(&text));
    assert_eq!(run(&issue).code, 1, "it does not write over a token");

    let tls = ClientTls { token: Some(text.clone()), ..world.tls() };
    let mut stream = Stream::open(&channel(&daemon.grpc, &tls).await).await;
    let listed = run(&["token", "list", "--json"]).json();
    let token = &listed["tokens"][0];
    assert_eq!((&token["name"], &token["role"]), (&"gate".into(), &"sender".into()));
    assert_eq!((&token["issued_by"], &token["revoke_time"]), (&"ops".into(), &serde_json::Value::Null));
    assert!(token["last_use_time"].is_string(), "{token}");

    let changed = text.replace(char::is_numeric, "v");
    let wrong = ClientTls { token: Some(changed.clone()), ..world.tls() };
    let sent = IngestServiceClient::new(channel(&daemon.grpc, &wrong).await).submit(batch()).await;
    let status = sent.unwrap_err();
    assert_eq!(reason(&status).unwrap(), "CREDENTIAL_INVALID");
    assert!(!format!("{status:?}").contains(&changed[10..]), "a credential is not quoted");

    // Well formed, of the same id, and with another secret: the id is no proof.
    let (known, _) = TokenText::read(text.as_bytes()).unwrap();
    let forged = TokenText::new(known, &zeroize::Zeroizing::new([7; 32])).reveal().to_owned();
    assert!(TokenText::read(forged.as_bytes()).is_some() && forged != text);
    let forged = ClientTls { token: Some(forged), ..world.tls() };
    let sent = IngestServiceClient::new(channel(&daemon.grpc, &forged).await).submit(batch()).await;
    assert_eq!(refusal(sent), (Code::Unauthenticated, "CREDENTIAL_INVALID".to_owned()));

    let id = token["id"].as_str().unwrap().to_owned();
    assert_eq!(run(&["token", "revoke", &id]).code, 0);
    assert_eq!(stream.goes_on().await, ended());
    let mut again = IngestServiceClient::new(channel(&daemon.grpc, &tls).await);
    assert_eq!(refusal(again.submit(batch()).await), ended());
    assert_eq!(run(&["token", "revoke", "0000000000000000"]).code, 5);
    assert_eq!(daemon.end(), 0);

    // It stays revoked, and neither data nor log nor ledger have it.
    let daemon = world.place().start();
    let mut again = IngestServiceClient::new(channel(&daemon.grpc, &tls).await);
    assert_eq!(refusal(again.submit(batch()).await), ended());
    assert_eq!(daemon.end(), 0);
    let bytes = all_bytes(&world.path("data"));
    let log = std::fs::read(world.path("log")).unwrap();
    for part in [&text[..], &text[7..], &text[20..60], &changed[7..]] {
        let is_in = |bytes: &[u8]| bytes.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(!is_in(&bytes) && !is_in(&log), "a token was stored or logged");
    }
    assert!(bytes.windows(id.len()).count() > 1000, "there was something to search");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_names_another_customer_is_refused_and_that_is_on_the_ledger() {
    let world = World::new();
    let daemon = world.place().with(&["--set", "ledger.totals_every=1s"]).start();
    let connected = channel(&daemon.grpc, &world.with(&world.sender("acme"))).await;
    let named = |customer: &'static str| {
        let mut request = Request::new(batch());
        request.metadata_mut().insert("usaged-customer", customer.parse().unwrap());
        request
    };
    let mut ingest = IngestServiceClient::new(connected);
    let refused = refusal(ingest.submit(named("globex")).await);
    assert_eq!(refused, (Code::PermissionDenied, "CUSTOMER_NOT_PERMITTED".to_owned()));
    assert_eq!(refusal(ingest.submit(named("acme")).await), ok());
    let ledger = || {
        let flags = world.flags(&world.ca.client(Names { cn: Some("auditor"), ..Names::default() }));
        let args = ["ledger", "tail", "--json", "--server", &daemon.grpc];
        crate::cli_run::usaged(args.into_iter().chain(flags.iter().map(String::as_str))).out
    };
    until("the refusal is on the ledger", || ledger().contains("other_customer"));
    let said = ledger();
    assert!(!said.contains("globex"), "a name that a sender made up is not: {said}");
    assert_eq!(daemon.end(), 0);
}

/// A stream belongs to whom it was opened for. When its identity becomes somebody else's, it ends: what comes on it is
/// not stored as the customer's that it was, nor as the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_identity_becomes_another_customer_s_ends() {
    let world = World::new();
    let gate = |customer: &str| {
        let table =
            format!("name = \"gate\"\nrole = \"sender\"\ncustomer = \"{customer}\"\nsubject = [\"CN=gate\"]");
        format!("{IDENTITIES}\n[[identity]]\n{table}\n")
    };
    world.put("pki/identities.toml", &gate("acme"));
    let daemon = world.place().start();
    let gateway = world.with(&world.ca.client(Names { cn: Some("gate"), ..Names::default() }));
    let connected = channel(&daemon.grpc, &gateway).await;
    let mut stream = Stream::open(&connected).await;
    let mut quiet = Stream::open(&connected).await;
    let before = loads(&daemon, "loaded");
    world.put("pki/identities.toml", &gate("globex"));
    until("the change is taken over", || loads(&daemon, "loaded") > before);
    let changed = (Code::PermissionDenied, "IDENTITY_UNKNOWN".to_owned());
    assert_eq!(stream.goes_on().await, changed);
    assert_eq!(quiet.answer().await, changed, "also where nothing is said, a few seconds later");
    let mut anew = Stream::open(&connected).await;
    assert_eq!(anew.goes_on().await, ok(), "who it is now is let in anew");
    assert_eq!(daemon.end(), 0);
}
