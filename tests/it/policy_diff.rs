//! New data needs a new consent, from end to end with the real program: a policy that brings a field, what that
//! exposes and for whom, the field withheld, accepted and stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use usaged::grpc::client::Message as _;
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::ingest::Explain;
use usaged::model::{RegionName, UnixMillis};
use usaged::policy::{PolicyFile, compile, shipped};

use crate::cli_run::{Collector, Ended, usaged};

fn put(dir: &Path, files: &[PolicyFile]) -> PathBuf {
    for file in files {
        let path = dir.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    dir.to_owned()
}

/// The shipped policy with a third version of the dictionary of vcenter, which brings one field.
fn third_version() -> Vec<PolicyFile> {
    let mut files = shipped();
    let vcenter = files.iter_mut().find(|file| file.path == "products/vcenter.toml").unwrap();
    vcenter.text = vcenter.text.replacen("version = 2\n", "version = 3\n", 1);
    vcenter.text.push_str(
        "\n[events.\"vm.inventory\".fields.nics]\ntype = \"int\"\ncategory = \"configuration\"\n\
         class = \"not_identifying\"\npurposes = [\"improve\"]\ndescription = \"Network adapters.\"\nexample = 2\nsince = 3\n",
    );
    files
}

/// The same, and what host names become at `standard` is loosened and tightened elsewhere.
fn looser() -> Vec<PolicyFile> {
    let mut files = third_version();
    let ceip = files.iter_mut().find(|file| file.path == "programs/ceip.toml").unwrap();
    ceip.text = ceip.text.replacen("customer_id = \"pseudonym\"", "customer_id = \"keep\"", 1);
    ceip.text = ceip.text.replacen("ip_address = \"pseudonym\"", "ip_address = \"drop\"", 1);
    files
}

fn set(collector: &Collector, customer: &str, args: &[&str]) {
    let set = ["participation", "set", customer, "--anew", "--reason", "test"];
    let ended = collector.client(&[&set, args].concat(), "");
    assert_eq!(ended.code, 0, "{}", ended.err);
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn changes<'j>(told: &'j Json, wanted: &[(&str, &str)]) -> Vec<&'j Json> {
    let all = told["changes"].as_array().unwrap().iter();
    all.filter(|change| wanted.iter().all(|(name, value)| change[*name] == *value)).collect()
}

/// Waits until the collector decides by this policy. Its files were put there one after the other: another than before
/// may also be half of it.
fn taken_over(collector: &Collector, policy: &Path) {
    let begun = Instant::now();
    loop {
        // What is in force is what it hands out.
        let told = collector.client(&["policy", "diff", "--live", &text(policy), "--json"], "").json();
        if told["old"] == told["new"] {
            return;
        }
        assert!(begun.elapsed() < crate::fault_daemon::SOON, "the policy was not taken over");
        std::thread::sleep(Duration::from_millis(50));
    }
}

