//! The floor: what the same bytes cost when nothing is decided about them. Four parts, each measured
//! in this run: receiving with a handler that does nothing (in `mod`, over a door of its own), four
//! HMACs, compressing and sealing the sanitised bytes, and a bare append to RocksDB.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::events::Prepared;
use super::gauge;
use crate::cli::exit::Failure;
use crate::model::{CustomerId, CustomerKey, LevelName, Participation, ProgramName};
use crate::observe::Clock;
use crate::policy::{Policy, compile, shipped};
use crate::sanitize::wire::{Head, ProtoReader};
use crate::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, HmacKey, Permit, Ratchet, SanitizedBatch, Scratch,
    SealKey, sanitize,
};
use crate::store::{self, SealedRecord};

/// CPU time that each part is measured for, at least.
const ENOUGH: Duration = Duration::from_millis(400);

/// Nanoseconds of CPU for one event.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Floor {
    pub receive: f64,
    pub hmacs: f64,
    pub compress_and_seal: f64,
    pub append: f64,
}

impl Floor {
    pub fn total(self) -> f64 {
        self.receive + self.hmacs + self.compress_and_seal + self.append
    }
}

/// Measures the parts that need no door.
pub(super) fn measure(
    prepared: &Prepared,
    level: &LevelName,
    dir: &Path,
    group_records: usize,
) -> Result<Floor, Failure> {
    let sanitised = Sanitised::new(prepared, level)?;
    Ok(Floor {
        receive: 0.0,
        hmacs: hmacs(prepared)?,
        compress_and_seal: sanitised.seal()?,
        append: sanitised.append(dir, group_records)?,
    })
}

/// Runs `work` until enough CPU time was used; gives nanoseconds for each of its events.
fn timed(events: usize, mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    work()?;
    let before = gauge::thread_cpu()?;
    let mut rounds = 0_u32;
    loop {
        work()?;
        rounds = rounds.saturating_add(1);
        let used = gauge::thread_cpu()?.saturating_sub(before);
        if used >= ENOUGH {
            return Ok(per_event(used, u64::from(rounds).saturating_mul(count(events))));
        }
    }
}

fn count(events: usize) -> u64 {
    u64::try_from(events.max(1)).unwrap_or(u64::MAX)
}

/// Nanoseconds of each of so many events.
pub(super) fn per_event(used: Duration, events: u64) -> f64 {
    let events = u32::try_from(events).map_or_else(|_| super::report::float(events), f64::from);
    used.as_secs_f64() * 1e9 / events.max(1.0)
}

/// Four HMACs of the identifiers of each event, the key schedules reused.
fn hmacs(prepared: &Prepared) -> Result<f64, Failure> {
    let keys = [1, 2, 3, 4_u8].map(|byte| HmacKey::new(&[byte; 32]));
    let [host, vm, ip, mac] = &keys;
    timed(prepared.identifiers.len(), || {
        for one in &prepared.identifiers {
            black_box(host.token(black_box(one.host.as_bytes())));
            black_box(vm.token(black_box(one.vm.as_bytes())));
            black_box(ip.token(black_box(one.ip.as_bytes())));
            black_box(mac.token(black_box(one.mac.as_bytes())));
        }
        Ok(())
    })
}

/// The sanitised batches of every prepared request, with their key.
struct Sanitised {
    batches: Vec<SanitizedBatch>,
    key: Arc<SealKey>,
    events: usize,
}

impl Sanitised {
    fn new(prepared: &Prepared, level: &LevelName) -> Result<Self, Failure> {
        let broken = |what: &str| Failure::Failed(format!("the floor cannot be measured: {what}"));
        let (policy, _) = compile(&shipped()).map_err(|_| broken("the shipped policy does not compile"))?;
        let policy: Arc<Policy> = Arc::new(policy);
        let (root, ratchet) = (DataRoot::new(rand::random()), Ratchet::new(0, rand::random()));
        let secret =
            CustomerSecret::derive(&root, &CustomerSalt::new(rand::random()), ratchet, CustomerKey(1));
        let secret = Arc::new(secret);
        let customer = CustomerId::new("load-0").map_err(|_| broken("no customer"))?;
        let program = ProgramName::new("ceip").map_err(|_| broken("no program"))?;
        let mut participation = Participation::none(customer);
        policy.accept_current(&mut participation);
        participation.levels.insert(program.clone(), level.clone());
        let (mut batches, mut scratch) = (Vec::new(), Scratch::default());
        let mut key = None;
        for number in 0..prepared.variants() {
            let request = prepared.request(number, 0);
            let head = Head::read(&request).map_err(|_| broken("a request cannot be read"))?;
            let applicant = Applicant {
                participation: &participation,
                secret: &secret,
                caps: &BTreeMap::new(),
                received: Clock::system().now(),
                epoch: 0,
                suppressed: None,
            };
            let permit = Permit::grant(Arc::clone(&policy), &applicant, &head);
            let sanitised = sanitize(&permit, &head, ProtoReader::new(&request), &mut scratch);
            batches.extend(sanitised.map_err(|_| broken("a request cannot be sanitised"))?.batches);
            key = Some(secret.seal_key(&program, applicant.received));
        }
        let key =
            key.filter(|_| !batches.is_empty()).ok_or_else(|| broken("nothing is stored at this level"))?;
        let events = batches.iter().map(|batch| usize::try_from(batch.events()).unwrap_or(0)).sum();
        Ok(Self { batches, key, events })
    }

    fn sealed(&self) -> Result<Vec<SealedRecord>, Failure> {
        let sealed = self.batches.iter().map(|batch| SealedRecord::seal(batch, 1, &self.key));
        sealed.collect::<Result<_, _>>().map_err(|_| Failure::Failed("a batch cannot be sealed".to_owned()))
    }

    fn seal(&self) -> Result<f64, Failure> {
        timed(self.events, || {
            black_box(self.sealed()?);
            Ok(())
        })
    }

    /// The whole process is measured, because RocksDB flushes and compacts in threads of its own;
    /// nothing else runs in it now.
    fn append(&self, dir: &Path, group_records: usize) -> Result<f64, Failure> {
        let mut ready = Vec::new();
        while ready.iter().map(SealedRecord::stored_len).sum::<usize>() < 96 << 20 && ready.len() < 30_000 {
            ready.extend(self.sealed()?);
        }
        let events: u64 = ready.iter().map(|record| u64::from(record.events())).sum();
        std::fs::create_dir_all(dir).map_err(Failure::io(format!("making {}", dir.display())))?;
        let failed = |error: &dyn std::error::Error| Failure::Store(crate::cli::with_causes(error));
        let mut floor = store::floor::Floor::open(dir).map_err(|error| failed(&error))?;
        let pid = std::process::id();
        let before = gauge::cpu(pid)?;
        for group in ready.chunks(group_records.max(1)) {
            floor.append(group).map_err(|error| failed(&error))?;
        }
        drop(floor);
        Ok(per_event(gauge::cpu(pid)?.saturating_sub(before), events))
    }
}
