//! What the ledger is told of credentials and of refusals, on a real collector with identities: who issued and revoked
//! which token, who asked for an erasure, and each kind of refusal; never a token, and no name of a customer.

use usaged::grpc::client::ClientTls;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::admin::{GetStatusRequest, ReloadPolicyRequest};
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{AcknowledgeRequest, PullRequest};
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::ledger::Refusal;

use crate::cli_run::usaged;
use crate::fault_daemon::until;
use crate::grpc_collector::from;
use crate::identity_world::{Names, World, channel};
use crate::ledger_world::{leaves, write_leaves};

/// Every entry of the ledger, as it lies on the disk.
fn told(world: &World) -> String {
    let leaves = leaves(&world.path("data/ledger"));
    leaves.into_iter().map(|leaf| String::from_utf8(leaf).unwrap() + "\n").collect()
}

fn submit(name: &str, product: &str) -> SubmitRequest {
    let mut batch = crate::grpc_collector::batch(1, "esx-1.example.com");
    (batch.batch_id, batch.product) = (uuid::Uuid::new_v4().to_string(), product.to_owned());
    batch.events[0].name = name.to_owned();
    batch
}

// covers: P1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_erasures_are_on_the_ledger_with_who_did_it_and_without_whom_they_are_of() {
    let world = World::new();
    let daemon = world.place().start();
    let change = ["--level", "ceip=standard", "--reason", "t"];
    world.done(&daemon.grpc, &[&["participation", "set", "canary.example"][..], &change].concat());
    let issue = |name: &str, role: &[&str]| {
        let args =
            [&["token", "issue", "--json", "--name", name, "--by", "somebody else"][..], role].concat();
        let issued = world.done(&daemon.grpc, &args).json();
        (issued["token"]["id"].as_str().unwrap().to_owned(), issued["text"].as_str().unwrap().to_owned())
    };
    let sender = issue("canary.token", &["--role", "sender", "--customer", "canary.example"]);
    let drainer = issue("jobs", &["--role", "drainer", "--subscription", "jobs"]);
    let relay = ["--role", "relay", "--customer", "other.example", "--customer", "canary.example"];
    let relay = issue("relays", &relay);
    world.done(&daemon.grpc, &["token", "revoke", &drainer.0, "--by", "night shift"]);
    world.done(&daemon.grpc, &["token", "revoke", &drainer.0]);
    let erase = ["erase", "--customer", "canary.example", "--everything", "--by", "dpo", "--json"];
    let erased = world.done(&daemon.grpc, &erase).json();
    assert_eq!(erased["requested_by"], "ops (dpo)", "{erased}");
    assert_eq!(daemon.end(), 0);

    let told = told(&world);
    let entries: Vec<&str> = told.lines().filter(|line| line.contains("\"kind\":\"token_")).collect();
    let fact = |kind: &str, id: &str, role: &str| {
        format!("{{\"kind\":\"token_{kind}\",\"token\":\"{id}\",\"role\":\"{role}\",")
    };
    assert_eq!(entries.len(), 6, "one for each: what was revoked again is not: {told}");
    for (entry, (kind, id, role)) in entries.iter().zip([
        ("issued", &sender.0, "sender"),
        ("issued", &drainer.0, "drainer"),
        ("issued", &relay.0, "relay"),
        ("revoked", &drainer.0, "drainer"),
    ]) {
        assert!(entry.contains(&fact(kind, id, role)), "{kind}: {entry}");
    }
    // Whoever is known is named as the operator named it, whatever it says of itself.
    assert!(entries[..3].iter().all(|entry| entry.contains("\"by\":\"ops\"")), "{told}");
    assert!(entries[3].contains("\"by\":\"ops (night shift)\""), "{told}");
    for token in [&sender, &relay] {
        let gone = entries[4..].iter().find(|entry| entry.contains(&token.0)).unwrap();
        assert!(gone.contains("token_revoked") && gone.contains("\"by\":\"ops (dpo)\""), "{gone}");
    }
    let erasure = told.lines().filter(|line| line.contains("erasure_stepped")).collect::<Vec<_>>();
    let by = erasure.iter().filter(|line| line.contains("\"by\":\"ops (dpo)\"")).collect::<Vec<_>>();
    assert!(by.len() == 1 && by[0].contains("\"step\":\"fenced\""), "{erasure:?}");
    for text in ["usaged_", "canary", "other.example", &sender.1[7..], &drainer.1[7..]] {
        assert!(!told.contains(text), "{text} is on the ledger: {told}");
    }
    let ledger = world.path("data/ledger").display().to_string();
    assert_eq!(usaged(["ledger", "verify", &ledger]).code, 0);
}

