//! What is taken back in the file of identities ends what runs by it: a token whose end is brought forward, and one that
//! is gone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use usaged::grpc::client::{ClientTls, Code, Streaming};
use usaged::grpc::proto::drain as pb;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, until};
use crate::identity_live::{Stream, ended, loads, ok, refusal};
use crate::identity_world::{Ca, IDENTITIES, Names, World, channel};

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

/// What a stream ends with, however soon.
async fn end(stream: &mut Stream) -> (Code, String) {
    let begun = std::time::Instant::now();
    loop {
        let came = stream.goes_on().await;
        if came != ok() {
            return came;
        }
        assert!(begun.elapsed() < crate::fault_daemon::SOON, "the stream goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_good_file_puts_out_is_out_although_another_is_refused_and_nobody_gets_in_by_it() {
    let world = World::new();
    let (gate, table) = token(&world, "gate", &["sender", "--customer", "acme"]);
    let (late, other) = token(&world, "late", &["sender", "--customer", "acme"]);
    let (with_gate, with_late) = (format!("{IDENTITIES}\n{table}\n"), format!("{IDENTITIES}\n{other}\n"));
    let list = std::fs::read_to_string(world.path("pki/ca.crl")).unwrap();
    world.put("pki/identities.toml", &with_gate);
    let daemon = world.place().start();
    let names =
        Names { uri: Some("spiffe://vendor.example/customer/acme"), serial: 4711, ..Names::default() };
    let revoked = world.with(&world.ca.client(names));
    let opened = async |tls: &ClientTls| Stream::try_open(&channel(&daemon.grpc, tls).await).await;
    let mut by_token = opened(&gate).await.unwrap();
    let mut by_certificate = opened(&revoked).await.unwrap();
    let mut goes_on = opened(&world.with(&world.sender("acme"))).await.unwrap();
    let (loaded, unchanged) = (loads(&daemon, "loaded"), loads(&daemon, "unchanged"));
    let unknown = (Code::Unauthenticated, "CREDENTIAL_INVALID".to_owned());

    // The list of revoked certificates is out of date; meanwhile a token is taken out, and another put in.
    world.put("pki/ca.crl", &world.ca.revokes(&[], -2));
    until("the list is refused", || loads(&daemon, "refused") > 0);
    for stream in [&mut by_token, &mut by_certificate, &mut goes_on] {
        assert_eq!(stream.goes_on().await, ok(), "a mistake puts nobody out");
    }
    world.put("pki/identities.toml", &with_late);
    assert_eq!(end(&mut by_token).await, unknown);
    assert_eq!(opened(&gate).await.err(), Some(unknown.clone()));
    assert_eq!(
        opened(&late).await.err(),
        Some(unknown.clone()),
        "nobody is let in by files that were refused"
    );
    assert_eq!(goes_on.goes_on().await, ok());

    // The other way round: a certificate is revoked while the identities are refused.
    world.put("pki/identities.toml", "nonsense");
    world.put("pki/ca.crl", &world.ca.revokes(&[4711], 30));
    assert_eq!(end(&mut by_certificate).await, ended());
    assert_eq!(opened(&gate).await.err(), Some(unknown.clone()), "it stays out until a good file names it");
    assert_eq!(goes_on.goes_on().await, ok());

    // What is in force is there again, whole.
    world.put("pki/ca.crl", &list);
    world.put("pki/identities.toml", &with_gate);
    until("it is read", || loads(&daemon, "unchanged") > unchanged);
    for tls in [&gate, &revoked] {
        assert_eq!(opened(tls).await.unwrap().goes_on().await, ok());
    }
    assert_eq!(opened(&late).await.err(), Some(unknown));
    assert_eq!(goes_on.goes_on().await, ok());
    assert_eq!(loads(&daemon, "loaded"), loaded);
    assert_eq!(daemon.end(), 0);
}

/// A client of a certificate authority, for the customer of most tests.
fn client(world: &World, ca: &Ca, serial: u64) -> ClientTls {
    let uri = Some("spiffe://vendor.example/customer/acme");
    world.with(&ca.client(Names { uri, serial, ..Names::default() }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_a_file_of_cas_each_put_out_whom_they_do_although_the_other_is_refused() {
    let world = World::new();
    let (own, other, over) = (&world.ca, &Ca::new("CA 2"), &Ca::until("CA 3", -1));
    let cas = |all: &[&Ca]| all.iter().map(|ca| ca.pem.as_str()).collect::<Vec<_>>().join("\n");
    let lists = |revoked: &[u64]| format!("{}\n{}", own.revokes(revoked, 30), other.revokes(&[], 30));
    let (both, none) = (cas(&[own, other]), lists(&[]));
    world.put("pki/ca.pem", &both);
    world.put("pki/ca.crl", &none);
    let daemon = world.place().start();
    let opened = async |tls: &ClientTls| Stream::try_open(&channel(&daemon.grpc, tls).await).await;
    let clients = [(own, 4711), (other, 12), (own, 4712), (own, 4713)].map(|(ca, of)| client(&world, ca, of));
    let [first, second, third, stays] = &clients;
    let (mut by_first, mut by_second) = (opened(first).await.unwrap(), opened(second).await.unwrap());
    let (mut by_third, mut goes_on) = (opened(third).await.unwrap(), opened(stays).await.unwrap());
    let (loaded, unchanged) = (loads(&daemon, "loaded"), loads(&daemon, "unchanged"));
    let refused = |what: &str| {
        let before = loads(&daemon, "refused");
        (what.to_owned(), move |daemon: &Daemon| loads(daemon, "refused") > before)
    };

    // A CA that nobody uses has expired, and a certificate of another is revoked.
    let (what, is_refused) = refused("a CA that has expired");
    world.put("pki/ca.pem", &cas(&[own, other, over]));
    until(&what, || is_refused(&daemon));
    for stream in [&mut by_first, &mut by_second, &mut by_third, &mut goes_on] {
        assert_eq!(stream.goes_on().await, ok(), "a mistake puts nobody out");
    }
    world.put("pki/ca.crl", &lists(&[4711]));
    assert_eq!(end(&mut by_first).await, ended());
    assert_eq!(opened(first).await.err(), Some(ended()));

    // A CA is taken out, and its list stands in the other file still.
    world.put("pki/ca.pem", &own.pem);
    assert_eq!(end(&mut by_second).await, ended());

    // Others could have changed the CAs; and one is revoked by those in force.
    std::fs::set_permissions(world.path("pki/ca.pem"), Permissions::from_mode(0o664)).unwrap();
    world.put("pki/ca.crl", &lists(&[4711, 4712]));
    assert_eq!(end(&mut by_third).await, ended());
    // A list that is none gives nobody back.
    let (what, is_refused) = refused("no list");
    world.put("pki/ca.crl", "nonsense");
    until(&what, || is_refused(&daemon));
    for tls in [first, second, third] {
        assert_eq!(opened(tls).await.err(), Some(ended()));
    }
    assert_eq!(goes_on.goes_on().await, ok());

    world.put("pki/ca.crl", &none);
    world.put("pki/ca.pem", &both);
    until("it is read", || loads(&daemon, "unchanged") > unchanged);
    for tls in &clients {
        assert_eq!(opened(tls).await.unwrap().goes_on().await, ok());
    }
    assert_eq!(goes_on.goes_on().await, ok());
    assert_eq!(loads(&daemon, "loaded"), loaded);
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_that_is_taken_from_a_relay_is_gone_from_it_although_another_file_is_refused() {
    let world = World::new();
    let daemon = world.place().start();
    let dns = Some("relay.vendor.example");
    let relay = world.with(&world.ca.client(Names { dns, ..Names::default() }));
    let connected = channel(&daemon.grpc, &relay).await;
    let mut by_relay = Stream::try_open_for(&connected, Some("acme")).await.unwrap();
    world.put("pki/ca.crl", &world.ca.revokes(&[], -2));
    until("the list is refused", || loads(&daemon, "refused") > 0);
    assert_eq!(by_relay.goes_on().await, ok());
    world.put("pki/identities.toml", &IDENTITIES.replace("[\"acme\", \"globex\"]", "[\"globex\"]"));
    assert_eq!(end(&mut by_relay).await.0, Code::PermissionDenied);
    let again = Stream::try_open_for(&connected, Some("acme")).await.err();
    assert_eq!(again, Some((Code::PermissionDenied, "CUSTOMER_NOT_PERMITTED".to_owned())));
    assert_eq!(daemon.end(), 0);
}
