//! What an operator is told of a batch: its outcomes, what is stored of it and why, where it stands.

use serde_json::{Value as Json, json};
use usaged::grpc::client::{Code, connect};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::admin::{ExplainBatchRequest, ExplainEventRequest};
use usaged::grpc::proto::ingest::collection_plan::State as PlanState;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::submit_response::State;
use usaged::grpc::proto::ingest::submit_stream_response::Result as Answer;
use usaged::grpc::proto::ingest::{Event, GetCollectionPlanRequest, SubmitRequest};

use crate::cli_run::{Collector, Ended};
use crate::dictionary_events::{field, text, value};
use crate::grpc_collector::{self, Collector as Door, from, participation, set};
use usaged::grpc::client::Message as _;
use usaged::grpc::proto::ingest::value::Kind;

fn ok(told: Ended) -> Ended {
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    told
}

/// A batch with events of both programs, and something wrong in each way.
fn request(id: &str) -> SubmitRequest {
    let event = |name: &str, fields| Event { name: name.into(), fields, ..Event::default() };
    let inventory = vec![
        field("host", text("esx-7.example.com")),
        field("vcpus", value(Kind::IntValue(8))),
        field("power_state", value(Kind::IntValue(1))),
        field("made_up", text("x")),
    ];
    let log = vec![field("service", text("vpxd")), field("message", text("jane@example.com logged in"))];
    let status = vec![field("customer", text("acme")), field("contact.email", text("x"))];
    SubmitRequest {
        batch_id: id.into(),
        product: "vcenter".into(),
        instance: "vc-1".into(),
        events: vec![
            event("vm.inventory", inventory.clone()),
            event("vm.inventory", inventory),
            event("support.log_line", log),
            event("entitlement.status", status),
            event("vm.made_up", vec![]),
        ],
        ..SubmitRequest::default()
    }
}

fn find<'j>(list: &'j Json, key: &str, wanted: &str) -> &'j Json {
    let found = list.as_array().unwrap().iter().find(|one| one[key] == wanted);
    found.unwrap_or_else(|| panic!("{wanted} is not in {list}"))
}

const ID: &str = "0190a3c2-7b1e-7c55-9d2f-0123456789ab";

