//! The three services of a whole collector, each method as a client sees it.

use std::sync::atomic::Ordering;

use prost::Message;
use prost_types::Duration;
use tokio_stream::StreamExt;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_types::StatusExt;
use usaged::grpc::client::{Code, Status};
use usaged::grpc::proto::admin as pb;
use usaged::grpc::proto::drain as dr;
use usaged::grpc::proto::ingest::{Reason, submit_response::State};

use crate::grpc_collector::{Collector, batch, from, import, participation, set, subscription};

const HOST: &str = "canary-host-91.example";

fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    let reason = status.get_error_details().error_info().expect("every refusal has a reason").reason.clone();
    (status.code(), reason)
}

// covers: P2, D3
#[tokio::test]
async fn a_batch_is_received_stored_pulled_and_acknowledged() {
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.subscribe("jobs").await;
    // A retry is the same bytes; a map that is built anew may come out in another order.
    let first = batch(1, HOST);
    let receipt = collector.ingest().submit(from("acme", first.clone())).await.unwrap().into_inner();
    assert_eq!(receipt.state(), State::Stored);
    assert_eq!((receipt.received_events, receipt.accepted_events, receipt.accepted_fields), (1, 1, 2));
    let withheld = receipt.withheld.first().unwrap();
    assert_eq!(withheld.reason(), Reason::UnknownField);
    assert_eq!(withheld.place, "events[0].fields[\"made_up\"]", "the sender is told its own name");
    assert_eq!(receipt.effective_levels.first().unwrap().level, "standard");

    let again = collector.ingest().submit(from("acme", first)).await.unwrap().into_inner();
    assert_eq!((again.state(), again.commit_number), (State::Duplicate, receipt.commit_number));
    let reused = refused(collector.ingest().submit(from("acme", batch(1, "other"))).await);
    assert_eq!(reused, (Code::InvalidArgument, "BATCH_ID_REUSED".to_owned()));
    let nobody = collector.ingest().submit(from("unknown", batch(1, HOST))).await.unwrap().into_inner();
    assert_eq!((nobody.state(), nobody.commit_number), (State::Disabled, 0));

    let pull = dr::PullRequest { subscription: "jobs".into(), ..dr::PullRequest::default() };
    let pulled = collector.drain().pull(pull.clone()).await.unwrap().into_inner().batches;
    let [received] = pulled.as_slice() else { panic!("{} batches", pulled.len()) };
    assert_eq!((received.delivery_attempt, received.commit_number), (1, receipt.commit_number));
    let stored = dr::Batch::decode(received.batch.clone()).unwrap();
    assert_eq!(
        (stored.product.as_str(), stored.level.as_str(), stored.events.len()),
        ("vcenter", "standard", 1)
    );
    assert!(!received.batch.windows(HOST.len()).any(|bytes| bytes == HOST.as_bytes()));

    let acknowledge =
        |id: &str| dr::AcknowledgeRequest { subscription: "jobs".into(), ack_ids: vec![id.to_owned()] };
    let done = collector.drain().acknowledge(acknowledge(&received.ack_id)).await.unwrap().into_inner();
    assert_eq!((done.acknowledged, done.failures.len()), (1, 0));
    let late = collector.drain().acknowledge(acknowledge("nonsense")).await.unwrap().into_inner();
    assert_eq!(late.failures.first().unwrap().reason(), dr::ack_failure::Reason::Unknown);
    assert_eq!(collector.drain().pull(pull).await.unwrap().into_inner().batches.len(), 0);
    let get = dr::GetSubscriptionRequest { name: "jobs".into() };
    let state = collector.drain().get_subscription(get).await.unwrap().into_inner();
    assert_eq!((state.acknowledged_batches, state.waiting_batches), (1, 0));
}

