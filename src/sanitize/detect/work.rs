//! Counts how many bytes the detectors look at, so that a test, or the fuzzer, can tell linear from quadratic
//! without a clock.

use std::cell::Cell;

thread_local! {
    static LOOKED: Cell<u64> = const { Cell::new(0) };
}

pub(in crate::sanitize) fn count(bytes: u64) {
    LOOKED.with(|looked| looked.set(looked.get() + bytes));
}

/// What `run` looked at.
pub(in crate::sanitize) fn of(run: impl FnOnce()) -> u64 {
    let before = LOOKED.with(Cell::get);
    run();
    LOOKED.with(Cell::get) - before
}
