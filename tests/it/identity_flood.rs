//! A flood of an identity provider's tokens whose signatures are bad: who is known already renews its token meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use usaged::grpc::client::{Channel, Code, Request, reason};
use usaged::grpc::proto::admin::GetStatusRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;

use crate::attack_frames::{END_HEADERS, END_STREAM, Hostile, Target, call_at, headers, streams};
use crate::attack_tls::client;
use crate::fault_daemon::Daemon;
use crate::identity_provider::{Key, provided};
use crate::identity_world::channel;

const ISSUER: &str = "https://id.example";
const STATUS: &str = "/usaged.admin.v1.AdminService/GetStatus";

/// Tokens after which the flood has had its chance: ten times what is checked of strangers' at once. On a machine that is
/// too slow to use that up, nobody is kept from anything.
const ENOUGH: u64 = 2_500;

/// Tokens that the honest caller renews its own with.
const RENEWALS: usize = 100;

/// Calls with one forged token after the other, as long as the door listens.
fn flood(target: &Target, key: &Key, next: &AtomicU64) -> std::io::Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    let ids: Vec<u32> = streams().take(10_000).collect();
    for some in ids.chunks(50) {
        let calls = some.iter().flat_map(|id| {
            let forged = key.forged(ISSUER, next.fetch_add(1, Ordering::Relaxed));
            let block = call_at(STATUS, &[("authorization", &format!("Bearer {forged}"))]);
            headers(*id, END_HEADERS | END_STREAM, &block)
        });
        let calls: Vec<u8> = calls.collect();
        target.count(50);
        peer.send(&calls)?;
        if !peer.hear() {
            break;
        }
    }
    Ok(())
}

fn refused(daemon: &Daemon, why: &str) -> u64 {
    let line = format!("usaged_callers_refused_total{{reason=\"{why}\"}} ");
    let page = daemon.page("/metrics");
    page.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |n| n.parse().unwrap())
}

/// Calls over a connection that is there, with this token.
async fn call_with(connected: &Channel, token: &str) -> (Code, String) {
    let mut request = Request::new(GetStatusRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    match AdminServiceClient::new(connected.clone()).get_status(request).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status).unwrap_or_default()),
    }
}

// covers: B1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_tokens_with_bad_signatures_keeps_no_known_caller_from_a_fresh_one() {
    let key = Arc::new(Key::new("k1"));
    let world = provided(ISSUER, &key);
    let daemon = world.place().start();
    let honest = channel(&daemon.grpc, &world.tls()).await;
    let ok = (Code::Ok, String::new());
    assert_eq!(call_with(&honest, &key.token(ISSUER, "operators")).await, ok);

    let mut target = Target::new(&daemon.grpc, 1);
    target.tls = Some(client(&world.ca.pem, None));
    let (target, next) = (Arc::new(target), Arc::new(AtomicU64::new(0)));
    let flooding: Vec<_> = (0..4)
        .map(|_| {
            let (target, key, next) = (Arc::clone(&target), Arc::clone(&key), Arc::clone(&next));
            std::thread::spawn(move || {
                while target.goes_on() {
                    // The door closed, or is closed to us for now.
                    let _closed = flood(&target, &key, &next);
                }
            })
        })
        .collect();
    let has_begun = || refused(&daemon, "busy") > 0 || target.inputs.load(Ordering::Relaxed) > ENOUGH;
    while !tokio::task::block_in_place(has_begun) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut renewed = Vec::new();
    for _ in 0..RENEWALS {
        // Fewer than are checked in a second, however fast the machine is.
        tokio::time::sleep(Duration::from_millis(10)).await;
        renewed.push(call_with(&honest, &key.token(ISSUER, "operators")).await);
    }
    target.stop.store(true, Ordering::Relaxed);
    tokio::task::block_in_place(|| flooding.into_iter().for_each(|thread| thread.join().unwrap()));
    assert_eq!(renewed, vec![ok; RENEWALS]);
    // It was a flood of what has to be checked, and nothing of it was let in.
    assert!(refused(&daemon, "invalid") > 0);
    let said = target.said.lock().unwrap();
    assert!(said.contains_key("refused") && !said.contains_key("answered"), "{said:?}");
    assert_eq!(daemon.end(), 0);
}
