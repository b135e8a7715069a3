//! Every identity × every customer × every method, against a real collector under TLS: what the table here does not
//! allow is refused. The table is written by hand and knows nothing of the collector's own.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use usaged::grpc::CUSTOMER_KEY;
use usaged::grpc::client::{Channel, ClientTls, Code, Request, Status, reason};
use usaged::grpc::proto::DESCRIPTORS;

use crate::identity_provider::Key;
use crate::identity_world::{IDENTITIES, Names, World, channel};

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(input.copy_to_bytes(input.remaining())))
    }
}

/// A text as the first field of a message.
fn first_field(text: &str) -> Bytes {
    let mut bytes = vec![0x0a, u8::try_from(text.len()).unwrap()];
    bytes.extend_from_slice(text.as_bytes());
    bytes.into()
}

/// What a call comes to: the code and the reason; OK if it was answered. A connection that made too many guesses is
/// asked to go away, and the client opens another: what was lost on the way is called again.
async fn call(channel: &Channel, path: &str, customer: Option<&str>, message: Bytes) -> (Code, String) {
    for _ in 0..20 {
        let called = call_once(channel, path, customer, message.clone()).await;
        if called.0 == Code::Ok || !called.1.is_empty() {
            return called;
        }
    }
    panic!("{path} is not answered");
}

async fn call_once(channel: &Channel, path: &str, customer: Option<&str>, message: Bytes) -> (Code, String) {
    let mut grpc = Grpc::new(channel.clone());
    if grpc.ready().await.is_err() {
        return (Code::Unavailable, String::new());
    }
    let mut request = Request::new(tokio_stream::iter([message]));
    if let Some(customer) = customer {
        request.metadata_mut().insert(CUSTOMER_KEY, MetadataValue::try_from(customer).unwrap());
    }
    let path: PathAndQuery = path.parse().unwrap();
    let called = async {
        let mut answers = grpc.streaming(request, path, Plain).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<(), Status>(())
    };
    match called.await {
        Ok(()) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status).unwrap_or_default()),
    }
}

/// The methods of the API, from its descriptors.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut all = Vec::new();
    for file in set.file.iter().filter(|file| !file.package().starts_with("google.")) {
        for service in &file.service {
            let name = |method: &prost_types::MethodDescriptorProto| {
                format!("/{}.{}/{}", file.package(), service.name(), method.name())
            };
            all.extend(service.method.iter().map(name));
        }
    }
    all
}

const SENDERS: &str = "sender relay";
const DRAINERS: &str = "drainer";
const OPERATORS: &str = "operator";
const READERS: &str = "operator auditor";

/// Who may call each method. A method that is not here makes the test fail: whoever adds one says who may call it.
const MAY: &[(&str, &[&str], &str)] = &[
    ("ingest.v1.IngestService", &["Submit", "SubmitStream"], SENDERS),
    ("ingest.v1.IngestService", &["GetCollectionPlan"], "sender relay operator"),
    ("drain.v1.DrainService", &["Pull", "StreamingPull", "Acknowledge", "ModifyAckDeadline"], DRAINERS),
    ("drain.v1.DrainService", &["GetSubscription", "ListDeadLetters"], "drainer operator"),
    (
        "drain.v1.DrainService",
        &["CreateSubscription", "ListSubscriptions", "DeleteSubscription", "Seek", "ReplayDeadLetters"],
        OPERATORS,
    ),
    (
        "admin.v1.AdminService",
        &[
            "SetParticipation",
            "GetParticipation",
            "ListParticipations",
            "ImportParticipations",
            "ListParticipationChanges",
            "AcceptDictionary",
            "CountParticipations",
            "ReloadPolicy",
            "ExplainEvent",
            "ExplainBatch",
            "ListStoredBatches",
            "GetStatus",
        ],
        OPERATORS,
    ),
    ("admin.v1.AdminService", &["ReadPolicy"], READERS),
    ("admin.v1.LedgerService", &["GetLedgerCheckpoint", "ListLedgerEntries", "ExportLedger"], READERS),
    (
        "admin.v1.KeyService",
        &["GetKeyStatus", "RotateRootKey", "LookUpPseudonym", "CreateBridge", "ListBridges", "EraseBridge"],
        OPERATORS,
    ),
    ("admin.v1.ErasureService", &["Erase", "CountErasure", "GetErasure", "ListErasures"], OPERATORS),
    ("admin.v1.BindingService", &["PreviewBinding", "CountBinding", "GetBinding"], OPERATORS),
    ("admin.v1.StoreService", &["Backup"], OPERATORS),
    ("admin.v1.TokenService", &["IssueToken", "ListTokens", "RevokeToken"], OPERATORS),
];

