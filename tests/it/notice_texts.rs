//! What a notice of an erasure says to whom, over real sockets: a subscription learns no name and no pseudonym of a program
//! that it may not have, so that it cannot join what it received with what it must not have; and a value that a level keeps
//! it is told as it is, for it has nothing else to find it by. Where the policy does not keep it any more, the notice says so.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;
use usaged::grpc::client::{Message as _, ProtoDuration, connect};
use usaged::grpc::proto::drain::{Notice, PullRequest};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};
use usaged::policy::PolicyFile;

use crate::cli_run::{Collector, Ended};
use crate::fault_load::drain_client;
use crate::grpc_collector::from;
use crate::term::write_policy;

const CUSTOMER: &str = "acme-gmbh-and-co-4711";
const INSTANCE: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const HOST: &str = "esx-3.corp.example.com";
/// What the operational level keeps: a whole number, and a text.
const ENTITLEMENT: i64 = 40_001_234;
const LICENSEE: &str = "C-1002003";

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

/// One event of each program, both of one installation.
fn batch() -> SubmitRequest {
    let of = |name: &str, kind| Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) };
    let field = |name: &str, text: &str| of(name, Kind::StringValue(text.to_owned()));
    let event = |name: &str, fields| Event { name: name.to_owned(), fields, ..Event::default() };
    SubmitRequest {
        batch_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        product: "vcenter".to_owned(),
        instance: INSTANCE.to_owned(),
        events: vec![
            event("vm.inventory", vec![field("host", HOST)]),
            event("service.health", vec![field("instance", INSTANCE)]),
            event(
                "entitlement.status",
                vec![field("customer", LICENSEE), of("entitlement", Kind::IntValue(ENTITLEMENT))],
            ),
        ],
        ..SubmitRequest::default()
    }
}