// covers: P2
#[test]
fn a_field_of_a_newer_version_is_withheld_until_it_is_accepted_and_then_stored() {
    let dir = tempfile::tempdir().unwrap();
    let policy = put(&dir.path().join("policy"), &shipped());
    let next = put(&dir.path().join("next"), &third_version());
    let collector = Collector::start(dir.path(), &["--policy-dir", &text(&policy)]);
    set(&collector, "acme", &["--level", "ceip=standard"]);
    set(&collector, "globex", &["--level", "operational=operational"]);

    // What it would expose, before it is in force: nothing at once, and once accepted for one customer.
    let diff = ["policy", "diff", "--live", &text(&next), "--json"];
    let told = collector.client(&diff, "").json();
    let nics = changes(&told, &[("field", "nics"), ("level", "standard")]);
    assert_eq!(nics.len(), 2, "without a region, and in eea: {told}");
    for change in &nics {
        assert_eq!((&change["direction"], &change["at_once"]), (&"more".into(), &false.into()));
        assert_eq!((&change["before"], &change["after"]), (&"not in the dictionary".into(), &"keep".into()));
    }
    let plain = nics.iter().find(|change| change["region"] == Json::Null).unwrap();
    assert_eq!(plain["customers"], serde_json::json!({ "at_once": 0, "when_accepted": 1 }));
    assert_eq!((&told["customers"]["counted"], &told["exposed"]), (&2.into(), &4.into()));
    let failing = collector.client(&[&diff[..], &["--fail-on-exposure"]].concat(), "");
    assert_eq!(failing.code, 8, "{}", failing.err);

    // In force: the field is withheld, and the receipt says why.
    put(&policy, &third_version());
    taken_over(&collector, &next);
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"vcpus\":8,\"nics\":4}}\n";
    let send = ["send", "--customer", "acme", "--product", "vcenter", "--json"];
    let withheld = collector.client(&send, event);
    assert_eq!(withheld.code, 0, "{}", withheld.err);
    assert!(
        withheld.out.contains("not_yet_accepted") || withheld.out.contains("NOT_YET_ACCEPTED"),
        "{}",
        withheld.out
    );

    // Shown before, recorded after.
    let accept = ["participation", "accept", "acme", "--product", "vcenter"];
    let dry = collector.client(&[&accept[..], &["--dry-run", "--json"]].concat(), "").json();
    let brought: Vec<_> = dry["changes"].as_array().unwrap().iter().map(|c| c["field"].clone()).collect();
    assert_eq!(brought, [Json::from("nics")], "{dry}");
    assert_eq!(
        (&dry["changes"][0]["after"], &dry["changes"][0]["description"]),
        (&"keep".into(), &"Network adapters.".into())
    );
    assert_eq!((&dry["changed"], &dry["dictionaries"][0]["after"]), (&false.into(), &3.into()));
    let revision = |collector: &Collector| {
        collector.client(&["participation", "get", "acme", "--json"], "").json()["revision"].as_u64().unwrap()
    };
    assert_eq!(revision(&collector), 1, "a dry run changes nothing");
    let done =
        collector.client(&[&accept[..], &["--reason", "mail of the customer", "--json"]].concat(), "").json();
    assert_eq!((&done["changed"], &done["changes"]), (&true.into(), &dry["changes"]));
    assert_eq!(done["participation"]["accepted_dictionaries"]["vcenter"], 3);
    assert_eq!(done["participation"]["change_reason"], "mail of the customer");
    assert_eq!(revision(&collector), 2);
    let again = collector.client(&[&accept[..], &["--reason", "again", "--json"]].concat(), "").json();
    assert_eq!((&again["changed"], revision(&collector)), (&false.into(), 2));

    // Stored from now on; what was withheld before does not come back.
    let create =
        ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests", "--from-oldest"];
    assert_eq!(collector.client(&create, "").code, 0);
    assert_eq!(collector.client(&send, event).code, 0);
    let drained = collector.client(&["drain", "team"], "").out;
    let nics: Vec<_> = drained
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["fields"]["nics"].clone())
        .collect();
    assert_eq!(nics, [Json::Null, 4.into()]);

    // A lower version withdraws it.
    let lower = [&accept[..], &["--version", "2", "--reason", "withdrawn", "--json"]].concat();
    let withdrawn = collector.client(&lower, "").json();
    assert_eq!(
        (&withdrawn["changes"][0]["direction"], &withdrawn["changes"][0]["after"]),
        (&"less".into(), &"withheld until accepted".into())
    );
    let withheld = collector.client(&send, event);
    assert!(withheld.out.to_lowercase().contains("not_yet_accepted"), "{}", withheld.out);
    assert_eq!(collector.end(), 0);
}

#[test]
fn an_acceptance_that_makes_no_sense_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set(&collector, "acme", &["--level", "ceip=standard"]);
    let accept =
        |args: &[&str]| -> Ended { collector.client(&[&["participation", "accept"], args].concat(), "") };
    for (args, code, said) in [
        (&["nobody", "--dry-run"][..], 5, "PARTICIPATION_NOT_FOUND"),
        (&["acme", "--product", "vcentre", "--dry-run"], 5, "did you mean `vcenter`"),
        (&["acme", "--product", "vcenter", "--version", "3", "--reason", "x"], 5, "write at most 2"),
        (&["acme", "--version", "1", "--reason", "x"], 2, "--product"),
        (&["acme"], 2, "--reason"),
        (
            &["acme", "--product", "vcenter", "--version", "1", "--reason", "x", "--if-revision", "7"],
            5,
            "REVISION_CHANGED",
        ),
    ] {
        let ended = accept(args);
        assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
        assert!(ended.err.contains(said), "{args:?}: {}", ended.err);
    }
    let got = collector.client(&["participation", "get", "acme", "--json"], "").json();
    assert_eq!(got["revision"], 1);
    assert_eq!(collector.end(), 0);
}

