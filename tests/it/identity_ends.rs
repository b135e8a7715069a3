//! What is taken back in the file of identities ends what runs by it: a token whose end is brought forward, and one that
//! is gone.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use usaged::grpc::client::{ClientTls, Streaming};
use usaged::grpc::proto::drain as pb;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, until};
use crate::identity_live::{Stream, ended, loads, ok, refusal};
use crate::identity_world::{IDENTITIES, World, channel};

/// A token that is made offline: how a client shows it, and its table for the file of identities.
fn token(world: &World, name: &str, role: &[&str]) -> (ClientTls, String) {
    let file = world.path(&format!("{name}.token")).display().to_string();
    let issue = ["token", "issue", "--offline", "--name", name, "--out", &file, "--role"];
    let made = usaged(issue.iter().chain(role));
    assert_eq!(made.code, 0, "{}", made.err);
    let text = std::fs::read_to_string(file).unwrap().trim().to_owned();
    (ClientTls { token: Some(text), ..world.tls() }, made.out)
}

/// The same table with another end, from now.
fn ends_in(table: &str, seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + seconds).unwrap();
    // As TOML writes times.
    let line = |line: &str| {
        if line.starts_with("expires") { format!("expires = {at}") } else { line.to_owned() }
    };
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Puts these identities there and waits until they are in force.
fn put(world: &World, daemon: &Daemon, tables: &[&str]) {
    let before = loads(daemon, "loaded");
    let text = format!("{IDENTITIES}\n{}\n", tables.join("\n"));
    world.put("pki/identities.toml", &text);
    until("it is taken over", || loads(daemon, "loaded") > before);
}

type Pulled = (mpsc::Sender<pb::StreamingPullRequest>, Streaming<pb::StreamingPullResponse>);

async fn pull(daemon: &Daemon, tls: &ClientTls) -> Pulled {
    let (send, sent) = mpsc::channel(1);
    let subscription = "improve-job".to_owned();
    send.send(pb::StreamingPullRequest { subscription, ..pb::StreamingPullRequest::default() })
        .await
        .unwrap();
    let mut drain = DrainServiceClient::new(channel(&daemon.grpc, tls).await);
    (send, drain.streaming_pull(ReceiverStream::new(sent)).await.unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_a_token_of_the_file_that_is_brought_forward_ends_what_runs_by_it() {
    let world = World::new();
    let (sender, sends) = token(&world, "gate", &["sender", "--customer", "acme"]);
    let (drainer, drains) = token(&world, "job", &["drainer", "--subscription", "improve-job"]);
    world.put("pki/identities.toml", &format!("{IDENTITIES}\n{sends}\n{drains}\n"));
    let daemon = world.place().start();
    let create = ["subscription", "create", "improve-job", "--purpose", "improve", "--recipient", "r"];
    let level = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t"];
    for args in [&create[..], &level] {
        world.done(&daemon.grpc, args);
    }
    let connected = channel(&daemon.grpc, &sender).await;
    let (mut stream, mut quiet) = (Stream::open(&connected).await, Stream::open(&connected).await);
    let (send, mut pulled) = pull(&daemon, &drainer).await;
    let first = pulled.message().await.unwrap().unwrap();
    assert!(!first.batches.is_empty());

    // Nothing else about them changes; an end that is put off ends nothing.
    put(&world, &daemon, &[&ends_in(&sends, 86_400), &ends_in(&drains, 90 * 86_400)]);
    assert_eq!(stream.goes_on().await, ok());
    put(&world, &daemon, &[&ends_in(&sends, -60), &ends_in(&drains, 86_400)]);
    assert_eq!(stream.goes_on().await, ended());
    assert_eq!(quiet.answer().await, ended(), "also where nothing is said, a few seconds later");
    assert_eq!(Stream::try_open(&connected).await.err(), Some(ended()));

    // The drainer's goes on until its turn comes, with a lease that it gives back.
    put(&world, &daemon, &[&ends_in(&sends, -60), &ends_in(&drains, -1)]);
    let ack_ids = first.batches.iter().map(|received| received.ack_id.clone()).collect();
    let _ = send.send(pb::StreamingPullRequest { ack_ids, ..pb::StreamingPullRequest::default() }).await;
    let end = loop {
        match pulled.message().await {
            Ok(Some(answer)) => assert!(answer.acknowledged_ids.is_empty(), "an acknowledgement was taken"),
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => break refusal::<()>(Err(status)),
        }
    };
    assert_eq!(end, ended());
    assert_eq!(daemon.end(), 0);
}
