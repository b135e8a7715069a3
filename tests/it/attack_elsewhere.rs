//! Attackers are on other machines. Here they share two processors with the collector and its honest
//! clients; where latencies are measured they must not hold what these want, or it would be the attackers'
//! machine that is measured.

use std::process::Command;
use std::time::Duration;

/// How long each attack takes, and the calm before it: seconds, from the environment.
#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
pub fn heavy() -> Option<Duration> {
    let seconds = std::env::var("USAGED_ATTACK_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("USAGED_ATTACK_SECONDS is a number of seconds")))
}

/// From now on this thread is of another machine: it goes on where nothing else wants to.
///
/// While latencies are measured it is off its processor as soon as anything else wants it. The lowest priority is
/// not enough for that: with it a thread keeps its processor for up to a tick, 4 ms, while the collector waits,
/// and the kernel puts what wakes behind another busy thread rather than in its place. Without a measurement, the
/// rest of a busy machine must not starve it.
pub fn gives_way() {
    if heavy().is_none() {
        let _polite = rustix::process::nice(19);
        return;
    }
    let own = std::fs::read_link("/proc/thread-self").unwrap();
    // Of util-linux, which every Debian has. Whoever wants to be idle needs no right for it.
    let mut change = Command::new("chrt");
    change.args(["--idle", "--pid", "0"]).arg(own.file_name().unwrap());
    assert!(change.status().unwrap().success(), "an attacker gives way");
}
