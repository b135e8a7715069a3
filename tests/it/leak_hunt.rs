//! THE leak hunt, against the real binary: canaries in every field of every event of every product, for
//! customers at every level, declared or not, in good and in bad requests; then everything that the
//! collector wrote, said and gave away is searched for each of them in each of its forms. What the
//! search cannot see: a value that was encrypted, compressed or hashed with a key. So what the
//! directory holds is opened with the root key and searched too.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use tokio_stream::StreamExt as _;
use usaged::grpc::client::{Channel, EncodedIngest, Request, Status, connect, of_customer};
use usaged::grpc::proto::admin::SetParticipationRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{CreateSubscriptionRequest, PullRequest, Subscription};
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::model::{CommitNumber, CustomerId, ProgramName, Purpose};
use usaged::observe::Clock;
use usaged::policy::{Policy, compile, shipped};
use usaged::sanitize::RootKey;
use usaged::store::{self, Customers, Entry, ReadLimits};

use crate::cli_flow::page;
use crate::cli_run::Collector;
use crate::hunt_ask::{ask_about_plans, ask_what_is_stored};
use crate::hunt_bad::{bad_requests, odd_heads};
use crate::hunt_canary::{Canary, Place, Sent};
use crate::hunt_cast::{self as cast, Fill, Member};
use crate::hunt_search::files;

/// A running hunt: what was sent, and what was found where it may not be.
pub struct Hunt {
    pub policy: Policy,
    pub sent: Sent,
    requests: usize,
    pub found: Vec<String>,
    ingest: EncodedIngest,
    pub channel: Channel,
}

impl Hunt {
    /// A hunt that goes on with what was sent, against a collector.
    pub async fn new(collector: &Collector, sent: Sent) -> Self {
        let channel = connect(&collector.grpc).await.unwrap();
        Self {
            policy: compile(&shipped()).unwrap().0,
            sent,
            requests: 0,
            found: Vec::new(),
            ingest: EncodedIngest::new(channel.clone()),
            channel,
        }
    }

    /// Goes on against the same collector, started again.
    pub async fn reconnect(&mut self, collector: &Collector) {
        self.channel = connect(&collector.grpc).await.unwrap();
        self.ingest = EncodedIngest::new(self.channel.clone());
    }

    pub fn look(&mut self, place: Place, of: &str, bytes: &[u8]) {
        let leaks = self.sent.leaks(place, bytes);
        self.found.extend(leaks.into_iter().map(|canary| format!("{of}: {}", canary.what)));
    }

    /// A new batch of a member: every event of a product.
    pub fn batch(&mut self, member: &Member, product: usize, fill: Fill) -> SubmitRequest {
        self.requests += 1;
        let product = &self.policy.products()[product];
        let at = cast::Place { policy: &self.policy, product, request: self.requests };
        member.batch(&mut self.sent, &at, fill)
    }

    /// Sends bytes alone and then in a stream, and looks through both answers. Gives the first.
    pub async fn send(&mut self, id: &CustomerId, body: &Bytes) -> Result<i32, Status> {
        let request = of_customer(body.clone(), id).unwrap();
        let answer = self.ingest.submit(request).await;
        self.look_at(Place::Answer(self.requests), &answer);
        let stream = of_customer(tokio_stream::iter([body.clone()]), id).unwrap();
        match self.ingest.submit_stream(stream).await {
            Ok(mut answers) => {
                while let Some(one) = answers.next().await {
                    self.look_at(Place::Answer(self.requests), &one);
                }
            }
            refused => self.look_at(Place::Answer(self.requests), &refused.map(drop)),
        }
        answer.map(|receipt| receipt.state)
    }

    pub fn look_at<T: std::fmt::Debug>(&mut self, place: Place, answer: &Result<T, Status>) {
        if let Err(status) = answer {
            self.look(place, "the details of a status", status.details());
            self.look(place, "the message of a status", status.message().as_bytes());
        }
        self.look(place, "an answer", format!("{answer:?}").as_bytes());
    }

