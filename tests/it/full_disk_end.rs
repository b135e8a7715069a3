//! The end of a collector whose disk is full: what is in memory only waits for room until the grace period is over.

use rustix::process::Signal;

use usaged::grpc::client::{Code, connect};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::fault_daemon::{Disk, until};
use crate::fault_load::set_up;
use crate::fault_oracle::batch;
use crate::full_disk::{Ballast, place};
use crate::grpc_collector::{from, participation, set};
use crate::ledger_sums::sums;

/// So many that what the ledger is to be told does not fit into the last page that a file has already.
const CUSTOMERS: usize = 100;
/// More than a disk of this size holds.
const CHANGES: u32 = 100_000;

/// covers: P3, S1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_what_was_withheld_whole_or_refused_wait_for_room_at_the_end_of_a_collector_on_a_full_disk()
{
    let (disk, logs) = (Disk::mount("size=64m"), tempfile::tempdir().unwrap());
    // Nothing is told before the end.
    let place = place(&disk, &logs).with(&["--set", "ledger.totals_every=1d", "--set", "shutdown.grace=60s"]);
    let mut daemon = place.start();
    let customers: Vec<String> = (0..CUSTOMERS).map(|n| format!("customer-{n}")).collect();
    let names: Vec<&str> = customers.iter().map(String::as_str).collect();
    set_up(&daemon.grpc, &names, &[]).await;
    let mut client = IngestServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let mut events = 0;
    for (number, name) in (0..).zip(names) {
        let request = SubmitRequest { product: "nonsuch".to_owned(), ..batch(number) };
        events += u64::try_from(request.events.len()).unwrap();
        client.submit(from(name, request)).await.unwrap();
    }

    let ballast = Ballast::fill(&disk, 0);
    // The log of the store has room of its own, which is to be used up first.
    let mut admin = AdminServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let mut changes = 0..CHANGES;
    let refused = loop {
        let number = changes.next().expect("the store takes whatever comes");
        let change = set(participation(&format!("further-{number}"), "standard"));
        if let Err(status) = admin.set_participation(change).await {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    daemon.signal(Signal::TERM);
    let waits = || place.said().contains("it is tried until the grace period is over");
    tokio::task::block_in_place(|| until("a try in vain, or the end", || waits() || daemon.has_ended()));
    assert!(waits() && !daemon.has_ended(), "{}", place.said());
    drop(ballast);
    assert_eq!(tokio::task::block_in_place(|| daemon.ended()), 0, "{}", place.said());

    let ledger = place.data.join("ledger");
    let (collected, refused) = (sums(&ledger, "collected"), sums(&ledger, "refused"));
    assert_eq!(collected.withheld.get("unknown_product"), Some(&events), "{collected:?}");
    assert_eq!(refused.refused.get("unknown_product"), Some(&(CUSTOMERS as u64)), "{refused:?}");
}