#[tokio::test]
async fn a_batch_that_is_given_back_comes_again() {
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.subscribe("jobs").await;
    collector.ingest().submit(from("acme", batch(1, HOST))).await.unwrap();
    let pull = dr::PullRequest {
        subscription: "jobs".into(),
        max_wait: Some(Duration { seconds: 5, nanos: 0 }),
        ..dr::PullRequest::default()
    };
    for attempt in 1..=5 {
        let pulled = collector.drain().pull(pull.clone()).await.unwrap().into_inner().batches;
        assert_eq!(pulled.first().unwrap().delivery_attempt, attempt);
        let request = dr::ModifyAckDeadlineRequest {
            subscription: "jobs".into(),
            ack_ids: pulled.iter().map(|b| b.ack_id.clone()).collect(),
            ack_deadline: None,
        };
        assert_eq!(collector.drain().modify_ack_deadline(request).await.unwrap().into_inner().modified, 1);
    }
    let list = dr::ListDeadLettersRequest {
        subscription: "jobs".into(),
        include_batches: true,
        ..dr::ListDeadLettersRequest::default()
    };
    let dead = collector.drain().list_dead_letters(list).await.unwrap().into_inner().dead_letters;
    let [letter] = dead.as_slice() else { panic!("{} dead letters", dead.len()) };
    assert_eq!((letter.delivery_attempts, letter.reason.as_str()), (5, "attempts"));
    assert!(dr::Batch::decode(letter.batch.clone().unwrap()).unwrap().dictionary_version > 0);
    let replay = dr::ReplayDeadLettersRequest { subscription: "jobs".into(), commit_numbers: vec![] };
    assert_eq!(collector.drain().replay_dead_letters(replay).await.unwrap().into_inner().replayed, 1);
    assert_eq!(collector.drain().pull(pull).await.unwrap().into_inner().batches[0].delivery_attempt, 1);
}