    pub async fn participate(&mut self, cast: &[Member]) {
        let mut admin = AdminServiceClient::new(self.channel.clone());
        for member in cast.iter().filter(|member| member.is_registered) {
            let request = SetParticipationRequest {
                participation: Some(member.api()),
                changed_by: "ann".into(),
                change_reason: "contract 7".into(),
                if_revision: 0,
            };
            admin.set_participation(request).await.unwrap();
        }
    }

    /// Drains everything for a purpose, and looks through it. Gives what was drained.
    pub async fn drain(&mut self, purpose: Purpose) -> Vec<u8> {
        let mut drain = DrainServiceClient::new(self.channel.clone());
        let name = purpose.as_str().to_owned();
        let subscription = Subscription {
            name: name.clone(),
            purpose: i32::from(Purpose::ALL.iter().position(|p| *p == purpose).unwrap() as u8 + 1),
            recipient: "tests".into(),
            from_oldest: true,
            ..Subscription::default()
        };
        let create = CreateSubscriptionRequest { subscription: Some(subscription) };
        drain.create_subscription(create).await.unwrap();
        let mut all = Vec::new();
        loop {
            let pull = PullRequest { subscription: name.clone(), max_batches: 100, ..PullRequest::default() };
            let pulled = drain.pull(pull).await.unwrap().into_inner();
            if pulled.batches.is_empty() {
                break;
            }
            self.look(Place::Drained(purpose), "a pull", &pulled.encode_to_vec());
            pulled.batches.iter().for_each(|batch| all.extend_from_slice(&batch.batch));
        }
        all
    }
}

// covers: P1, P2, P4, P7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_canary_is_anywhere_but_where_its_customer_agreed() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--log-level", "trace"]);
    let mut hunt = Hunt::new(&collector, Sent::default()).await;
    let cast = cast::cast(&mut hunt.sent, &hunt.policy);
    hunt.participate(&cast).await;

    for member in &cast {
        for product in 0..hunt.policy.products().len() {
            for fill in [Fill::Good, Fill::Odd, Fill::OtherType] {
                let batch = hunt.batch(member, product, fill);
                hunt.send(member.id(), &batch.encode_to_vec().into()).await.unwrap();
            }
        }
    }
    send_what_is_wrong(&mut hunt, &cast).await;

    send_by_command(&mut hunt, &collector, &cast);
    ask_about_plans(&mut hunt, &cast).await;
    ask_what_is_stored(&mut hunt, &cast).await;

    // The directory first while the collector runs, and then as it left it.
    look_in_directory(&mut hunt, dir.path());
    let mut drained = Vec::new();
    for purpose in Purpose::ALL {
        drained.push((*purpose, hunt.drain(*purpose).await));
    }
    for (name, purpose) in [("cli-a", Purpose::Improve), ("cli-b", Purpose::Deliver)] {
        let create = ["subscription", "create", name, "--purpose", purpose.as_str(), "--recipient", "x"];
        assert_eq!(collector.client(&[&create[..], &["--from-oldest"]].concat(), "").code, 0);
        let told = collector.client(&["drain", name], "");
        assert!(told.out.lines().count() > 10, "{}", told.err);
        hunt.look(Place::Drained(purpose), "drained lines", told.out.as_bytes());
        hunt.look(Place::Outside, "what drain says", told.err.as_bytes());
    }
    for command in [&["subscription", "list"][..], &["subscription", "dead-letters", "cli-a"]] {
        let told = collector.client(command, "");
        hunt.look(Place::Outside, "a command", format!("{}{}", told.out, told.err).as_bytes());
    }
    for path in ["/metrics", "/readyz", "/livez", "/"] {
        hunt.look(Place::Outside, path, page(&collector, path).as_bytes());
    }
    assert_eq!(collector.end(), 0);
    look_in_directory(&mut hunt, dir.path());
    hunt.look(Place::Outside, "the log", &std::fs::read(dir.path().join("log")).unwrap());
    look_in_records(&mut hunt, dir.path(), 100);

    assert!(hunt.found.is_empty(), "{} leaks:\n{}", hunt.found.len(), summary(&hunt.found));
    what_is_kept_is_found(&hunt.sent, &drained);
    what_is_redacted_is_there(&drained);
    what_is_planted_is_found(&hunt.sent, dir.path());
}

