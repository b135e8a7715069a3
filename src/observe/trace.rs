//! Spans of the collector's own work, for who asks for traces: the one vocabulary of names and attributes. Attributes are
//! numbers and words of closed lists. Without traces a span costs one look at a flag.

use tracing::Span;
use tracing::field::Empty;

/// What tells these spans from everything else that is told.
pub const TARGET: &str = "traces.usaged";

/// Makes a span of this vocabulary.
macro_rules! span {
    ($name:literal $(, $key:ident = $value:expr)*) => {
        tracing::debug_span!(target: "traces.usaged", $name $(, $key = $value)*)
    };
}

/// A count as traces have it: their numbers have a sign.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A call, from its head to its last byte.
pub fn request(method: &'static str) -> Span {
    span!("request", method = method, code = Empty, bytes = Empty, events = Empty)
}

/// How the call at hand ended.
pub fn answered(span: &Span, code: &'static str) {
    span.record("code", code);
}

/// How large the request at hand is.
pub fn sized(bytes: u64, events: u64) {
    let span = Span::current();
    span.record("bytes", number(bytes));
    span.record("events", number(events));
}

/// One write of the store, with its sync.
pub fn group_commit(records: u64, events: u64, bytes: u64) -> Span {
    span!("group_commit", records = number(records), events = number(events), bytes = number(bytes))
}

/// Choosing, opening and leasing batches for a drainer.
pub fn pull() -> Span {
    span!("pull", batches = Empty)
}

/// How many batches the pull at hand gave.
pub fn pulled(span: &Span, batches: u64) {
    span.record("batches", number(batches));
}

/// Taking old bytes off the disk.
pub fn purge() -> Span {
    span!("purge", files = Empty, bytes = Empty)
}

/// What a purge took away.
pub fn purged(span: &Span, files: u64, bytes: u64) {
    span.record("files", number(files));
    span.record("bytes", number(bytes));
}

/// One step of an erasure: its stage in words.
pub fn erasure_step(stage: &'static str) -> Span {
    span!("erasure_step", stage = stage)
}
