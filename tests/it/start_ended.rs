//! A start that takes long is ended as soon as it is asked to, and what it was doing harms nothing.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use rustix::process::Signal;

use crate::fault_daemon::{Place, SOON, until};
use crate::identity_world::World;
use crate::slow_file::{slow_from_the_start, until_only_held};
use crate::sync_error::need_strace;
use crate::term::write_policy;

/// covers: S1, D5
#[test]
fn a_start_that_waits_for_the_disk_is_ended_by_a_signal_and_the_next_one_goes_on() {
    need_strace();
    for (signal, sync) in [(Signal::TERM, 1), (Signal::INT, 2), (Signal::TERM, 4), (Signal::TERM, 8)] {
        let dir = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let socket = format!("NOTIFY_SOCKET={}", dir.path().join("notify").display());
        // From the Nth sync of a thread on, each takes so long that the start would take minutes. The tracer is a grandchild.
        let inject = format!("inject=fsync,fdatasync:delay_enter=10s:when={sync}+");
        let slow =
            ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject];
        let place = Place::new(dir.path());
        let starting = Place::new(dir.path()).under(&[&["env", &socket][..], &slow].concat()).spawn();
        let mut told = String::new();
        until("it says that it starts", || {
            let mut bytes = [0; 4096];
            if let Ok(read) = manager.recv(&mut bytes) {
                told.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            let is_at_it = ["data.key.new", "data.key"].iter().any(|name| dir.path().join(name).exists());
            told.contains("EXTEND_TIMEOUT_USEC") && is_at_it
        });
        let asked = Instant::now();
        starting.signal(signal);
        assert_eq!(starting.ended(), 0, "sync {sync}: {}", place.said());
        assert!(asked.elapsed() < SOON / 2, "sync {sync}: it took {:?}", asked.elapsed());
        let mut bytes = [0; 4096];
        while let Ok(read) = manager.recv(&mut bytes) {
            told.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        assert!(told.contains("STOPPING=1") && !told.contains("READY=1"), "sync {sync}: {told}");
        assert!(place.said().contains("asked to end while it started"), "{}", place.said());
        assert_eq!(place.start().end(), 0, "sync {sync}: the next start");
    }
}

/// covers: S1
#[test]
fn a_start_that_waits_for_a_file_is_ended_by_a_signal_at_once() {
    let names = ["policy/products/vcenter.toml", "pki/identities.toml", "pki/server.key", "pki/ca.crl"];
    for (name, signal) in names.into_iter().zip([Signal::TERM, Signal::INT].into_iter().cycle()) {
        let world = World::new();
        write_policy(&world.path("policy"), |file| file.text.clone());
        let (noted, slow) = slow_from_the_start(&world.path(name), &world.path(""));
        let slow: Vec<&str> = slow.iter().map(String::as_str).collect();
        let policy = world.path("policy").display().to_string();
        let place = world.place().with(&["--policy-dir", &policy]).under(&slow);
        let starting = place.spawn();
        noted.is_opened();
        let asked = Instant::now();
        starting.signal(signal);
        until_only_held(starting.pid());
        assert_eq!(starting.ended(), 0, "{name}: {}", place.said());
        assert!(asked.elapsed() < SOON / 2, "{name}: it took {:?}", asked.elapsed());
        assert!(place.said().contains("asked to end while it started"), "{name}: {}", place.said());
    }
}
