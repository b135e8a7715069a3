//! `deliver`, `audit` and `paused`, on a real collector: what is stored, what leaves, what senders are told;
//! and what an operator can find out about a batch afterwards.

use serde_json::Value as Json;

use crate::cli_run::{Collector, Ended};

const EVENT: &str =
    r#"{"name":"vm.power_on","fields":{"vm_id":"vm-42","initiator":"jane@example.com","x":1}}"#;

fn ok(told: Ended) -> Ended {
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    told
}

fn set(collector: &Collector, delivery: &str) {
    let set = ["participation", "set", "acme", "--level", "ceip=enhanced", "--delivery", delivery];
    ok(collector.client(&[&set[..], &["--reason", "test"]].concat(), ""));
}

/// Sends a batch; the states and what was stored.
fn send(collector: &Collector) -> Json {
    let send = ["send", "--customer", "acme", "--product", "vcenter", "--json"];
    ok(collector.client(&send, &format!("{EVENT}\n"))).json()
}

fn plan(collector: &Collector) -> Json {
    ok(collector.client(&["plan", "--customer", "acme", "--product", "vcenter", "--json"], "")).json()
}

/// What the subscription is given now.
fn drained(collector: &Collector) -> usize {
    ok(collector.client(&["drain", "jobs"], "")).out.lines().count()
}

/// What is stored of the customer, as an operator sees it.
fn stored(collector: &Collector) -> Vec<Json> {
    let told = ok(collector.client(&["participation", "audit", "acme", "--json"], ""));
    told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn audit_is_stored_and_shown_and_does_not_leave_and_paused_is_not_even_stored() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let create =
        ["subscription", "create", "jobs", "--purpose", "improve", "--recipient", "x", "--from-oldest"];
    ok(collector.client(&create, ""));

    // Audit: stored, inspectable, never drained.
    set(&collector, "audit");
    assert_eq!(plan(&collector)["state"], "audit");
    assert_eq!(send(&collector)["states"]["stored"], 1);
    assert_eq!(drained(&collector), 0);
    let seen = stored(&collector);
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0]["state"], &seen[0]["level"]), (&Json::from("stored"), &Json::from("enhanced")));
    let fields = &seen[0]["events"][0]["fields"];
    assert!(fields["vm_id"].as_str().unwrap().starts_with("p1-vm_id-s-"), "{fields}");
    let told = ok(collector.client(&["participation", "audit", "acme"], ""));
    assert!(told.out.contains("ceip enhanced") && !told.out.contains("jane@example.com"), "{}", told.out);

    // Paused: senders are told to stop, and to ask again; nothing is stored.
    set(&collector, "paused");
    let paused = plan(&collector);
    assert_eq!(
        (&paused["state"], &paused["time_to_live_seconds"]),
        (&Json::from("paused"), &Json::from(3600))
    );
    assert!(paused["events"].as_array().unwrap().is_empty());
    assert_eq!(send(&collector)["states"]["disabled"], 1);
    assert_eq!(stored(&collector).len(), 1);

    // Delivering again: what was audited stays, what comes now leaves.
    set(&collector, "deliver");
    assert_eq!(plan(&collector)["state"], "deliver");
    assert_eq!(drained(&collector), 0);
    assert_eq!(send(&collector)["states"]["stored"], 1);
    assert_eq!(drained(&collector), 1);
    assert_eq!(stored(&collector).len(), 2);
    assert_eq!(collector.end(), 0);
}

#[test]
fn what_is_not_there_is_said_plainly() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let unknown = collector.client(&["participation", "audit", "nobody"], "");
    assert_eq!(unknown.code, 5, "{}", unknown.err);
    let plan =
        ok(collector.client(&["plan", "--customer", "nobody", "--product", "made-up", "--json"], "")).json();
    assert_eq!(
        (&plan["state"], &plan["reason"]),
        (&Json::from("disabled"), &Json::from("not_participating"))
    );
    set(&collector, "deliver");
    let plan =
        ok(collector.client(&["plan", "--customer", "acme", "--product", "made-up", "--json"], "")).json();
    assert_eq!((&plan["state"], &plan["reason"]), (&Json::from("disabled"), &Json::from("unknown_product")));
    assert!(plan["remedy"].as_str().unwrap().contains("dictionary"));
    let batch =
        ["policy", "explain", "--customer", "acme", "--batch", "0190a3c2-7b1e-7c55-9d2f-0123456789ab"];
    let unknown = collector.client(&batch, "");
    assert!(unknown.code == 5 && unknown.err.contains("at least 24 h"), "{}", unknown.err);
    assert_eq!(collector.end(), 0);
}