#[test]
fn where_nobody_is_known_the_ledger_has_what_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let collector = crate::cli_run::Collector::start(dir.path(), &[]);
    let issue = ["token", "issue", "--name", "a", "--role", "auditor", "--by", "ann", "--json"];
    let issued = collector.client(&issue, "").json();
    let id = issued["token"]["id"].as_str().unwrap();
    let long = "x".repeat(129);
    let refused = collector.client(&["token", "revoke", id, "--by", &long], "");
    assert!(refused.code != 0 && refused.err.contains("revoked_by"), "{}", refused.err);
    assert_eq!(collector.client(&["token", "revoke", id], "").code, 0);
    let tail = || collector.client(&["ledger", "tail"], "").out;
    until("the revocation is told", || tail().contains("revoked"));
    let shown = tail();
    assert!(shown.contains(&format!("token {id} of a role auditor issued until ")), "{shown}");
    assert!(shown.contains(", by ann"), "{shown}");
    assert!(shown.contains(&format!("token {id} of a role auditor revoked, by tester")), "{shown}");
    assert_eq!(collector.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_refusal_comes_to_the_ledger_as_a_sum() {
    let world = World::new();
    let policy = world.path("policy");
    for file in usaged::policy::shipped() {
        let path = policy.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    let dir = policy.display().to_string();
    let place = || world.place().with(&["--set", "ledger.totals_every=1s", "--policy-dir", &dir]);
    let daemon = place().start();
    let set = |level: &str| {
        let args = ["participation", "set", "acme", "--level", level, "--reason", "t"];
        world.run(&daemon.grpc, &args)
    };
    assert_eq!(set("ceip=enhanced").code, 0);
    let create = ["subscription", "create", "improve-job", "--purpose", "improve", "--recipient", "r"];
    world.done(&daemon.grpc, &create);
    let acme = channel(&daemon.grpc, &world.with(&world.sender("acme"))).await;
    let globex = channel(&daemon.grpc, &world.with(&world.sender("globex"))).await;
    let drainer = world.ca.client(Names { cn: Some("improve-job"), ..Names::default() });
    let drainer = channel(&daemon.grpc, &world.with(&drainer)).await;

    let mut sender = IngestServiceClient::new(acme.clone());
    sender.submit(submit("vm.inventory", "vcenter")).await.unwrap();
    sender.submit(submit("vm.inventory", "nosuch")).await.unwrap();
    sender.submit(from("globex", submit("vm.inventory", "vcenter"))).await.unwrap_err();
    IngestServiceClient::new(globex).submit(submit("vm.inventory", "vcenter")).await.unwrap();
    AdminServiceClient::new(acme).get_status(GetStatusRequest {}).await.unwrap_err();
    let made_up = ClientTls { token: Some("letmein".to_owned()), ..world.tls() };
    let nobody = channel(&daemon.grpc, &made_up).await;
    AdminServiceClient::new(nobody).get_status(GetStatusRequest {}).await.unwrap_err();
    assert_ne!(set("ceip=nosuch").code, 0);
    let erase = ["erase", "--customer", "initech", "--class", "host_name", "--value", "a.example.com"];
    assert_ne!(world.run(&daemon.grpc, &erase).code, 0);

    let mut drain = DrainServiceClient::new(drainer);
    let subscription = "improve-job".to_owned();
    let pull = PullRequest { subscription: subscription.clone(), ..PullRequest::default() };
    let pulled = drain.pull(pull).await.unwrap().into_inner();
    let ack_ids: Vec<_> = pulled.batches.iter().map(|received| received.ack_id.clone()).collect();
    assert_eq!(ack_ids.len(), 1);
    assert_eq!(set("ceip=standard").code, 0);
    drain.acknowledge(AcknowledgeRequest { subscription, ack_ids }).await.unwrap();

    let vcenter = policy.join("products/vcenter.toml");
    let good = std::fs::read_to_string(&vcenter).unwrap();
    std::fs::write(&vcenter, "nonsense").unwrap();
    let operator = channel(&daemon.grpc, &world.with(&world.operator())).await;
    AdminServiceClient::new(operator).reload_policy(ReloadPolicyRequest {}).await.unwrap_err();
    std::fs::write(&vcenter, good).unwrap();

    let is_told = |told: &str, kind: &Refusal| told.contains(&format!("\"what\":\"{kind}\""));
    let at_once = || Refusal::ALL.iter().filter(|kind| **kind != Refusal::LedgerBroken);
    until("each is told", || at_once().all(|kind| is_told(&told(&world), kind)));
    assert_eq!(daemon.end(), 0);
    let said = told(&world);
    for name in ["acme", "globex", "initech", "letmein", "nosuch", "a.example.com"] {
        assert!(!said.contains(name), "{name} is on the ledger: {said}");
    }

    // And the last: a ledger that was changed, where that is accepted.
    let ledger = world.path("data/ledger");
    let mut all = leaves(&ledger);
    let at = all.iter().position(|leaf| leaf.windows(7).any(|part| part == b"\"0.1.0\"")).unwrap();
    all[at] = String::from_utf8(all[at].clone()).unwrap().replace("\"0.1.0\"", "\"0.2.0\"").into_bytes();
    write_leaves(&ledger, &all);
    let daemon = place().with(&["--accept-ledger-break"]).start();
    until("the break is told", || is_told(&told(&world), &Refusal::LedgerBroken));
    assert_eq!(daemon.end(), 0);
}

// covers: P1
/// Whoever issues a token chooses its name, and may not choose that of an identity of the file. What is remembered of a
/// change names the token, too, so that two of one name are two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_acts_in_no_other_s_name() {
    let world = World::new();
    let daemon = world.place().start();
    let issue = |name: &str| {
        let args = ["token", "issue", "--json", "--name", name, "--role", "operator"];
        world.run(&daemon.grpc, &args)
    };
    for taken in ["ops", "Ops", "audit", "customers"] {
        let refused = issue(taken);
        assert!(refused.code != 0 && refused.err.contains("choose another name"), "{taken}: {}", refused.err);
    }
    let night = issue("night").json();
    let (id, text) = (night["token"]["id"].as_str().unwrap(), night["text"].as_str().unwrap());
    let file = world.path("night.token");
    world.put("night.token", text);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (file, ca) = (file.display().to_string(), world.path("pki/ca.pem").display().to_string());
    let with = ["--server", &daemon.grpc, "--tls-ca", &ca, "--token-file", &file];
    let run = |args: &[&str]| {
        let ended = usaged(args.iter().chain(&with));
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended
    };
    let night = format!("night/{id}");
    run(&["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t", "--by", "ops"]);
    let history = run(&["participation", "history", "acme", "--json"]).out;
    assert!(history.contains(&format!("\"{night} (ops)\"")), "{history}");
    let another =
        run(&["token", "issue", "--json", "--name", "night", "--role", "auditor", "--by", "ops"]).json();
    assert_eq!(another["token"]["issued_by"], *night);
    run(&["token", "revoke", another["token"]["id"].as_str().unwrap(), "--by", "ops"]);

    // A later identity of the file with the name of a token that holds: it is told.
    let later = "[[identity]]\nname = \"Night\"\nrole = \"auditor\"\nsan_dns = \"night.vendor.example\"\n";
    world.put("pki/identities.toml", &format!("{}\n{later}", crate::identity_world::IDENTITIES));
    let told = "a token is called as an identity of the file is";
    until("the clash is told", || world.place().said().lines().any(|l| l.contains(told) && l.contains(id)));
    assert_eq!(daemon.end(), 0);
    let told = self::told(&world);
    assert!(told.contains(&format!("\"by\":\"{night}\"")), "{told}");
    assert!(told.contains(&format!("\"by\":\"{night} (ops)\"")), "{told}");
}
