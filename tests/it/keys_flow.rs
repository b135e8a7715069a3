//! Pseudonyms, epochs and bridges as an administrator sees them, with a real collector.

use serde_json::Value as Json;

use crate::cli_run::Collector;

/// A collector with a customer that takes part, and its log.
struct Desk {
    dir: tempfile::TempDir,
    collector: Collector,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let collector = Collector::start(dir.path(), &[]);
        let desk = Self { dir, collector };
        let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test"];
        assert_eq!(desk.collector.client(&set, "").code, 0);
        desk
    }

    fn look_up(&self, class: &str, input: &str, more: &[&str]) -> crate::cli_run::Ended {
        let args = ["pseudonym", "--customer", "acme", "--class", class, "-"];
        self.collector.client(&[&args, more].concat(), input)
    }

    fn epoch(&self) -> u64 {
        self.collector.client(&["keys", "status", "--json"], "").json()["epoch"].as_u64().unwrap()
    }

    /// Ends the collector and gives its log.
    fn end(self) -> String {
        assert_eq!(self.collector.end(), 0);
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

fn in_use(value: &Json) -> Vec<&str> {
    let all = value["pseudonyms"].as_array().unwrap().iter();
    all.filter(|one| one["in_use"] == true).map(|one| one["pseudonym"].as_str().unwrap()).collect()
}

/// covers: P1
#[test]
fn what_is_looked_up_is_what_was_drained_and_nobody_else_hears_of_it() {
    let desk = Desk::new();
    let create = ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests"];
    assert_eq!(desk.collector.client(&create, "").code, 0);
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"SECRET-esx.Example.COM.\",\"vcpus\":4}}\n";
    let send = ["send", "--customer", "acme", "--product", "vcenter", "--instance", "secret-vc-1"];
    assert_eq!(desk.collector.client(&send, event).code, 0);
    let drained = desk.collector.client(&["drain", "team"], "");
    let line: Json = serde_json::from_str(drained.out.lines().next().unwrap()).unwrap();

    let told = desk.look_up("host_name", "secret-esx.example.com\n", &["--json"]).json();
    assert_eq!(in_use(&told["values"][0]), [line["fields"]["host"].as_str().unwrap()]);
    let told = desk.look_up("instance_id", "secret-vc-1\nlocalhost\n", &["--json"]).json();
    assert_eq!(in_use(&told["values"][0]), [line["instance"].as_str().unwrap()], "the rotating one of now");
    let text = desk.look_up("instance_id", "secret-vc-1\n", &[]).out;
    assert!(text.contains(line["instance"].as_str().unwrap()) && text.contains("(now)"), "{text}");

    // The way back, among candidates.
    let token = line["instance"].as_str().unwrap();
    let found = desk.look_up("instance_id", "secret-vc-0\nsecret-vc-1\n", &["--find", token]);
    assert!(found.code == 0 && found.out.starts_with("secret-vc-1\tceip\t"), "{}", found.out);
    let none = desk.look_up("instance_id", "secret-vc-0\n", &["--find", token]);
    assert!(none.code == 5 && none.out.is_empty(), "{}", none.err);

    let log = desk.end();
    assert_eq!(log.matches("pseudonyms are looked up").count(), 5, "{log}");
    assert!(log.contains("pseudonyms are looked up by=\"tester\" customer=1"), "{log}");
    assert!(!log.to_lowercase().contains("secret-"), "{log}");
}

#[test]
fn known_words_are_told_as_such_and_malformed_values_by_their_place_only() {
    let desk = Desk::new();
    let ended = desk.look_up("host_name", "LocalHost\nsecret host:80\nesx01\n", &["--json"]);
    assert_eq!(ended.code, 7, "{}", ended.err);
    assert!(ended.err.contains("value 2: the form is a host name"), "{}", ended.err);
    assert!(!ended.err.contains("secret host"), "{}", ended.err);
    let values = ended.json()["values"].clone();
    assert_eq!((&values[0]["known_word"], &values[0]["problem"]), (&"localhost".into(), &Json::Null));
    assert!(values[1]["pseudonyms"].as_array().unwrap().is_empty());
    assert!(!values[2]["pseudonyms"].as_array().unwrap().is_empty());
    for (class, word) in [("hostname", "host_name"), ("not_identifying", "no pseudonym")] {
        let ended = desk.look_up(class, "x\n", &[]);
        assert!([2, 5].contains(&ended.code) && ended.err.contains(word), "{}: {}", ended.code, ended.err);
    }
    let args = ["pseudonym", "--customer", "nobody", "--class", "host_name", "esx01"];
    let ended = desk.collector.client(&args, "");
    assert!(ended.code == 5 && ended.err.contains("PARTICIPATION_NOT_FOUND"), "{}", ended.err);
    assert_eq!(desk.look_up("host_name", "\n", &[]).code, 2);
    // More than go into one request.
    let many: String = (0..1_200).map(|n| format!("esx-{n}.example.com\n")).collect();
    let told = desk.look_up("host_name", &many, &["--json"]).json();
    assert_eq!(told["values"].as_array().unwrap().len(), 1_200);
    assert_eq!(told["values"][1_199]["value"], "esx-1199.example.com");
    desk.end();
}

#[test]
fn two_epochs_are_joined_and_a_bridge_is_made_listed_and_erased() {
    let desk = Desk::new();
    let epoch = desk.epoch();
    let (old, now) = ((epoch - 2).to_string(), epoch.to_string());
    let joined = desk.look_up("instance_id", "vc-1\nvc-2\n", &["--epoch", &old, "--epoch", &now, "--json"]);
    let rows = joined.json()["join"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 4, "two values of two programs: {rows}");
    for row in rows.as_array().unwrap() {
        let of = |epoch: &str| row["pseudonyms"][epoch].as_str().unwrap().to_owned();
        assert!(of(&old).starts_with(&format!("p1-instance_id-r{old}-")) && of(&old) != of(&now), "{row}");
    }
    // In the first hour no clock is believed, and a new customer has keys of some more epochs.
    let status = desk.collector.client(&["keys", "status", "--json"], "").json();
    let oldest = status["oldest_epoch"].as_u64().unwrap();
    assert!(oldest <= epoch - 2, "{status}");
    let gone = (oldest - 1).to_string();
    let ended = desk.look_up("instance_id", "vc-1\n", &["--epoch", &gone, "--epoch", &now]);
    assert!(ended.code == 5 && ended.err.contains(&gone), "{}", ended.err);

    let bridge = |args: &[&str]| {
        let head = ["keys", "bridge", args[0]];
        desk.collector.client(&[&head, &args[1..]].concat(), "")
    };
    let create = |epoch: &str, until: &str| {
        bridge(&["create", "acme", "--from", epoch, "--until", until, "--reason", "ticket 1", "--json"])
    };
    let day = |days: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).to_string();
    for (epoch, until, word) in [
        (gone.as_str(), day(30), format!("{oldest} to {now}")),
        (old.as_str(), day(-1), "expire_time".to_owned()),
        (old.as_str(), day(401), "400 days".to_owned()),
    ] {
        let ended = create(epoch, &until);
        assert!(ended.code == 5 && ended.err.contains(&word), "{}", ended.err);
    }
    assert_eq!(create(&old, &day(30)).json()["bridges"][0]["create_reason"], "ticket 1");
    let twice = create(&old, &day(30));
    assert!(twice.code == 5 && twice.err.contains("BRIDGE_EXISTS"), "{}", twice.err);
    for of in [&[] as &[&str], &["--customer", "acme"]] {
        let listed = bridge(&[&["list", "--json"], of].concat()).json();
        assert_eq!(listed["bridges"][0]["epoch"], epoch - 2);
    }
    assert_eq!(desk.collector.client(&["keys", "status", "--json"], "").json()["bridges"], 1);
    let erase = ["erase", "acme", &old, "--reason", "done"];
    assert_eq!(bridge(&erase).code, 0);
    assert!(bridge(&["list", "--json"]).json()["bridges"].as_array().unwrap().is_empty());
    let again = bridge(&erase);
    assert!(again.code == 5 && again.err.contains("BRIDGE_NOT_FOUND"), "{}", again.err);
    let log = desk.end();
    assert!(log.contains("a bridge is made") && log.contains("a bridge is erased"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_and_a_bridge_are_in_the_ledger_by_number_and_class_and_without_the_value() {
    use usaged::grpc::client::Timestamp;
    use usaged::grpc::proto::admin::key_service_client::KeyServiceClient;
    use usaged::grpc::proto::admin::{CreateBridgeRequest, EraseBridgeRequest, LookUpPseudonymRequest};
    use usaged::ledger::{Entry, Fact};

    let collector = crate::grpc_collector::Collector::open().await;
    collector.participate("acme", "standard").await;
    let mut keys = KeyServiceClient::new(collector.channel.clone());
    let text = str::to_owned;
    let question = LookUpPseudonymRequest {
        customer: text("acme"),
        class: text("host_name"),
        values: vec![text("zebra-esx01")],
        requested_by: text("ann"),
        request_reason: text("zebra-reason"),
    };
    let told = keys.look_up_pseudonym(question.clone()).await.unwrap().into_inner();
    // Refused questions are not look-ups.
    for wrong in [
        LookUpPseudonymRequest { requested_by: String::new(), ..question.clone() },
        LookUpPseudonymRequest { values: Vec::new(), ..question.clone() },
        LookUpPseudonymRequest { values: vec!["x".repeat(4_097)], ..question.clone() },
        LookUpPseudonymRequest { class: text("hostname"), ..question.clone() },
        LookUpPseudonymRequest { customer: text("nobody"), ..question },
    ] {
        let refused = keys.look_up_pseudonym(wrong).await.unwrap_err();
        assert!(!refused.message().contains("zebra"), "{refused}");
    }
    let bridge = CreateBridgeRequest {
        customer: text("acme"),
        epoch: told.epoch - 1,
        expire_time: Some(Timestamp { seconds: jiff::Timestamp::now().as_second() + 60, nanos: 0 }),
        created_by: text("ann"),
        create_reason: text("zebra-reason"),
    };
    keys.create_bridge(bridge).await.unwrap();
    let erase = EraseBridgeRequest {
        customer: text("acme"),
        epoch: told.epoch - 1,
        erased_by: text("ann"),
        erase_reason: text("zebra-reason"),
    };
    keys.erase_bridge(erase).await.unwrap();
    let entries = collector.store.outbox(100).unwrap();
    let raw: Vec<_> = entries.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(!raw.concat().contains("zebra") && !raw.concat().contains("ann"), "{raw:?}");
    let facts: Vec<_> = entries.iter().map(|(_, bytes)| Entry::from_bytes(bytes).unwrap().fact).collect();
    let key = usaged::model::CustomerKey(1);
    let from_epoch = u64::from(told.epoch - 1);
    assert!(
        matches!(&facts[..], [
            Fact::PseudonymLookedUp { customer, class: usaged::model::IdentifierClass::HostName, .. },
            Fact::BridgeMade { customer: made, from_epoch: of, .. },
            Fact::BridgeErased { customer: erased, from_epoch: last },
        ] if [customer, made, erased] == [&key; 3] && [of, last] == [&from_epoch; 2]),
        "{facts:?}"
    );
    collector.close().await;
}
