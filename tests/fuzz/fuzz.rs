//! One program for all fuzz targets, driven by libFuzzer: `USAGED_FUZZ` names the target, the arguments are libFuzzer's.
//! `make fuzz` builds it with the counters of coverage and runs it; see `deploy/fuzz.sh`.

#![no_main]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::pedantic,
    clippy::type_complexity,
    missing_docs,
    dead_code,
    reason = "a target fails by panicking, and the modules that it shares with the tests have more than it needs"
)]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../it/dictionary_events.rs"]
mod dictionary_events;
#[path = "../it/made_up.rs"]
mod made_up;
#[path = "targets/mod.rs"]
mod targets;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

#[expect(clippy::disallowed_methods, reason = "the arguments belong to libFuzzer")]
fn choose() {
    let name = std::env::var("USAGED_FUZZ").unwrap_or_default();
    let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
    let target = targets::ALL.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("USAGED_FUZZ must name a target, one of {names:?}"));
    TARGET.get_or_init(|| target.run);
}

fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(run) = TARGET.get() {
        run(bytes);
    }
});
