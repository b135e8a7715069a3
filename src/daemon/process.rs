//! What the process as a whole must not do: leave its memory on disk, make a file that others can read, or print a
//! payload in a panic.

use rustix::fs::Mode;
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

/// Makes every file and directory from now on for its owner only: the database asks for files that everybody reads.
pub(super) fn make_for_its_owner_only() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Makes a panic log its place and nothing else: a message could quote what was being worked on.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(at = place, thread = thread.name().unwrap_or("unnamed"), "panicked");
    }));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests panic on purpose")]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::quiet_panics;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_logs_its_place_and_not_what_it_says() {
        // covers: P1
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let before = std::panic::take_hook();
        quiet_panics();
        let ended = tracing::subscriber::with_default(subscriber, || {
            std::panic::catch_unwind(|| {
                let quoted = "canary-79".to_owned();
                panic!("no treatment for {quoted}");
            })
        });
        std::panic::set_hook(before);
        assert!(ended.is_err());
        let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(told.contains("panicked") && told.contains("process.rs"), "{told}");
        assert!(!told.contains("canary-79") && !told.contains("no treatment"), "{told}");
    }
}