#[test]
fn a_batch_is_explained_by_its_id_from_its_counts_to_its_drainers() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let levels = |level: &str| {
        let set = ["participation", "set", "acme", "--level", level, "--level", "operational=operational"];
        ok(collector.client(&[&set[..], &["--reason", "test"]].concat(), ""));
    };
    levels("ceip=enhanced");
    for (name, purpose) in [("improve", "improve"), ("deliver", "deliver"), ("late", "improve")] {
        let create = ["subscription", "create", name, "--purpose", purpose, "--recipient", "lab"];
        if name != "late" {
            ok(collector.client(&create, ""));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let receipt = runtime.block_on(async {
        let mut ingest = IngestServiceClient::new(connect(&collector.grpc).await.unwrap());
        ingest.submit(from("acme", request(ID))).await.unwrap().into_inner()
    });
    let create = ["subscription", "create", "late", "--purpose", "improve", "--recipient", "lab"];
    ok(collector.client(&create, ""));
    let explain = ["policy", "explain", "--customer", "acme", "--batch", ID];
    let told = ok(collector.client(&[&explain[..], &["--json"]].concat(), "")).json();

    // The counts are those of the receipt, each with what it means.
    assert_eq!((&told["received_events"], &told["accepted_events"]), (&json!(5), &json!(4)));
    assert_eq!(find(&told["withheld_events"], "outcome", "unknown_event")["count"], 1);
    let wrong = find(&told["withheld_fields"], "outcome", "wrong_type");
    assert_eq!(
        (&wrong["count"], &wrong["remedy"]),
        (&json!(2), &json!("send the type that the dictionary declares"))
    );
    assert_eq!(find(&told["withheld_fields"], "outcome", "unknown_field")["count"], 3);
    let stored: u64 =
        told["stored_fields"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
    assert_eq!(stored, u64::from(receipt.accepted_fields));
    assert_eq!(told["levels"], json!({"ceip": "enhanced", "operational": "operational"}));

    // Two programs, two records, the last of which is what the receipt said.
    let records = told["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1]["commit_number"], receipt.commit_number);
    let ceip = find(&told["records"], "program", "ceip");
    assert_eq!(
        (&ceip["level"], &ceip["state"], &ceip["dictionary_version"]),
        (&json!("enhanced"), &json!("stored"), &json!(2))
    );
    assert_eq!(ceip["notes"], json!([]));
    assert_eq!(ceip["events"].as_array().unwrap().len(), 3);

    // Field by field: what is stored, in which form, by which rule; and what is not.
    let inventory = find(&ceip["explained"], "name", "vm.inventory");
    assert_eq!(inventory["count"], 2);
    let host = find(&inventory["stored"], "path", "host");
    assert_eq!(
        (&host["treatment"], &host["why"]),
        (&json!("pseudonym"), &json!("`enhanced` of `ceip` has `pseudonym` for `host_name`"))
    );
    assert_eq!(find(&inventory["stored"], "path", "vcpus")["treatment"], "keep");
    let operational = find(&told["records"], "program", "operational");
    let status = find(&operational["explained"], "name", "entitlement.status");
    let email = find(&status["withheld"], "path", "contact.email");
    assert!(email["why"].as_str().unwrap().contains("has `drop` for `email`"), "{email}");

    // Where it stands.
    let standing = |told: &Json, program: &str, name: &str| {
        let record = find(&told["records"], "program", program).clone();
        find(&record["standings"], "subscription", name)["standing"].as_str().unwrap().to_owned()
    };
    assert_eq!(standing(&told, "ceip", "improve"), "waiting");
    assert_eq!(standing(&told, "ceip", "deliver"), "not for it");
    assert_eq!(standing(&told, "ceip", "late"), "before");
    ok(collector.client(&["drain", "improve"], ""));
    levels("ceip=standard");
    let told = ok(collector.client(&[&explain[..], &["--json"]].concat(), "")).json();
    assert_eq!(standing(&told, "ceip", "improve"), "done");
    let notes = find(&told["records"], "program", "ceip")["notes"].to_string();
    // Once the disk has followed, the record itself says the lower level.
    let is_lowered = find(&told["records"], "program", "ceip")["level"] == "standard";
    assert!(is_lowered || notes.contains("in force now is `standard`, lower than `enhanced`"), "{notes}");

    // For people the same; and nobody else's batch.
    let text = ok(collector.client(&explain, "")).out;
    for part in ["5 received, 4 stored", "vm.inventory (2 times)", "not stored", "unknown_event"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("jane@example.com") && !text.contains("esx-7"));
    ok(collector.client(&["participation", "set", "other", "--reason", "test"], ""));
    let other = ["policy", "explain", "--customer", "other", "--batch", ID];
    assert!(collector.client(&other, "").err.contains("BATCH_NOT_FOUND"));
    drop(runtime);
    assert_eq!(collector.end(), 0);
}

#[test]
fn an_event_is_explained_as_a_real_customer_would_have_it_stored() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set =
        ["participation", "set", "acme", "--level", "ceip=standard", "--region", "eea", "--reason", "test"];
    ok(collector.client(&set, ""));
    let lines = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"esx-7.example.com\",\"mac\":\"00:50:56:aa:bb:cc\"}}\n\
                 {\"name\":\"host.inventory\",\"fields\":{\"labels\":{\"team\":\"red\"},\"hardware\":{\"memory_gb\":100}}}\n";
    let explain = ["policy", "explain", "--customer", "acme", "--product", "vcenter"];
    let told = ok(collector.client(&[&explain[..], &["--json"]].concat(), lines)).json();
    let levels = told["levels"].as_array().unwrap();
    let in_force: Vec<_> = levels.iter().filter(|level| level["in_force"] == true).collect();
    assert_eq!(in_force.len(), 1);
    assert_eq!((&in_force[0]["program"], &in_force[0]["level"]), (&json!("ceip"), &json!("standard")));
    let fields = &in_force[0]["events"][0]["fields"];
    let host = fields["host"].as_str().unwrap();
    assert!(
        host.starts_with("p1-host_name-s-") && fields["mac"].is_null(),
        "the region of the customer holds: {fields}"
    );

    // It is the token that is stored, and not that of the made-up customer.
    let send = ["send", "--customer", "acme", "--product", "vcenter"];
    ok(collector.client(&send, lines));
    let stored = ok(collector.client(&["participation", "audit", "acme"], "")).out;
    assert!(stored.contains(host), "{host} in {stored}");
    let offline =
        ok(crate::cli_run::usaged_with(["policy", "explain", "--product", "vcenter", "--json"], lines));
    assert!(!offline.out.contains(host));

    let text = ok(collector.client(&[&explain[..], &["--why"]].concat(), lines)).out;
    for part in
        ["ceip standard (in force)", "hardware.memory_gb", "the region `eea` has `drop` for `mac_address`"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(collector.end(), 0);
}

#[tokio::test]
async fn the_region_that_is_asked_about_comes_on_top_of_the_customers_own() {
    let door = Door::open().await;
    let mut eea = participation("acme", "standard");
    eea.region = "eea".into();
    door.admin().set_participation(set(eea)).await.unwrap();
    let ask = |region: &str, senders: &str| ExplainEventRequest {
        submit_request: SubmitRequest { region: senders.into(), ..request(ID) }.encode_to_vec().into(),
        customer: "acme".into(),
        region: region.into(),
    };
    let mut admin = AdminServiceClient::new(door.channel.clone());
    let own = admin.explain_event(ask("", "")).await.unwrap().into_inner();
    let same = admin.explain_event(ask("eea", "eea")).await.unwrap().into_inner();
    let batch = |told: &usaged::grpc::proto::admin::ExplainEventResponse| {
        let level = told.levels.iter().find(|level| level.level == "standard").unwrap();
        usaged::grpc::proto::drain::Batch::decode(level.batch.clone()).unwrap()
    };
    assert_eq!((batch(&own).region, batch(&same).region), ("eea".into(), "eea".into()));
    let odd = admin.explain_event(ask("eea", "atlantis")).await.unwrap_err();
    assert_eq!(odd.code(), Code::InvalidArgument);
    assert!(!odd.message().contains("atlantis"));
    let shapes: Vec<_> =
        own.events.iter().map(|shape| (shape.name.as_str(), shape.program.as_str())).collect();
    assert_eq!(
        (shapes[0], shapes[3], shapes[4]),
        (("vm.inventory", "ceip"), ("entitlement.status", "operational"), ("", ""))
    );
    door.close().await;
}

#[tokio::test]
async fn every_receipt_says_which_plan_holds_now() {
    let door = Door::open().await;
    door.participate("acme", "enhanced").await;
    let mut ingest = door.ingest();
    let ask =
        || GetCollectionPlanRequest { product: "vcenter".into(), ..GetCollectionPlanRequest::default() };
    let plan = ingest.get_collection_plan(from("acme", ask())).await.unwrap().into_inner();
    assert_eq!((plan.state(), plan.plan_version.len()), (PlanState::Deliver, 16));
    assert_eq!(plan.time_to_live.unwrap().seconds, 3600);

    let with = |version: &str, number| SubmitRequest {
        plan_version: version.into(),
        ..grpc_collector::batch(number, "esx-1.example.com")
    };
    for (number, version, changed) in
        [(1, "", false), (2, &*plan.plan_version, false), (3, "0123456789abcdef", true)]
    {
        let receipt = ingest.submit(from("acme", with(version, number))).await.unwrap().into_inner();
        assert_eq!((receipt.state(), receipt.plan_changed), (State::Stored, changed), "{version}");
        assert_eq!((&receipt.plan_version, receipt.plan_state()), (&plan.plan_version, PlanState::Deliver));
    }

    // A retry is answered as it was, but for the plan, which is that of now; also in a stream.
    door.participate("acme", "standard").await;
    let again = ingest.submit(from("acme", with(&plan.plan_version, 2))).await.unwrap().into_inner();
    assert_eq!((again.state(), again.plan_changed), (State::Duplicate, true));
    assert_eq!(again.effective_levels[0].level, "enhanced");
    let now = ingest.get_collection_plan(from("acme", ask())).await.unwrap().into_inner();
    assert_eq!(again.plan_version, now.plan_version);
    assert_ne!(now.plan_version, plan.plan_version);
    let stream = from("acme", tokio_stream::iter([with(&plan.plan_version, 2), with(&now.plan_version, 4)]));
    let mut answers = ingest.submit_stream(stream).await.unwrap().into_inner();
    for (state, changed) in [(State::Duplicate, true), (State::Stored, false)] {
        let Some(Answer::Receipt(receipt)) = answers.message().await.unwrap().unwrap().result else {
            panic!()
        };
        assert_eq!(
            (receipt.state(), receipt.plan_changed, &receipt.plan_version),
            (state, changed, &now.plan_version)
        );
    }

    // Told to stop, in a way that tells why.
    let mut paused = participation("acme", "standard");
    paused.delivery = "paused".into();
    door.admin().set_participation(set(paused)).await.unwrap();
    let stopped = ingest.submit(from("acme", with(&now.plan_version, 5))).await.unwrap().into_inner();
    assert_eq!((stopped.state(), stopped.plan_state()), (State::Disabled, PlanState::Paused));
    assert!(stopped.plan_changed && stopped.plan_time_to_live.unwrap().seconds == 3600);
    let unknown = ingest.submit(from("nobody", with("", 6))).await.unwrap().into_inner();
    assert_eq!((unknown.state(), unknown.plan_state()), (State::Disabled, PlanState::Disabled));
    let paused = ingest.get_collection_plan(from("acme", ask())).await.unwrap().into_inner();
    assert_eq!((paused.state(), &paused.plan_version), (PlanState::Paused, &stopped.plan_version));
    assert!(paused.events.is_empty() && paused.remedy.contains("paused"));

    // What is not a question is refused by its field, and not quoted.
    for (request, field) in [
        (GetCollectionPlanRequest::default(), "product"),
        (GetCollectionPlanRequest { product: "p".repeat(129), ..ask() }, "product"),
        (GetCollectionPlanRequest { level_caps: vec![Default::default(); 17], ..ask() }, "level_caps"),
    ] {
        let refused = ingest.get_collection_plan(from("acme", request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused}");
    }
    let huge = GetCollectionPlanRequest { region: "r".repeat(20_000), ..ask() };
    assert_eq!(
        ingest.get_collection_plan(from("acme", huge)).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let bad = ExplainBatchRequest { customer: "acme".into(), batch_id: "jane@example.com".into() };
    let refused = door.admin().explain_batch(bad).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && !refused.message().contains("jane"), "{refused}");
    drop(answers);
    door.close().await;
}