#[test]
fn customers_are_counted_exactly_over_many_pages() {
    let dir = tempfile::tempdir().unwrap();
    // Six hundred versions, so that more choices differ than one answer of the collector holds.
    let many = |files: Vec<PolicyFile>| {
        let mut files = files;
        for file in files.iter_mut().filter(|file| file.path == "products/tanzu-cli.toml") {
            file.text = file.text.replacen("version = 2\n", "version = 600\n", 1);
        }
        files
    };
    let policy = put(&dir.path().join("policy"), &many(shipped()));
    let next = put(&dir.path().join("next"), &many(looser()));
    let collector = Collector::start(dir.path(), &["--policy-dir", &text(&policy)]);
    let mut lines = String::new();
    let level = |n: usize| ["none", "standard", "standard", "enhanced"][n % 4];
    for n in 0..3_000 {
        let region = if n % 3 == 0 { ",\"region\":\"eea\"" } else { "" };
        lines.push_str(&format!(
            "{{\"customer\":\"c{n}\",\"levels\":{{\"ceip\":\"{}\"}}{region},\"accepted_dictionaries\":{{\"tanzu-cli\":{}}}}}\n",
            level(n),
            1 + n % 600
        ));
    }
    let import = ["participation", "import", "-", "--format", "ndjson", "--reason", "test"];
    assert_eq!(collector.client(&import, &lines).code, 0);
    let told = collector.client(&["policy", "diff", &text(&policy), &text(&next), "--json"], "").json();
    assert_eq!(told["customers"]["counted"], 3_000);
    let count = |wanted: &dyn Fn(usize) -> bool| (0..3_000).filter(|n| wanted(*n)).count();
    let at = |level: &str, region: Option<&str>| {
        let found = changes(&told, &[("product", "vcenter"), ("subject", "customer_id"), ("level", level)]);
        let found = found.into_iter().find(|change| change["region"].as_str() == region).unwrap();
        found["customers"]["at_once"].as_u64().unwrap()
    };
    let (eea, plain) =
        (count(&|n| level(n) == "standard" && n % 3 == 0), count(&|n| level(n) == "standard" && n % 3 != 0));
    assert_eq!(at("standard", Some("eea")), eea as u64);
    assert_eq!(at("standard", None), plain as u64);
    // The address was dropped in eea before: it becomes less visible for the others alone.
    assert_eq!(told["customers"]["touched"]["less"]["at_once"], plain as u64);
    assert_eq!(told["customers"]["touched"]["more"]["at_once"], (eea + plain) as u64);
    let everyone = count(&|n| level(n) != "none");
    assert_eq!(told["customers"]["touched"]["more"]["when_accepted"], everyone as u64);
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_diff_needs_no_collector_and_says_that_nobody_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (put(&dir.path().join("old"), &shipped()), put(&dir.path().join("new"), &looser()));
    let (old, new) = (text(&old), text(&new));
    let told = usaged(["policy", "diff", &old, &new]);
    assert_eq!(told.code, 0, "{}", told.err);
    for said in ["customers were not counted", "vcenter vm.inventory nics", "when accepted", "(customer id)"]
    {
        assert!(told.out.contains(said), "{said}: {}", told.out);
    }
    let same = usaged(["policy", "diff", &old, &old, "--fail-on-exposure", "--json"]);
    assert_eq!((same.code, &same.json()["changes"]), (0, &Json::Array(Vec::new())));
    assert_eq!(same.json()["customers"], Json::Null);
    let back = usaged(["policy", "diff", &new, &old, "--json"]).json();
    let there = usaged(["policy", "diff", &old, &new, "--json"]).json();
    assert_eq!(back["changes"].as_array().unwrap().len(), there["changes"].as_array().unwrap().len());
    let since = usaged(["policy", "diff", "--since", "2", "--product", "vcenter", &new, "--json"]).json();
    assert!(
        changes(&since, &[("field", "nics")]).len() == 4 && since["changes"].as_array().unwrap().len() == 4
    );
    for (args, code) in [
        (&["policy", "diff", &old][..], 2),
        (&["policy", "diff", "--shipped", &old, &new], 2),
        (&["policy", "diff", "--since", "1", "--product", "nope", &new], 2),
        (&["policy", "diff", &old, "/nonexistent"], 3),
        (&["policy", "diff", &old, &new, "--server", "127.0.0.1:1"], 4),
    ] {
        assert_eq!(usaged(args).code, code, "{args:?}");
    }
}

#[test]
fn a_region_that_the_source_names_gives_the_bytes_of_one_that_the_customer_has() {
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    let received = UnixMillis(1_790_000_000_000);
    let mut compared = 0;
    for product in policy.products() {
        for event in product.events() {
            let mut sent = crate::dictionary_events::make(product, event, |_, field| {
                Some(crate::golden_levels::example(field))
            });
            sent.time = Some(usaged::grpc::client::Timestamp { seconds: received.0 / 1000, nanos: 0 });
            let request = |region: &str| SubmitRequest {
                batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
                product: product.name().to_string(),
                instance: "vc-1".into(),
                region: region.into(),
                events: vec![sent.clone()],
                ..SubmitRequest::default()
            };
            let stored = |own: Option<&str>, senders: &str| {
                let own = own.map(|name| RegionName::new(name).unwrap());
                let explain = Explain::for_anyone(Arc::clone(&policy), own, received).unwrap();
                let levels = explain.explain(&request(senders).encode_to_vec()).unwrap();
                levels.into_iter().map(|level| level.batch).collect::<Vec<_>>()
            };
            let eea = stored(Some("eea"), "");
            assert_eq!(stored(None, "eea"), eea, "{}", event.name());
            assert_eq!(stored(Some("eea"), "eea"), eea, "{}", event.name());
            compared += usize::from(stored(None, "") != eea);
        }
    }
    assert!(compared > 10, "{compared}");
}