/// The methods that name a subscription in the first field of their request.
const OF_SUBSCRIPTION: &[&str] = &[
    "Pull",
    "StreamingPull",
    "Acknowledge",
    "ModifyAckDeadline",
    "GetSubscription",
    "ListDeadLetters",
    "DeleteSubscription",
    "Seek",
    "ReplayDeadLetters",
];

fn expected() -> BTreeMap<String, &'static str> {
    let mut all = BTreeMap::new();
    for (service, methods, roles) in MAY {
        for method in *methods {
            assert!(
                all.insert(format!("/usaged.{service}/{method}"), *roles).is_none(),
                "{method} is there twice"
            );
        }
    }
    all
}

/// A caller of the matrix.
struct Caller {
    name: &'static str,
    /// Its role; empty for one that is nobody.
    role: &'static str,
    /// The customers that it may act for; of an operator any.
    customers: &'static [&'static str],
    channel: Channel,
}

const ISSUER: &str = "https://id.example";

/// Identities that tokens prove: of a provider, by its claims, and of the file, by a hash. The secret of the latter goes to
/// its holder.
fn world_with_tokens(key: &Key) -> (World, String) {
    let world = World::new();
    let made = [
        "token",
        "issue",
        "--offline",
        "--name",
        "hashed",
        "--role",
        "drainer",
        "--subscription",
        "improve-job",
        "--json",
    ];
    let made = crate::cli_run::usaged(made).json();
    let claims = "[[identity]]\nname = \"sso\"\nrole = \"relay\"\ncustomers = [\"globex\", \"initech\"]\n\
                  claims = { groups = \"relays\" }\n";
    let hashed = made["identity"].as_str().unwrap();
    world.put("pki/identities.toml", &format!("{IDENTITIES}\n{claims}\n{hashed}\n"));
    world.put("pki/jwks.json", &key.set());
    let file = world.path("pki/jwks.json").display().to_string();
    let jwt = format!(
        "[jwt]\nissuer = {ISSUER:?}\naudience = [\"usaged\"]\nalgorithms = [\"ES256\"]\njwks_file = {file:?}\n"
    );
    world.put("usaged.toml", &format!("{}{jwt}", world.configuration()));
    (world, made["text"].as_str().unwrap().to_owned())
}

async fn callers(world: &World, address: &str, (key, hashed): (&Key, String)) -> Vec<Caller> {
    let client = |names: Names<'_>| world.with(&world.ca.client(names));
    let token = |args: &[&str]| {
        let ended = world.done(address, &[&["token", "issue", "--name", "t"], args].concat());
        ClientTls { token: Some(ended.out.trim().to_owned()), ..world.tls() }
    };
    let relay = Names { dns: Some("relay.vendor.example"), ..Names::default() };
    let drainer = Names { cn: Some("improve-job"), ..Names::default() };
    let auditor = Names { cn: Some("auditor"), ..Names::default() };
    let stranger = Names { cn: Some("stranger"), ..Names::default() };
    let both = ClientTls { token: token(&["--role", "auditor"]).token, ..world.with(&world.operator()) };
    let sender_token = token(&["--role", "sender", "--customer", "globex"]);
    let revoked = revoked_token(world, address);
    let bearer = |text: String| ClientTls { token: Some(text), ..world.tls() };
    let made: [(&str, &str, &[&str], ClientTls); 17] = [
        ("sender", "sender", &["acme"], world.with(&world.sender("acme"))),
        ("relay", "relay", &["acme", "globex"], client(relay)),
        ("drainer", "drainer", &[], client(drainer)),
        ("operator", "operator", &["acme", "globex", "initech"], world.with(&world.operator())),
        ("auditor", "auditor", &[], client(auditor)),
        ("token of a sender", "sender", &["globex"], sender_token.clone()),
        (
            "token of a drainer",
            "drainer",
            &[],
            token(&["--role", "drainer", "--subscription", "improve-job"]),
        ),
        ("token of a provider", "relay", &["globex", "initech"], bearer(key.token(ISSUER, "relays"))),
        ("token by its hash in the file", "drainer", &[], bearer(hashed)),
        // A token that was handed on is still a sender's: the connection of a drainer lends it nothing.
        (
            "token of a sender over a drainer's connection",
            "sender",
            &["globex"],
            ClientTls { token: sender_token.token, ..client(drainer) },
        ),
        ("stranger with a provider's token", "", &[], bearer(key.token(ISSUER, "others"))),
        ("revoked token", "", &[], bearer(revoked)),
        // Where there is both, the token says who it is: an operator's certificate adds nothing to it.
        ("auditor over an operator's connection", "auditor", &[], both),
        ("stranger with a genuine certificate", "", &[], client(stranger)),
        (
            "made-up token",
            "",
            &[],
            ClientTls { token: Some(format!("usaged_{}", "0".repeat(71))), ..world.tls() },
        ),
        ("no token at all", "", &[], ClientTls { token: Some("letmein".to_owned()), ..world.tls() }),
        ("nobody", "", &[], world.tls()),
    ];
    let mut all = Vec::new();
    for (name, role, customers, tls) in made {
        all.push(Caller { name, role, customers, channel: channel(address, &tls).await });
    }
    all
}

