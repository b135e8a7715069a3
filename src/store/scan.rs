//! Looking through the queue without opening anything: the headers of one customer or of all, and which commits a
//! time range covers.

use std::ops::ControlFlow;

use super::Store;
use super::fault::StoreError;
use super::reader::walk_rows;
use super::record::{RecordHeader, peek_customer};
use super::stored::Stored;
use crate::model::{CommitNumber, CustomerKey, UnixMillis};

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Records of this customer, or of all.
    pub customer: Option<CustomerKey>,
    /// The first commit to look at.
    pub from: CommitNumber,
    /// The last one.
    pub to: CommitNumber,
    /// At most so many places are looked at.
    pub places: u64,
    /// At most so many headers are given.
    pub headers: usize,
}

/// A record as its header shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderAt {
    /// Its place.
    pub commit: CommitNumber,
    /// Its plaintext part.
    pub header: RecordHeader,
    /// Stands for what it holds now: [`super::Amendment::expect`].
    pub tag: [u8; 16],
    /// Whether it replaced what was stored first.
    pub amended: bool,
    /// Bytes in the segment.
    pub bytes: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Headers, in order.
    pub found: Vec<HeaderAt>,
    /// Places where a record was and nothing is left of it.
    pub gone: u64,
    /// Places whose record cannot be read, whosever it is.
    pub damaged: Vec<CommitNumber>,
    /// Where to go on; behind [`Scan::to`], or behind the head, if this was all.
    pub next: CommitNumber,
}

impl Store {
    /// Looks at headers, in order, across segments. Records of other customers cost no more than reading past
    /// them. Blocks on the disk.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn scan(&self, scan: Scan) -> Result<Scanned, StoreError> {
        let shared = self.shared();
        let mut scanned = Scanned { found: Vec::new(), gone: 0, damaged: Vec::new(), next: scan.from };
        let mut places = 0;
        while scanned.next <= scan.to {
            let Some(mut span) = shared.catalogue().span(scanned.next.0) else { break };
            span.to = span.to.min(scan.to.0);
            if span.from > span.to {
                scanned.next = scan.to.next();
                break;
            }
            scanned.next = CommitNumber(span.from);
            let flow = walk_rows(&shared.db, span, |commit, row| {
                if places >= scan.places.max(1) || scanned.found.len() >= scan.headers.max(1) {
                    return ControlFlow::Break(());
                }
                places += 1;
                scanned.next = CommitNumber(commit + 1);
                match row {
                    Ok(bytes) => scanned.look(commit, bytes, scan.customer),
                    Err(_) => scanned.damaged.push(CommitNumber(commit)),
                }
                ControlFlow::Continue(())
            })?;
            if flow.is_break() {
                break;
            }
            // Also where the segment was dropped meanwhile.
            scanned.next = CommitNumber(span.to + 1);
        }
        let known = shared.aside();
        scanned.found.retain(|found| {
            let damaged = known.contains(&found.commit.0);
            scanned.damaged.extend(damaged.then_some(found.commit));
            !damaged
        });
        Ok(scanned)
    }

    /// The first and the last commit that can have been received in `from..to`: every record of that time lies
    /// between them, and others may, since segments know their times only as a whole. `None` if there is none.
    #[must_use]
    pub fn commits_between(&self, from: UnixMillis, to: UnixMillis) -> Option<(CommitNumber, CommitNumber)> {
        let catalogue = self.shared().catalogue();
        let mut within = catalogue.segments.iter().filter(|segment| {
            let content = segment.content;
            content.records > 0 && content.newest >= from && content.oldest < to
        });
        let first = within.next()?;
        let last = within.next_back().unwrap_or(first);
        Some((CommitNumber(first.first), CommitNumber(last.content.last)))
    }
}

impl Scanned {
    fn look(&mut self, commit: u64, bytes: &[u8], customer: Option<CustomerKey>) {
        // What RocksDB gives has passed the checksum of its block: the number can be relied on to pass over it.
        if customer.is_some_and(|wanted| peek_customer(bytes).is_some_and(|found| found != wanted)) {
            return;
        }
        match Stored::read(commit, bytes) {
            Ok(Stored::Gone(_)) => self.gone += 1,
            Ok(Stored::Record(record)) => self.found.push(HeaderAt {
                commit: record.commit,
                tag: record.tag(),
                amended: record.is_amended(),
                bytes: super::bytes::length(bytes),
                header: record.header,
            }),
            Err(_) => self.damaged.push(CommitNumber(commit)),
        }
    }
}