#[tokio::test]
async fn subscriptions_are_created_listed_sought_and_deleted() {
    let collector = Collector::open().await;
    let mut drain = collector.drain();
    for name in ["a", "b", "c"] {
        let made = collector.subscribe(name).await;
        assert_eq!(made.ack_deadline, Some(Duration { seconds: 60, nanos: 0 }));
        assert_eq!(made.max_delivery_attempts, 5);
    }
    let again = dr::CreateSubscriptionRequest { subscription: Some(subscription("a")) };
    assert_eq!(
        refused(drain.create_subscription(again).await),
        (Code::AlreadyExists, "SUBSCRIPTION_EXISTS".to_owned())
    );
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = dr::ListSubscriptionsRequest { page_size: 2, page_token };
        let page = drain.list_subscriptions(request).await.unwrap().into_inner();
        names.extend(page.subscriptions.into_iter().map(|s| s.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    let seek =
        dr::SeekRequest { subscription: "a".into(), target: Some(dr::seek_request::Target::Oldest(false)) };
    assert_eq!(drain.seek(seek).await.unwrap().into_inner().cursor, 1);
    drain.delete_subscription(dr::DeleteSubscriptionRequest { name: "a".into() }).await.unwrap();
    let gone = drain.get_subscription(dr::GetSubscriptionRequest { name: "a".into() }).await;
    assert_eq!(refused(gone), (Code::NotFound, "SUBSCRIPTION_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_wrong_subscription_is_refused_by_its_field() {
    let collector = Collector::open().await;
    let wrong: [(&str, fn(&mut dr::Subscription)); 6] = [
        ("subscription.name", |s| s.name = "No".into()),
        ("subscription.purpose", |s| s.purpose = 0),
        ("subscription.recipient", |s| s.recipient.clear()),
        ("subscription.ack_deadline", |s| s.ack_deadline = Some(Duration { seconds: 601, nanos: 0 })),
        ("subscription.max_delivery_attempts", |s| s.max_delivery_attempts = 101),
        ("subscription.programs", |s| s.programs = vec!["../x".into()]),
    ];
    for (field, change) in wrong {
        let mut given = subscription("jobs");
        change(&mut given);
        let request = dr::CreateSubscriptionRequest { subscription: Some(given) };
        let status = collector.drain().create_subscription(request).await.unwrap_err();
        let details = status.get_error_details();
        let named = &details.bad_request().unwrap().field_violations.first().unwrap().field;
        assert_eq!((status.code(), named.as_str()), (Code::InvalidArgument, field));
    }
}

#[tokio::test]
async fn a_streaming_pull_sends_up_to_the_limit_and_goes_on_with_each_acknowledgement() {
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.subscribe("jobs").await;
    for number in 0..10 {
        collector.ingest().submit(from("acme", batch(number, HOST))).await.unwrap();
    }
    let (send, sent) = tokio::sync::mpsc::channel(16);
    let first = dr::StreamingPullRequest {
        subscription: "jobs".into(),
        max_outstanding_batches: 3,
        ..dr::StreamingPullRequest::default()
    };
    send.send(first).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut answers = collector.drain().streaming_pull(requests).await.unwrap().into_inner();
    let (mut out, mut pulled, mut acknowledged) = (0_usize, 0, 0);
    while acknowledged < 10 {
        let answer = answers.next().await.unwrap().unwrap();
        acknowledged += answer.acknowledged_ids.len();
        out -= answer.acknowledged_ids.len();
        out += answer.batches.len();
        pulled += answer.batches.len();
        assert!(out <= 3, "{out} batches are out");
        if !answer.batches.is_empty() {
            let ack_ids = answer.batches.into_iter().map(|b| b.ack_id).collect();
            let request = dr::StreamingPullRequest { ack_ids, ..dr::StreamingPullRequest::default() };
            send.send(request).await.unwrap();
        }
    }
    assert_eq!((pulled, out), (10, 0));
    collector.shut_down();
    assert_eq!(refused(answers.next().await.unwrap()), (Code::Unavailable, "CONNECTION_CLOSING".to_owned()));
}

#[tokio::test]
async fn a_participation_is_set_read_changed_and_remembered() {
    let collector = Collector::open().await;
    let mut admin = collector.admin();
    let made = collector.participate("acme", "standard").await;
    assert_eq!((made.revision, made.changed_by.as_str(), made.delivery.as_str()), (1, "ann", "deliver"));
    assert_eq!(made.accepted_dictionaries.len(), 3, "what there is at first is what was agreed to");
    let same = collector.participate("acme", "standard").await;
    assert_eq!(same.revision, 1, "the same again is no change");
    let raised = collector.participate("acme", "enhanced").await;
    assert_eq!(raised.revision, 2);

    let mut stale = set(participation("acme", "none"));
    stale.if_revision = 1;
    assert_eq!(refused(admin.set_participation(stale).await), (Code::Aborted, "REVISION_CHANGED".to_owned()));
    let get = pb::GetParticipationRequest { customer: "acme".into() };
    assert_eq!(admin.get_participation(get).await.unwrap().into_inner(), raised);
    let get = pb::GetParticipationRequest { customer: "nobody".into() };
    assert_eq!(
        refused(admin.get_participation(get).await),
        (Code::NotFound, "PARTICIPATION_NOT_FOUND".to_owned())
    );

    let mut revisions = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            pb::ListParticipationChangesRequest { customer: "acme".into(), page_size: 1, page_token };
        let page = admin.list_participation_changes(request).await.unwrap().into_inner();
        revisions.extend(page.changes.into_iter().map(|c| c.revision));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(revisions, [2, 1], "newest first");
}

#[tokio::test]
async fn a_mistyped_level_is_told_at_once() {
    let collector = Collector::open().await;
    let request = set(participation("acme", "standart"));
    let status = collector.admin().set_participation(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("standard"), "{}", status.message());
}

#[tokio::test]
async fn an_import_sets_what_is_right_and_reports_what_is_not() {
    let collector = Collector::open().await;
    collector.participate("c00001", "standard").await;
    let mut parts: Vec<pb::ImportParticipationsRequest> = Vec::new();
    for part in 0..3 {
        let some =
            (0..1000).map(|n| participation(&format!("c{:05}", part * 1000 + n), "standard")).collect();
        parts.push(import(some));
    }
    parts[1].participations[7].levels[0].level = "standart".into();
    parts[2].participations[0].customer = "no spaces".into();
    let report =
        collector.admin().import_participations(tokio_stream::iter(parts)).await.unwrap().into_inner();
    assert_eq!((report.changed, report.unchanged, report.failed), (2997, 1, 2));
    assert_eq!(report.failures.iter().map(|f| f.index).collect::<Vec<_>>(), [1007, 2000]);

    let mut customers = 0;
    let mut page_token = String::new();
    loop {
        let request = pb::ListParticipationsRequest { page_size: 999, page_token };
        let page = collector.admin().list_participations(request).await.unwrap().into_inner();
        customers += page.participations.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(customers, 2998);
    let status = collector.admin().get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.customers, 2998);
    assert!(!status.policy_version.is_empty() && status.start_time.is_some());
}

#[tokio::test]
async fn explain_says_byte_for_byte_what_would_be_stored() {
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.subscribe("jobs").await;
    let sent = batch(1, HOST);
    collector.ingest().submit(from("acme", sent.clone())).await.unwrap();
    let pull = dr::PullRequest { subscription: "jobs".into(), ..dr::PullRequest::default() };
    let pulled = collector.drain().pull(pull).await.unwrap().into_inner().batches;
    let stored = dr::Batch::decode(pulled[0].batch.clone()).unwrap();

    let request = pb::ExplainEventRequest {
        submit_request: sent.encode_to_vec().into(),
        customer: "acme".into(),
        region: String::new(),
    };
    let explained = collector.admin().explain_event(request).await.unwrap().into_inner();
    let standard = explained.levels.iter().find(|l| l.program == "ceip" && l.level == "standard").unwrap();
    let mut explained = dr::Batch::decode(standard.batch.clone()).unwrap();
    // Only the moment differs.
    explained.receive_time = stored.receive_time;
    for (ours, theirs) in explained.events.iter_mut().zip(&stored.events) {
        ours.time_ms = theirs.time_ms;
    }
    assert_eq!(explained, stored);
    assert!(standard.fields.iter().any(|f| f.place.contains("host") && f.treatment == "pseudonym"));

    let torn = pb::ExplainEventRequest { submit_request: vec![0x0a, 0xff].into(), ..Default::default() };
    assert_eq!(
        refused(collector.admin().explain_event(torn).await),
        (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned())
    );
}

#[tokio::test]
async fn a_bad_policy_is_refused_with_its_place() {
    let collector = Collector::open().await;
    let reloaded = collector.admin().reload_policy(pb::ReloadPolicyRequest {}).await.unwrap().into_inner();
    assert!(!reloaded.changed && !reloaded.policy_version.is_empty());
    collector.policy_is_bad.store(true, Ordering::Relaxed);
    let status = collector.admin().reload_policy(pb::ReloadPolicyRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("programs/ceip.toml:3"), "{}", status.message());
}

#[tokio::test]
async fn health_says_whether_the_collector_serves() {
    let collector = Collector::open().await;
    let mut health = HealthClient::new(collector.channel.clone());
    for (serves, expected) in [(true, ServingStatus::Serving), (false, ServingStatus::NotServing)] {
        collector.health.set(serves).await;
        for service in ["", "usaged.ingest.v1.IngestService", "usaged.drain.v1.DrainService"] {
            let request = HealthCheckRequest { service: service.into() };
            assert_eq!(health.check(request).await.unwrap().into_inner().status(), expected, "{service}");
        }
    }
}

#[tokio::test]
async fn reflection_lists_the_services() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let collector = Collector::open().await;
    let mut reflection = ServerReflectionClient::new(collector.channel.clone());
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|s| s.name.as_str()).collect();
    for name in [
        "usaged.ingest.v1.IngestService",
        "usaged.drain.v1.DrainService",
        "usaged.admin.v1.AdminService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}

// covers: S1
#[tokio::test]
async fn a_long_poll_ends_empty_when_the_collector_shuts_down() {
    let collector = Collector::open().await;
    collector.subscribe("jobs").await;
    let pull = dr::PullRequest {
        subscription: "jobs".into(),
        max_wait: Some(Duration { seconds: 60, nanos: 0 }),
        ..dr::PullRequest::default()
    };
    let mut drain = collector.drain();
    let waiting = tokio::spawn(async move { drain.pull(pull).await });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    assert_eq!(collector.close().await, usaged::grpc::Ended::Drained);
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().batches.len(), 0);
}

#[tokio::test]
async fn a_message_bomb_is_refused_before_it_is_decoded() {
    let collector = Collector::open().await;
    let mut grpc = tonic::client::Grpc::new(collector.channel.clone());
    grpc.ready().await.unwrap();
    let bomb: bytes::Bytes = [0x0a_u8, 0x00].repeat(400_000).into();
    let path = http::uri::PathAndQuery::from_static("/usaged.admin.v1.AdminService/ImportParticipations");
    let codec = usaged::grpc::codec::Encoded::<pb::ImportParticipationsResponse>::default();
    let status = grpc.unary(tonic::Request::new(bomb), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}
