//! What a service manager is told, by the real program over a socket of the test's own.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cli_run::usaged;
use crate::fault_daemon::{Place, SOON};

/// The manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self(socket)
    }

    /// The next message, one state on each line.
    fn next(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let read = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..read].to_vec()).unwrap())
    }

    /// Reads until a message has the line `wanted`; gives all that came, that one last.
    fn until(&self, wanted: &str) -> Vec<String> {
        let begun = Instant::now();
        let mut all: Vec<String> = Vec::new();
        while begun.elapsed() < SOON {
            let Some(message) = self.next() else { continue };
            all.push(message);
            if all.last().unwrap().lines().any(|line| line == wanted) {
                return all;
            }
        }
        panic!("{wanted} was not told; this was: {all:?}");
    }
}

/// A collector that tells `socket`, with a watchdog of `interval`.
fn place(dir: &Path, socket: &Path, interval: Duration) -> Place {
    let notify = format!("NOTIFY_SOCKET={}", socket.display());
    let watchdog = format!("WATCHDOG_USEC={}", interval.as_micros());
    Place::new(dir).under(&["env", &notify, &watchdog])
}

/// covers: S1
#[test]
fn a_manager_is_told_when_the_doors_are_open_of_a_reload_that_it_lives_and_that_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let manager = Manager::listen(&socket);
    let policy = dir.path().join("policy");
    for file in usaged::policy::shipped() {
        let path = policy.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    let place = place(dir.path(), &socket, Duration::from_millis(600))
        .with(&["--policy-dir", &policy.display().to_string()]);
    let daemon = place.start();
    let before = manager.until("READY=1");
    assert!(
        before[0].contains("EXTEND_TIMEOUT_USEC=") && before[0].contains("STATUS=opening the store"),
        "{before:?}"
    );
    assert!(before.last().unwrap().contains("STATUS=serving, policy "), "{before:?}");
    // Who is told that it is ready finds the doors open.
    let status = || usaged(["status", "--server", &daemon.grpc, "--json"]).json();
    assert!(status()["last_reload"].is_null(), "{}", status());
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }

    daemon.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    assert!(reloading.last().unwrap().contains("MONOTONIC_USEC="), "{reloading:?}");
    manager.until("READY=1");
    assert_eq!(
        (&status()["last_reload"]["outcome"], &status()["last_reload"]["asked_by"]),
        (&"unchanged".into(), &"signal".into())
    );

    // Nobody watches while the mistake is made: the link is moved at once, and a signal asks for it.
    let bad = dir.path().join("bad");
    std::fs::rename(&policy, &bad).unwrap();
    daemon.signal(Signal::HUP);
    manager.until("RELOADING=1");
    let refused = manager.until("READY=1");
    assert!(refused.last().unwrap().contains("the last reload was refused"), "{refused:?}");
    let told = status();
    assert_eq!(told["last_reload"]["outcome"], "refused", "{told}");
    assert!(told["last_reload"]["problems"].as_array().is_some_and(|all| !all.is_empty()), "{told}");
    assert!(place.said().contains("reload done"), "{}", place.said());

    daemon.signal(Signal::TERM);
    manager.until("STOPPING=1");
    assert_eq!(daemon.ended(), 0);
}

/// covers: S1
#[test]
fn a_writer_that_is_stuck_is_not_told_to_be_alive() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let manager = Manager::listen(&socket);
    // From the start on: each sync takes far longer than the watchdog waits.
    let (notify, watchdog) =
        (format!("NOTIFY_SOCKET={}", socket.display()), format!("WATCHDOG_USEC={}", 800_000));
    let plain = Place::new(dir.path()).under(&["env", &notify, &watchdog]);
    let daemon = plain.start();
    manager.until("WATCHDOG=1");
    let delay = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"];
    let mut tracer = std::process::Command::new(delay[0])
        .args(&delay[1..])
        .args(["-e", "inject=fdatasync:delay_enter=20s", "-p", &daemon.pid().to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("this test delays syncs with strace: run deploy/setup.sh, or apt-get install strace");
    crate::sync_error::until_traced(daemon.pid());
    // A change that has to be synced, on which the writer hangs.
    let grpc = daemon.grpc.clone();
    let asking = std::thread::spawn(move || {
        let set =
            ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "x", "--server", &grpc];
        usaged(set).code
    });
    crate::fault_daemon::until("the log says that the writer does not answer", || {
        plain.said().contains("the writer of the store does not answer")
    });
    // What was told before that is read; from then on there is silence, while the doors still answer.
    while manager.next().is_some() {}
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"));
    // For longer than the watchdog waits.
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(2) {
        assert_eq!(manager.next(), None, "a stuck writer was called alive");
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(tracer.id()).unwrap()).unwrap(),
        Signal::TERM,
    )
    .unwrap();
    let _ = tracer.wait();
    // The tracer is gone, and the sync goes on: it is alive again, and nothing was lost.
    manager.until("WATCHDOG=1");
    assert_eq!(asking.join().unwrap(), 0);
    assert_eq!(daemon.end(), 0);
}
