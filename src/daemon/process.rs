//! What the process as a whole must not do: leave its memory on disk, or print a payload in a panic.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Turns core dumps off: memory holds raw values and keys. The process also becomes invisible to
/// debuggers of the same user; `/proc/PID/stat` and `status` stay readable.
pub(super) fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be turned off by limit");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps could not be turned off for this process");
    }
}

/// Makes a panic log its place and nothing else: a message could quote what was being worked on.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(at = place, thread = thread.name().unwrap_or("unnamed"), "panicked");
    }));
}