/// Requests that cannot be read, that name what does not exist, or that come under a spent id.
async fn send_what_is_wrong(hunt: &mut Hunt, cast: &[Member]) {
    let full = cast.iter().find(|member| member.part.contains("enhanced")).unwrap();
    let mut refused = 0;
    for number in 0..2 {
        // Nothing of a request that cannot be read is kept.
        let begun = hunt.sent.canaries.len();
        let spoilt = hunt.batch(full, number, Fill::Good);
        hunt.sent.keep_none_since(begun);
        for body in bad_requests(&spoilt) {
            refused += usize::from(hunt.send(full.id(), &body).await.is_err());
        }
        let batch = hunt.batch(full, number, Fill::Good);
        hunt.send(full.id(), &batch.encode_to_vec().into()).await.unwrap();
        let again = SubmitRequest { batch_id: batch.batch_id.clone(), ..spoilt };
        hunt.send(full.id(), &again.encode_to_vec().into()).await.unwrap_err();
    }
    assert!(refused > 100, "{refused} requests were refused");

    for spoil in odd_heads() {
        let begun = hunt.sent.canaries.len();
        let mut batch = hunt.batch(full, 0, Fill::Good);
        spoil(&mut batch, &mut hunt.sent);
        hunt.sent.keep_none_since(begun);
        hunt.send(full.id(), &batch.encode_to_vec().into()).await.ok();
    }

    // Names in places that are no request: metadata, methods, pages, subscriptions.
    let mut secret = |what: &str| {
        let canary = Canary { what: what.to_owned(), ..Canary::default() };
        hunt.sent.text(canary, usaged::model::IdentifierClass::HostName)
    };
    let [customer, header, method, subscription] =
        ["a bad customer id", "a header", "a method", "a subscription"].map(&mut secret);
    let mut request = Request::new(Bytes::new());
    request.metadata_mut().insert("usaged-customer", format!("{customer}/..").parse().unwrap());
    request.metadata_mut().insert("authorization", format!("Bearer {header}").parse().unwrap());
    let answer = hunt.ingest.submit(request).await;
    hunt.look_at(Place::Outside, &answer);
    let path = format!("/usaged.ingest.v1.IngestService/{method}").parse().unwrap();
    let mut grpc = tonic::client::Grpc::new(hunt.channel.clone());
    grpc.ready().await.unwrap();
    let codec = usaged::grpc::codec::Encoded::<()>::default();
    let answer = grpc.unary(of_customer(Bytes::new(), full.id()).unwrap(), path, codec).await;
    hunt.look_at(Place::Outside, &answer);
    let mut drain = DrainServiceClient::new(hunt.channel.clone());
    let pull = PullRequest { subscription, max_batches: 1, ..PullRequest::default() };
    let answer = drain.pull(pull).await;
    hunt.look_at(Place::Outside, &answer);
}

/// What the commands say of lines that they cannot send, or that come out withheld.
fn send_by_command(hunt: &mut Hunt, collector: &Collector, cast: &[Member]) {
    let mut canary = |what: &str| {
        let canary = Canary { what: format!("{what}, by command"), ..Canary::default() };
        hunt.sent.text(canary, usaged::model::IdentifierClass::HostName)
    };
    let lines = [
        format!("{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"{}\"}}}}", canary("a value")),
        format!("{{\"name\":\"vm.inventory\",\"fields\":{{\"vcpus\":\"{}\"}}}}", canary("a wrong type")),
        format!("{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"{}\"}}", canary("a broken line")),
        format!("{{\"name\":\"vm.inventory\",\"{}\":1}}", canary("an odd key")),
        format!("{{\"name\":7,\"fields\":\"{}\"}}", canary("fields that are none")),
        format!("{{\"name\":\"x\",\"time\":\"{}\",\"fields\":{{}}}}", canary("a time that is none")),
        format!("\"{}\"", canary("no event")),
        canary("no JSON"),
    ];
    let customer = cast.iter().find(|member| member.part.contains("enhanced")).unwrap().id();
    for line in lines {
        for json in [&[][..], &["--json"]] {
            let send = ["send", "--customer", customer.as_str(), "--product", "vcenter"];
            let told = collector.client(&[&send[..], json].concat(), &format!("{line}\n"));
            hunt.look(Place::Outside, "send", format!("{}{}", told.out, told.err).as_bytes());
        }
    }
}

