//! Reading every record of a segment: its checksum, its place in the running hash, and, with the root key, its seal.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::catalogue::{Segment, Span};
use super::check_told::{ASIDE, Checked, RESTORE};
use super::fault::RecordFault;
use super::layout::{Head, segment_family};
use super::reader::{Damage, walk};
use super::registry;
use super::rocks::Db;
use super::stored::{Stored, StoredRecord};
use crate::model::{CustomerKey, ProgramName};
use crate::sanitize::{CustomerSecret, DataRoot};

/// Secrets that are held at a time.
const SECRETS: usize = 4_096;

/// Opens records.
pub(super) struct Seals<'a> {
    root: &'a DataRoot,
    secrets: HashMap<CustomerKey, Option<Arc<CustomerSecret>>>,
}

impl<'a> Seals<'a> {
    pub(super) fn new(root: &'a DataRoot) -> Self {
        Self { root, secrets: HashMap::new() }
    }

    /// Whether a record opens; `None` if there is no key to it.
    fn opens(&mut self, db: &Db, record: &StoredRecord) -> Option<Result<(), RecordFault>> {
        if self.secrets.len() >= SECRETS {
            self.secrets.clear();
        }
        let key = record.header.customer;
        let secret = self.secrets.entry(key).or_insert_with(|| {
            let found = registry::customer(db, key).ok().flatten()?;
            Some(Arc::new(CustomerSecret::derive(self.root, &found.salt, found.ratchet, key)))
        });
        let secret = secret.as_ref()?;
        let Ok(program) = ProgramName::new(&record.header.program) else {
            return Some(Err(RecordFault::Header));
        };
        Some(record.open(&secret.seal_key(&program, record.header.received)).map(drop))
    }
}

/// The records of a store, as they are read.
pub(super) struct Records<'a> {
    pub(super) db: &'a Db,
    /// Those that are set aside already.
    pub(super) known: &'a BTreeSet<u64>,
    pub(super) seals: Option<Seals<'a>>,
    pub(super) told: &'a mut Checked,
}

impl Records<'_> {
    /// Reads a segment; gives its last commit.
    pub(super) fn segment(&mut self, segment: &Segment, head: Head, done: &mut dyn FnMut(u64)) -> u64 {
        let name = segment_family(segment.number);
        let last = if segment.closed { segment.content.last } else { head.commit };
        if last < segment.first {
            return last;
        }
        let mut chain = Some(segment.chain_before);
        let span = Span { number: segment.number, from: segment.first, to: last };
        let walked = walk(self.db, span, |found| {
            match found {
                Ok(stored) => {
                    if !chain.is_none_or(|before| stored.follows(before)) {
                        let what =
                            format!("commit {} is another record than was acknowledged", stored.commit());
                        self.told.faults.add(&name, what, RESTORE);
                    }
                    chain = stored.first().map(|(_, chain)| chain);
                    self.take(&name, &stored);
                }
                Err(damage) => {
                    chain = None;
                    self.damaged(&name, &damage);
                }
            }
            let read = self.told.records.saturating_add(self.told.gone);
            if read.is_multiple_of(1_024) {
                done(read);
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = walked {
            self.told.faults.add(&name, error.to_string(), RESTORE);
        }
        let end = if segment.closed { segment.content.chain } else { head.chain };
        if chain.is_some_and(|chain| chain != end) {
            self.told.faults.add(&name, "its records are others than were acknowledged", RESTORE);
        }
        last
    }

    fn take(&mut self, name: &str, stored: &Stored) {
        let Stored::Record(record) = stored else {
            self.told.gone += 1;
            return;
        };
        self.told.records += 1;
        let Some(seals) = &mut self.seals else { return };
        match seals.opens(self.db, record) {
            None => self.told.sealed += 1,
            Some(Ok(())) => self.told.opened += 1,
            Some(Err(fault)) => {
                let damage = Damage { commit: record.commit.0, fault, bytes: Vec::new() };
                self.damaged(name, &damage);
            }
        }
    }

    fn damaged(&mut self, name: &str, damage: &Damage) {
        let Damage { commit, fault, .. } = damage;
        // What is set aside is known, and counted.
        if !self.known.contains(commit) {
            self.told.faults.add(name, format!("commit {commit}: {fault}"), ASIDE);
        }
    }
}
