//! The door holds its limits against peers that do what no client should.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use usaged::grpc::{Ended, Options};

use crate::door_raw::{Door, EMPTY_SETTINGS, GOAWAY, PING, PREFACE, Peer, SETTINGS};

const SHORT: Duration = Duration::from_millis(300);

// covers: B1
#[tokio::test]
async fn a_preface_that_stops_half_way_is_closed_at_the_deadline() {
    let door = Door::open(Options { preface_deadline: SHORT, ..Options::default() }).await;
    let beginnings: [&[u8]; 4] = [b"", b"P", &PREFACE[..12], PREFACE];
    for beginning in beginnings {
        let began = Instant::now();
        let mut peer = Peer::connect(&door).await;
        peer.send(beginning).await;
        peer.until_closed().await;
        let took = began.elapsed();
        assert!(took >= SHORT && took < SHORT * 10, "{took:?} after {} bytes", beginning.len());
    }
    let mut good = Peer::begin(&door).await;
    assert!(good.until(SETTINGS).await.is_some(), "others are served meanwhile");
}

#[tokio::test]
async fn what_is_not_http2_is_closed_at_once() {
    let door = Door::open(Options::default()).await;
    let mut peer = Peer::connect(&door).await;
    peer.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    peer.until_closed().await;
}

// covers: B1
#[tokio::test]
async fn the_server_announces_its_bounds() {
    let options = Options::default();
    let door = Door::open(options.clone()).await;
    let settings = Peer::begin(&door).await.until(SETTINGS).await.unwrap();
    let announced: BTreeMap<u16, u32> = settings
        .payload
        .chunks_exact(6)
        .map(|s| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]])))
        .collect();
    assert_eq!(announced.get(&3), Some(&128), "streams of one connection: {announced:?}");
    assert_eq!(announced.get(&4), Some(&options.stream_window_bytes));
    assert_eq!(announced.get(&5), Some(&options.frame_bytes));
    assert_eq!(announced.get(&6), Some(&8192), "bytes of headers: {announced:?}");
}

// covers: B1
#[tokio::test]
async fn one_peer_has_so_many_connections_and_a_closed_one_makes_room() {
    let door = Door::open(Options { max_connections_per_peer: 2, ..Options::default() }).await;
    let mut first = Peer::begin(&door).await;
    let mut second = Peer::begin(&door).await;
    assert!(first.until(SETTINGS).await.is_some() && second.until(SETTINGS).await.is_some());
    first.proves_itself().await;
    second.proves_itself().await;
    Peer::connect(&door).await.until_closed().await;
    drop(first);
    loop {
        // The server notices the closed one in its own time.
        let mut third = Peer::connect(&door).await;
        let _may_be_refused =
            tokio::io::AsyncWriteExt::write_all(third.stream(), &[PREFACE, EMPTY_SETTINGS].concat()).await;
        if third.until(SETTINGS).await.is_some() {
            break;
        }
    }
}

// covers: B1
#[tokio::test]
async fn there_are_so_many_connections_in_all() {
    let door = Door::open(Options { max_connections: 1, ..Options::default() }).await;
    let mut first = Peer::begin(&door).await;
    assert!(first.until(SETTINGS).await.is_some());
    first.proves_itself().await;
    Peer::connect(&door).await.until_closed().await;
    first.proves_itself_again().await;
}

// covers: B1
#[tokio::test]
async fn strangers_at_two_addresses_who_hold_all_connections_keep_no_client_out() {
    let options = Options { max_connections: 80, max_connections_per_peer: 40, ..Options::default() };
    let door = Door::open(options).await;
    let mut strangers = Vec::new();
    for n in 0..80 {
        let mut stranger = Peer::connect_from(&door, [127, 0, 0, if n < 40 { 2 } else { 3 }]).await;
        stranger.send(&[PREFACE, EMPTY_SETTINGS].concat()).await;
        assert!(stranger.until(SETTINGS).await.is_some(), "stranger {n} has a place");
        strangers.push(stranger);
    }
    let mut honest = Peer::begin(&door).await;
    assert!(honest.until(SETTINGS).await.is_some(), "an honest client gets one, too");
    honest.proves_itself().await;
    strangers.first_mut().unwrap().until_closed().await;
    // As many come again: they push out their own.
    for _ in 0..40 {
        let mut more = Peer::connect_from(&door, [127, 0, 0, 4]).await;
        more.send(&[PREFACE, EMPTY_SETTINGS].concat()).await;
        assert!(more.until(SETTINGS).await.is_some());
        strangers.push(more);
    }
    honest.proves_itself_again().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let options = Options { keepalive_interval: SHORT, keepalive_timeout: SHORT, ..Options::default() };
    let door = Door::open(options).await;
    let mut dead = Peer::begin(&door).await;
    assert!(dead.until(PING).await.is_some());
    dead.until_closed().await;
}

#[tokio::test]
async fn an_old_connection_is_asked_to_go_away_before_it_is_closed() {
    let options = Options {
        preface_deadline: SHORT,
        connection_age: SHORT,
        connection_age_grace: SHORT,
        shutdown_grace: SHORT,
        ..Options::default()
    };
    let door = Door::open(options).await;
    let mut idle = Peer::begin(&door).await;
    assert!(idle.until(GOAWAY).await.is_some(), "it is told first");
    idle.until_closed().await;
}

// covers: S1
#[tokio::test]
async fn shutdown_asks_clients_to_go_away_and_ends_when_they_have() {
    let door = Door::open(Options::default()).await;
    let mut idle = Peer::begin(&door).await;
    assert!(idle.until(SETTINGS).await.is_some());
    door.shutdown.cancel();
    assert!(idle.until(GOAWAY).await.is_some());
    let ping = idle.until(PING).await.expect("the server asks whether the client has heard");
    idle.pong(&ping).await;
    idle.until_closed().await;
    assert_eq!(door.close().await, Ended::Drained);
}

// covers: S1
#[tokio::test]
async fn shutdown_cuts_clients_that_hold_on_after_the_grace_period() {
    let door = Door::open(Options { shutdown_grace: SHORT, ..Options::default() }).await;
    let mut deaf = Peer::begin(&door).await;
    assert!(deaf.until(SETTINGS).await.is_some());
    assert_eq!(door.close().await, Ended::Cut(1));
    deaf.until_closed().await;
}

#[tokio::test]
async fn after_shutdown_nobody_is_accepted() {
    let door = Door::open(Options::default()).await;
    let address = door.address;
    assert_eq!(door.close().await, Ended::Drained);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
