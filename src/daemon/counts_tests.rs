//! Counting what an erasure or a change would do, while the queue takes longer to look through than one request may take.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::mpsc;

use tonic::Code;

use super::finished_tests::{World, open, path};
use super::rooms_tests::{BATCHES, HOST, NAMED, acme, root};
use crate::amend::{AmendError, NewErasure, Target};
use crate::grpc::Inside;
use crate::grpc::proto::admin as pb;
use crate::model::{ErasureId, IdentifierClass};

const ID: &str = "00000000-0000-4000-8000-0000000000c1";

async fn begin(home: &std::path::Path) -> World {
    let world = open(home, &root()).await;
    world.rooms.participate(acme(), "enhanced").await;
    world.rooms.participate(crate::model::CustomerId::new("globex").unwrap(), "enhanced").await;
    world.rooms.fill().await;
    world.rooms.amend.tick().await.unwrap();
    world
}

fn of_host() -> pb::EraseRequest {
    let (class, value) = ("host_name".to_owned(), HOST.to_owned());
    pb::EraseRequest {
        erasure_id: ID.to_owned(),
        customer: acme().to_string(),
        scope: Some(pb::erase_request::Scope::Identifier(pb::OriginalIdentifier { class, value })),
        requested_by: "tests".to_owned(),
        ..pb::EraseRequest::default()
    }
}

fn new_erasure() -> NewErasure {
    let target = Target::Identifier { class: IdentifierClass::HostName, value: HOST.to_owned().into() };
    let (id, by) = (ErasureId::parse(ID).unwrap(), "tests".to_owned());
    NewErasure { id, customer: acme(), target, reference: String::new(), by }
}

fn lowered() -> pb::PreviewBindingRequest {
    let level = pb::ProgramLevel { program: "ceip".to_owned(), level: "standard".to_owned() };
    let participation = pb::Participation {
        customer: "acme".to_owned(),
        levels: vec![level],
        ..pb::Participation::default()
    };
    pb::PreviewBindingRequest { participation: Some(participation) }
}

/// The messages of an answer.
fn messages<M: prost::Message + Default>(mut answer: bytes::Bytes) -> Vec<M> {
    let mut all = Vec::new();
    while !answer.is_empty() {
        let head = answer.split_to(5);
        let bytes = u32::from_be_bytes(head.get(1..5).unwrap().try_into().unwrap());
        all.push(M::decode(answer.split_to(usize::try_from(bytes).unwrap())).unwrap());
    }
    all
}

/// covers: B1
#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_takes_longer_than_a_request_may_is_answered_in_a_stream() {
    let home = tempfile::tempdir().unwrap();
    // The doors of this world let a request take no time at all.
    let World { rooms, door, .. } = begin(home.path()).await;

    let dry = Inside::request(&pb::EraseRequest { dry_run: true, ..of_host() });
    assert_eq!(door.call(&path("Erase"), dry).await, Err(Code::FailedPrecondition));
    let answer = door.call(&path("CountErasure"), Inside::request(&of_host())).await.unwrap();
    let mut told: Vec<pb::CountErasureResponse> = messages(answer);
    let Some(pb::count_erasure_response::Told::Counted(counted)) = told.pop().unwrap().told else { panic!() };
    assert_eq!(counted.state(), pb::erasure::State::DryRun);
    assert_eq!((counted.total_batches, counted.rewritten_batches), (BATCHES, BATCHES / NAMED));
    assert!(
        matches!(
            told.first().and_then(|first| first.told.as_ref()),
            Some(pb::count_erasure_response::Told::Progress(at)) if (at.done, at.total) == (0, 2 * BATCHES)
        ),
        "{told:?}"
    );
    let unknown = Inside::request(&pb::GetErasureRequest { erasure_id: ID.to_owned() });
    assert_eq!(door.call(&path("GetErasure"), unknown).await, Err(Code::NotFound), "nothing was begun");

    let preview = door.call(&path("PreviewBinding"), Inside::request(&lowered())).await;
    assert_eq!(preview, Err(Code::FailedPrecondition));
    let answer = door.call(&path("CountBinding"), Inside::request(&lowered())).await.unwrap();
    let mut told: Vec<pb::CountBindingResponse> = messages(answer);
    let Some(pb::count_binding_response::Told::Counted(counted)) = told.pop().unwrap().told else { panic!() };
    assert_eq!((counted.batches, counted.unchanged_batches), (BATCHES, 0));
    assert!(!told.is_empty(), "it is told how far it is");
    drop(door);
    rooms.close().await;
}

/// covers: B1
#[tokio::test(flavor = "multi_thread")]
async fn one_count_is_made_at_a_time_and_none_is_when_nobody_waits_or_the_collector_ends() {
    let home = tempfile::tempdir().unwrap();
    let World { rooms, door, .. } = begin(home.path()).await;
    let (entered, has_entered) = mpsc::sync_channel(1);
    let (go, may_go) = mpsc::sync_channel::<bool>(1);
    let amend = rooms.amend.clone();
    let heed = Box::new(move |_| {
        let _ = entered.try_send(());
        may_go.recv().unwrap_or(false)
    });
    let first = tokio::spawn(async move { amend.preview_erasure(new_erasure(), heed).await });
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap()).await.unwrap();
    for (method, request) in [
        ("CountErasure", Inside::request(&of_host())),
        ("CountBinding", Inside::request(&lowered())),
        ("PreviewBinding", Inside::request(&lowered())),
    ] {
        assert_eq!(door.call(&path(method), request).await, Err(Code::ResourceExhausted), "{method}");
    }
    go.send(true).unwrap();
    drop(go);
    assert!(matches!(first.await.unwrap(), Err(AmendError::GivenUp)), "given up after its second piece");
    door.call(&path("CountErasure"), Inside::request(&of_host())).await.unwrap();

    rooms.amend.clone().run(std::future::ready(())).await;
    let ended = rooms.amend.preview_erasure(new_erasure(), Box::new(|_| true)).await;
    assert!(matches!(ended, Err(AmendError::Stopped)), "{ended:?}");
    assert_eq!(door.call(&path("CountErasure"), Inside::request(&of_host())).await, Err(Code::Unavailable));
    drop(door);
    rooms.close().await;
}