/// Every text of a JSON value that stands for somebody: pseudonyms, the customer's id, and what else is kept.
fn names(value: &Json, found: &mut BTreeSet<String>) {
    let is_kept = |text: &str| text == CUSTOMER || kept().iter().any(|kept| kept == text);
    match value {
        Json::String(text) if text.starts_with("p1-") || is_kept(text) => {
            found.insert(text.clone());
        }
        Json::Number(number) if is_kept(&number.to_string()) => {
            found.insert(number.to_string());
        }
        Json::Array(values) => values.iter().for_each(|value| names(value, found)),
        Json::Object(values) => values.values().for_each(|value| names(value, found)),
        Json::String(_) | Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The values that the operational level keeps.
fn kept() -> [String; 2] {
    [ENTITLEMENT.to_string(), LICENSEE.to_owned()]
}

/// Drains and acknowledges what a subscription is given, as text: the names in it.
fn received(collector: &Collector, name: &str) -> BTreeSet<String> {
    let lines = ok(collector.client(&["drain", name], "")).out;
    assert!(!lines.is_empty(), "{name} receives something");
    let mut found = BTreeSet::new();
    lines.lines().for_each(|line| names(&serde_json::from_str(line).unwrap(), &mut found));
    found
}

/// The notices that wait for a subscription.
async fn notices(collector: &Collector, name: &str) -> Vec<Notice> {
    let request = PullRequest {
        subscription: name.to_owned(),
        max_batches: 10,
        max_wait: Some(ProtoDuration::default()),
        ..PullRequest::default()
    };
    let mut client = drain_client(connect(&collector.grpc).await.unwrap());
    let pulled = client.pull(request).await.unwrap().into_inner();
    assert_eq!(pulled.batches.len(), 0, "{name}: what was erased is not delivered");
    pulled.notices
}

fn holds(notice: &Notice, text: &str) -> bool {
    memchr::memmem::find(&notice.encode_to_vec(), text.as_bytes()).is_some()
}

fn texts(notices: &[Notice]) -> BTreeSet<String> {
    notices.iter().flat_map(|notice| notice.customers.iter().chain(&notice.tokens)).cloned().collect()
}

/// A policy: what is done to each shipped file, whether it has a program `ceip`, and whether it keeps what the shipped one keeps.
struct Edit {
    change: fn(&PolicyFile) -> String,
    has_ceip: bool,
    keeps: bool,
}

const SHIPPED: Edit = Edit { change: |file| file.text.clone(), has_ceip: true, keeps: true };

impl Edit {
    fn write(&self, dir: &Path) {
        write_policy(dir, self.change);
        if !self.has_ceip {
            std::fs::remove_file(dir.join("programs/ceip.toml")).unwrap();
        }
    }
}

/// Data of both programs is received under one policy, and erased under another.
async fn each_is_told_what_it_received(before: &Edit, after: &Edit) {
    let dir = tempfile::tempdir().unwrap();
    let policies = ["before", "after"].map(|name| dir.path().join(name));
    for (edit, dir) in [before, after].into_iter().zip(&policies) {
        edit.write(dir);
    }
    let start = |policy: &Path| {
        let policy = policy.display().to_string();
        tokio::task::block_in_place(|| Collector::start(dir.path(), &["--policy-dir", &policy]))
    };
    let collector = start(&policies[0]);
    let client = |collector: &Collector, args: &[&str]| {
        tokio::task::block_in_place(|| ok(collector.client(args, "")));
    };
    let levels = ["--level", "ceip=standard", "--level", "operational=operational", "--reason", "x"];
    client(&collector, &[&["participation", "set", CUSTOMER][..], &levels].concat());
    for name in ["improve", "deliver"] {
        let terms = ["--purpose", name, "--recipient", "x", "--from-oldest"];
        client(&collector, &[&["subscription", "create", name][..], &terms].concat());
    }
    let mut ingest = IngestServiceClient::new(connect(&collector.grpc).await.unwrap());
    let receipt = ingest.submit(from(CUSTOMER, batch())).await.unwrap().into_inner();
    assert_eq!(receipt.accepted_events, 3, "{receipt:?}");
    let [improve, mut deliver] =
        ["improve", "deliver"].map(|name| tokio::task::block_in_place(|| received(&collector, name)));
    // Each was told who it is, by names of its own.
    assert!(deliver.contains(CUSTOMER) && !improve.contains(CUSTOMER), "{improve:?} {deliver:?}");
    assert!(improve.len() >= 3 && deliver.len() >= 2, "{improve:?} {deliver:?}");
    assert!(improve.is_disjoint(&deliver));
    assert!(kept().iter().all(|value| deliver.contains(value)), "{deliver:?}");
    if !after.keeps {
        // What a level kept under a policy of before is told by its pseudonyms only.
        for value in kept() {
            assert!(deliver.remove(&value));
        }
    }
    drop(ingest);
    assert_eq!(tokio::task::block_in_place(|| collector.end()), 0);

    let collector = start(&policies[1]);
    let erase = ["erase", "--customer", CUSTOMER, "--json"];
    let entitlement = ENTITLEMENT.to_string();
    for what in [
        &["--class", "host_name", "--value", HOST][..],
        &["--class", "entitlement_id", "--value", &entitlement],
        &["--class", "customer_id", "--value", LICENSEE],
        &["--instance", INSTANCE],
        &["--everything"],
    ] {
        client(&collector, &[&erase[..], what].concat());
    }
    let [of_improve, of_deliver] =
        [notices(&collector, "improve").await, notices(&collector, "deliver").await];
    assert_eq!((of_improve.len(), of_deliver.len()), (5, 5));
    // Of a program that the policy does not have any more nobody knows what it kept.
    let values: Vec<String> = kept().into_iter().chain([HOST, INSTANCE].map(str::to_owned)).collect();
    let is_unsaid = |own: &BTreeSet<String>| !after.has_ceip && *own == improve;
    for (own, other, told) in [(&improve, &deliver, &of_improve), (&deliver, &improve, &of_deliver)] {
        let said = texts(told);
        assert!(own.is_subset(&said), "what it received is named as it was: {own:?} {said:?}");
        for notice in told {
            assert!(own.iter().any(|name| notice.customers.contains(name)), "{notice:?}");
            if !notice.tokens.is_empty() {
                let has_value = notice.tokens.iter().any(|text| values.contains(text));
                assert_eq!(notice.pseudonyms_only, !has_value, "{notice:?}");
            }
            let not_told = other.iter().chain(&values).filter(|text| !own.contains(*text));
            for text in not_told.filter(|text| !(is_unsaid(own) && values.contains(text))) {
                assert!(!holds(notice, text), "{text}: {notice:?}");
            }
        }
    }
    // Nor is there any text, of whatever epoch or form, that both are told.
    let [said, of_other] = [&of_improve, &of_deliver].map(|notices| texts(notices));
    let mut both =
        said.intersection(&of_other).filter(|text| !(is_unsaid(&improve) && values.contains(text)));
    assert_eq!(both.next(), None, "{of_improve:?} {of_deliver:?}");
    assert_eq!(tokio::task::block_in_place(|| collector.end()), 0);
}

// covers: P7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_names_nobody_by_a_text_of_a_program_that_its_subscription_may_not_have() {
    each_is_told_what_it_received(&SHIPPED, &SHIPPED).await;
}

// covers: P7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_by_one_of_a_program_that_it_may_have_and_has_not_received() {
    // The level allows it, and no field is for it.
    let wide = Edit {
        change: |file| {
            let is_program = file.path == "programs/operational.toml";
            let purposes =
                if is_program { "purposes = [\"deliver\", \"improve\"]" } else { "purposes = [\"deliver\"]" };
            file.text.replace("purposes = [\"deliver\"]", purposes)
        },
        has_ceip: true,
        keeps: true,
    };
    each_is_told_what_it_received(&wide, &wide).await;
}

// covers: P8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_became_narrower_since_takes_nothing_from_a_notice() {
    // Nothing is for the purposes that data left for, and the customer is named in another form.
    let narrow = Edit {
        change: |file| {
            let text =
                file.text.replace("purposes = [\"improve\", \"recommend\"]", "purposes = [\"recommend\"]");
            let text = text.replace("purposes = [\"improve\"]", "purposes = [\"recommend\"]");
            let text = text.replace("purposes = [\"deliver\"]", "purposes = [\"recommend\"]");
            text.replace("customer_id = \"keep\"", "customer_id = \"pseudonym\"")
        },
        has_ceip: true,
        keeps: false,
    };
    each_is_told_what_it_received(&SHIPPED, &narrow).await;
}

// covers: P8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_a_program_that_the_policy_does_not_have_any_more() {
    let without = Edit {
        change: |file| file.text.replace("program = \"ceip\"", "program = \"operational\""),
        has_ceip: false,
        keeps: true,
    };
    each_is_told_what_it_received(&SHIPPED, &without).await;
}