/// A token of a sender that was issued and revoked.
fn revoked_token(world: &World, address: &str) -> String {
    let issue = ["token", "issue", "--name", "gone", "--role", "sender", "--customer", "acme", "--json"];
    let issued = world.done(address, &issue).json();
    world.done(address, &["token", "revoke", issued["token"]["id"].as_str().unwrap()]);
    issued["text"].as_str().unwrap().to_owned()
}

#[test]
fn the_table_says_of_every_method_who_may_call_it() {
    let (found, expected) = (methods(), expected());
    for method in &found {
        assert!(expected.contains_key(method), "nobody has said who may call {method}: add it to MAY");
    }
    assert_eq!(found.len(), expected.len(), "the table has methods that there are not");
}

// covers: P7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identity_does_what_its_role_its_customer_or_its_subscription_does_not_allow() {
    let key = Key::new("k1");
    let (world, hashed) = world_with_tokens(&key);
    let daemon = world.place().start();
    let (mut asked, mut allowed) = (0_u32, 0_u32);
    for caller in callers(&world, &daemon.grpc, (&key, hashed)).await {
        // Health is for everybody, whatever they prove or fail to prove.
        let health = call(&caller.channel, "/grpc.health.v1.Health/Check", None, Bytes::new()).await;
        assert_eq!(health.0, Code::Ok, "{} asks for health: {}", caller.name, health.1);
        for (path, roles) in expected() {
            let method = path.rsplit('/').next().unwrap().to_owned();
            let has_role = roles.split(' ').any(|role| role == caller.role);
            let of_customer = path.starts_with("/usaged.ingest.");
            let of_subscription = OF_SUBSCRIPTION.contains(&method.as_str());
            let subscriptions: &[&str] = if of_subscription { &["improve-job", "other-job"] } else { &[""] };
            // None, each that there is, one that is not valid.
            for customer in [None, Some("acme"), Some("globex"), Some("initech"), Some("not a customer")] {
                for subscription in subscriptions {
                    let message = if of_subscription { first_field(subscription) } else { Bytes::new() };
                    let (code, reason) = call(&caller.channel, &path, customer, message).await;
                    let what = format!(
                        "{} {path} as {customer:?} of {subscription}: {code:?} {reason}",
                        caller.name
                    );
                    let is_own = match (customer, caller.role) {
                        (None, "sender") => true,
                        (None, _) => false,
                        (Some(customer), _) => caller.customers.contains(&customer),
                    };
                    let may = has_role
                        && (!of_customer || is_own)
                        && (!of_subscription || caller.role == "operator" || *subscription == "improve-job");
                    let is_refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
                    assert_eq!(is_refused, !may, "{what}");
                    if caller.role.is_empty() {
                        let expected = if caller.name.starts_with("stranger") {
                            (Code::PermissionDenied, "IDENTITY_UNKNOWN")
                        } else if caller.name == "nobody" {
                            (Code::Unauthenticated, "CREDENTIAL_MISSING")
                        } else if caller.name.starts_with("revoked") {
                            (Code::Unauthenticated, "CREDENTIAL_ENDED")
                        } else {
                            (Code::Unauthenticated, "CREDENTIAL_INVALID")
                        };
                        assert_eq!((code, reason.as_str()), expected, "{what}");
                    }
                    asked += 1;
                    allowed += u32::from(may);
                }
            }
        }
    }
    assert!(asked > 4_500 && allowed > 350, "{asked} {allowed}");
    assert_eq!(daemon.end(), 0);
}
