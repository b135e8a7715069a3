//! The pump with an outbox in memory: every entry gets into the ledger once and in order, through
//! crashes at each step, a full disk, and an outbox that fails.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::ledger::{Entry, Fact, LedgerKey, OpenError, Options, Source, Verification};
use crate::model::{CustomerKey, UnixMillis};
use crate::observe::Clock;

const STORE: [u8; 16] = [1; 16];

/// What survives a crash: the entries that were not forgotten.
#[derive(Debug, Default)]
struct Kept {
    entries: Vec<(u64, Vec<u8>)>,
    forgotten: u64,
}

#[derive(Clone)]
struct InMemory {
    kept: Arc<Mutex<Kept>>,
    made: Arc<watch::Sender<u64>>,
    /// Calls to forget that are to fail from now on.
    fails: Arc<AtomicU32>,
}

impl InMemory {
    fn new() -> Self {
        Self { kept: Arc::default(), made: Arc::new(watch::Sender::new(0)), fails: Arc::default() }
    }

    fn put(&self, entries: u64) {
        let mut kept = self.kept.lock().unwrap();
        let first = *self.made.borrow() + 1;
        for number in first..first + entries {
            let fact = Fact::Exported { customer: CustomerKey(number % 5) };
            let at = UnixMillis(i64::try_from(number).unwrap());
            kept.entries.push((number, Entry { at, fact }.to_bytes()));
            self.made.send_replace(number);
        }
    }

    fn source(&self) -> Source {
        Source { store: STORE, forgotten: self.kept.lock().unwrap().forgotten, made: *self.made.borrow() }
    }
}

impl Outbox for InMemory {
    fn waiting(&self, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        Ok(self.kept.lock().unwrap().entries.iter().take(limit).cloned().collect())
    }

    async fn forget(&self, upto: u64) -> Result<(), StoreError> {
        let fail = self.fails.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        if fail.is_ok() {
            return Err(StoreError::Closed);
        }
        let mut kept = self.kept.lock().unwrap();
        kept.entries.retain(|(number, _)| *number > upto);
        kept.forgotten = kept.forgotten.max(upto);
        Ok(())
    }

    fn made(&self) -> watch::Receiver<u64> {
        self.made.subscribe()
    }
}

fn open(dir: &Path, outbox: &InMemory) -> Ledger {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let (options, key) = (Options::new(&dir.join("ledger")), LedgerKey::from_seed(&[3; 32]));
        match Ledger::open(options, key, &outbox.source(), Clock::system()) {
            // A test that starts a process has a copy of the lock between fork and exec.
            Err(OpenError::Locked { .. }) if std::time::Instant::now() < until => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            opened => return opened.unwrap().0,
        }
    }
}

fn numbers(ledger: &Ledger) -> Vec<u64> {
    let all = ledger.read(1, usize::MAX).unwrap();
    all.iter().map(|leaf| leaf.number).collect()
}

async fn until(ledger: &Ledger, number: u64) {
    let mut head = ledger.watch();
    head.wait_for(|head| head.number >= number).await.unwrap();
}

// covers: D3
#[tokio::test]
async fn entries_get_into_the_ledger_once_and_in_order_and_are_signed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = InMemory::new();
    outbox.put(700);
    let ledger = open(dir.path(), &outbox);
    let stop = CancellationToken::new();
    let pump = tokio::spawn(Pump::new(outbox.clone(), ledger.clone()).run(stop.clone()));
    until(&ledger, 700).await;
    outbox.put(3);
    until(&ledger, 703).await;
    outbox.put(2);
    stop.cancel();
    pump.await.unwrap().unwrap();
    assert_eq!(numbers(&ledger), (1..=705).collect::<Vec<_>>());
    assert_eq!(outbox.waiting(1).unwrap(), []);
    assert_eq!(ledger.last_checkpoint().checkpoint().size, 706);
}

#[tokio::test]
async fn a_crash_between_append_and_forget_makes_no_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = InMemory::new();
    for round in 1..=5_u64 {
        let ledger = open(dir.path(), &outbox);
        outbox.put(4);
        // Appended, and the process dies before the outbox forgets: all of them, or some.
        let waiting = outbox.waiting(usize::MAX).unwrap();
        let some = usize::try_from(round).unwrap().min(waiting.len());
        ledger.append(&waiting[..some]).unwrap();
        drop(ledger);
        let ledger = open(dir.path(), &outbox);
        let stop = CancellationToken::new();
        stop.cancel();
        Pump::new(outbox.clone(), ledger.clone()).run(stop).await.unwrap();
        assert_eq!(numbers(&ledger), (1..=round * 4).collect::<Vec<_>>());
    }
    let verification = Verification { dir: &dir.path().join("ledger"), key: None, checkpoint: None };
    assert!(verification.run(&mut |_, _| {}).unwrap().findings.is_empty());
}

#[tokio::test]
async fn an_outbox_that_does_not_answer_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = InMemory::new();
    outbox.put(3);
    outbox.fails.store(2, Ordering::Release);
    let ledger = open(dir.path(), &outbox);
    let stop = CancellationToken::new();
    let pump = tokio::spawn(Pump::new(outbox.clone(), ledger.clone()).run(stop.clone()));
    while !outbox.waiting(1).unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    pump.await.unwrap().unwrap();
    assert_eq!(numbers(&ledger), [1, 2, 3]);
}

#[tokio::test]
async fn what_does_not_follow_ends_the_pump_and_stays_in_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = InMemory::new();
    outbox.put(3);
    let ledger = open(dir.path(), &outbox);
    outbox.kept.lock().unwrap().entries.remove(1);
    let ended = Pump::new(outbox.clone(), ledger.clone()).run(CancellationToken::new()).await;
    assert!(matches!(ended, Err(LedgerError::Gap { number: 3, expected: 2 })), "{ended:?}");
    assert_eq!(outbox.waiting(9).unwrap().len(), 2);
    // Half of what came is not taken either.
    assert_eq!(numbers(&ledger), [0; 0]);
}