pub fn look_in_directory(hunt: &mut Hunt, dir: &Path) {
    let files = files(&dir.join("data"));
    assert!(!files.is_empty());
    for path in files {
        // A file that RocksDB has just dropped holds nothing any more.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        hunt.look(Place::Directory, &path.display().to_string(), &bytes);
        hunt.look(Place::Directory, "a file name", path.as_os_str().as_encoded_bytes());
    }
}

/// Opens every record with the root key, as nobody but the collector can.
pub fn look_in_records(hunt: &mut Hunt, dir: &Path, least: usize) {
    let key = std::fs::read_to_string(dir.join("data.key")).unwrap();
    let root = RootKey::from_hex(key.trim()).unwrap();
    let options = store::Options::new(&dir.join("data"));
    let store = crate::store_samples::reopen(&options, &root, &Clock::system()).unwrap();
    let customers = Customers::new(store.clone(), 100);
    let (mut from, mut opened) = (CommitNumber(1), 0);
    loop {
        let entries = store.read(from, ReadLimits { records: 100, bytes: 1 << 24 }).unwrap();
        let Some(last) = entries.last() else { break };
        from = CommitNumber(last.commit().0 + 1);
        for entry in entries {
            let record = match entry {
                Entry::Record(record) => record,
                Entry::Gone { .. } => continue,
                Entry::Damaged { .. } => panic!("a damaged record"),
            };
            let customer = customers.get_by_key(record.header.customer).unwrap().expect("records of nobody");
            let program = ProgramName::new(&record.header.program).unwrap();
            let body = record.open(&customer.secret.seal_key(&program, record.header.received)).unwrap();
            hunt.look(Place::Stored, "an opened record", &body);
            opened += 1;
        }
    }
    assert!(opened > least, "{opened}");
}

pub fn summary(found: &[String]) -> String {
    let all: BTreeSet<&String> = found.iter().collect();
    all.into_iter().take(60).cloned().collect::<Vec<_>>().join("\n")
}

/// The search finds what there is to find: what the policy keeps is in what was drained for its purpose.
pub fn what_is_kept_is_found(sent: &Sent, drained: &[(Purpose, Vec<u8>)]) {
    for (purpose, bytes) in drained {
        let found = sent.search.canaries_in(bytes);
        let kept = sent.canaries.iter().enumerate().filter(|(_, canary)| canary.kept.has(*purpose));
        let kept: Vec<_> = kept.filter(|(_, canary)| canary.is_drained && !canary.is_in_map).collect();
        assert!(kept.len() > 20, "{purpose}: {}", kept.len());
        for (at, canary) in kept {
            assert!(found.contains(&at), "{} is kept for {purpose} and was not found", canary.what);
        }
    }
}

/// Text was stored, with markers and tokens for what was in it.
fn what_is_redacted_is_there(drained: &[(Purpose, Vec<u8>)]) {
    for (purpose, bytes) in drained.iter().filter(|(purpose, _)| *purpose == Purpose::Improve) {
        let text = String::from_utf8_lossy(bytes);
        let words =
            ["[email]", "[secret]", "[payment_card]", "[iban]", "[national_id]", "[phone]", "[query]"];
        for word in words.into_iter().chain([
            "[user_id]",
            "[location]",
            "[cookie]",
            "p1-host_name-s-",
            "p1-object_name-s-",
        ]) {
            assert!(text.contains(word), "no {word} in what was drained for {purpose}");
        }
    }
}

/// In whichever of its forms.
pub fn what_is_planted_is_found(sent: &Sent, dir: &Path) {
    let host = |canary: &Canary| canary.what.starts_with("vcenter vm.inventory host Good");
    let at = sent.canaries.iter().position(host).unwrap();
    let forms = sent.search.forms_of(at);
    assert!(forms.len() > 20);
    let planted = dir.join("data").join("planted");
    for form in forms {
        std::fs::write(&planted, [&[7; 99], form.as_slice(), &[7; 99]].concat()).unwrap();
        let files = files(&dir.join("data"));
        assert!(files.contains(&planted));
        assert!(sent.search.canaries_in(&std::fs::read(&planted).unwrap()).contains(&at), "{form:?}");
    }
}
