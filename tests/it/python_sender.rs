//! The example sender of deploy/examples/python, against a real collector, with everything that it sends
//! recorded on the way: it sends what is wanted and nothing else, and stops when it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, Place, SOON, until};
use crate::python_client::{make_stubs, python, repository};

/// Between a sender and a collector: passes everything on, and keeps what the sender said.
struct Recorder {
    address: String,
    /// Where the collector is now.
    target: Arc<Mutex<String>>,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    fn before(collector: &Daemon) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let target = Arc::new(Mutex::new(collector.grpc.clone()));
        let sent: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (to, record) = (Arc::clone(&target), Arc::clone(&sent));
        std::thread::spawn(move || {
            for sender in listener.incoming().map_while(Result::ok) {
                let Ok(collector) = TcpStream::connect(&*to.lock().unwrap()) else { continue };
                let (from, back) = (sender.try_clone().unwrap(), collector.try_clone().unwrap());
                let record = Arc::clone(&record);
                std::thread::spawn(move || {
                    pass_on(from, collector, |bytes| {
                        record.lock().unwrap().extend_from_slice(bytes);
                    })
                });
                std::thread::spawn(move || pass_on(back, sender, |_| {}));
            }
        });
        Self { address, target, sent }
    }

    /// Whether the sender has said this, to any collector.
    fn has(&self, text: &str) -> bool {
        let sent = self.sent.lock().unwrap();
        sent.windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn forget(&self) {
        self.sent.lock().unwrap().clear();
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        note(&bytes[..n]);
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

/// The example, running.
struct Sender {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<String>,
    _stubs: tempfile::TempDir,
}

impl Sender {
    fn start(server: &str, spool: &Path, more: &[&str]) -> Self {
        let (python, stubs) = (python(), tempfile::tempdir().unwrap());
        make_stubs(&python, stubs.path());
        let mut command = Command::new(python);
        command.arg("-B").arg(repository("deploy/examples/python/sender.py"));
        command.args(["--server", server, "--customer", "acme", "--product", "vcenter"]).args(more);
        command.arg("--stubs").arg(stubs.path()).arg("--spool").arg(spool);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, said) = sync_channel(1024);
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        let input = child.stdin.take();
        Self { child, input, said, _stubs: stubs }
    }

    /// Gives it events and has it send them; what it says until it has tried.
    fn send(&mut self, events: &[Json]) -> Vec<Json> {
        let input = self.input.as_mut().unwrap();
        for event in events {
            writeln!(input, "{event}").unwrap();
        }
        writeln!(input).unwrap();
        self.until_flushed()
    }

    fn until_flushed(&mut self) -> Vec<Json> {
        let mut said = Vec::new();
        loop {
            let line = self.said.recv_timeout(SOON).expect("the sender says what it does");
            let one: Json = serde_json::from_str(&line).unwrap();
            let is_last = one["flushed"] == true;
            said.push(one);
            if is_last {
                return said;
            }
        }
    }

    /// Ends its input; what it says to the end.
    fn end(mut self) -> Vec<Json> {
        drop(self.input.take());
        let said = self.until_flushed();
        assert!(self.child.wait().unwrap().success());
        said
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn participate(collector: &Daemon, args: &[&str]) {
    let set = ["participation", "set", "acme", "--anew", "--reason", "test", "--server", &collector.grpc];
    let set = usaged(set.iter().chain(args));
    assert_eq!(set.code, 0, "{}", set.err);
}

/// Two events, with canaries in what is wanted at every level, at `enhanced` only, and never.
fn events(number: u32) -> [Json; 2] {
    [
        json!({ "name": "vm.power_on", "fields": {
            "vm_id": format!("vm-always-{number}"),
            "initiator": format!("user-enhanced-{number}"),
            "made_up": format!("undeclared-{number}"),
            "placement_ms": 7,
        }}),
        json!({ "name": "guest.customization", "fields": {
            "script": format!("ownwork-{number}"),
            "admin_password": format!("secret-{number}"),
        }}),
    ]
}

/// The words that were said of one kind.
fn all(said: &[Json], what: &str) -> String {
    let words: Vec<_> = said.iter().filter_map(|one| one[what].as_str()).collect();
    words.join(" ")
}

#[test]
fn the_example_sends_what_the_level_wants_and_follows_it_from_the_next_batch_on() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Place::new(dir.path()).start();
    participate(&daemon, &["--level", "ceip=enhanced"]);
    let recorder = Recorder::before(&daemon);
    let mut sender = Sender::start(&recorder.address, &dir.path().join("spool"), &[]);

    let said = sender.send(&events(1));
    assert_eq!((&*all(&said, "plan"), &*all(&said, "receipt")), ("DELIVER", "STORED"), "{said:?}");
    assert!(recorder.has("vm-always-1") && recorder.has("user-enhanced-1"), "the recorder sees what is sent");

    // The batch that brings the news is still by the old plan; the next one is not.
    participate(&daemon, &["--level", "ceip=standard"]);
    let said = sender.send(&events(2));
    assert_eq!(all(&said, "receipt"), "STORED");
    let said = sender.send(&events(3));
    assert_eq!((&*all(&said, "plan"), &*all(&said, "receipt")), ("DELIVER", "STORED"), "{said:?}");
    assert!(recorder.has("vm-always-3") && !recorder.has("user-enhanced-3"));
    let last = said.iter().find(|one| one["receipt"] == "STORED").unwrap();
    assert_eq!((&last["fields"], &last["sent_fields"]), (&json!(2), &json!(2)), "all that is sent is stored");

    participate(&daemon, &["--level", "ceip=standard", "--delivery", "paused"]);
    let said = sender.send(&events(4));
    assert_eq!(all(&said, "receipt"), "DISABLED");
    let said = sender.send(&events(5));
    assert_eq!((&*all(&said, "stopped"), &*all(&said, "receipt")), ("PAUSED", ""), "{said:?}");
    assert_eq!(said.last().unwrap()["not_wanted"], 2);
    let said = sender.end();
    assert_eq!(said.last().unwrap()["waiting"], 0);
    for never in ["undeclared", "ownwork-", "secret-", "vm-always-5", "user-enhanced-5", "made_up"] {
        assert!(!recorder.has(never), "{never} was sent");
    }
    assert_eq!(daemon.end(), 0);
}

// covers: P1
#[test]
fn the_example_keeps_what_is_never_stored_out_of_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Place::new(dir.path()).start();
    participate(&daemon, &["--level", "ceip=enhanced"]);
    let recorder = Recorder::before(&daemon);
    let mut sender = Sender::start(&recorder.address, &dir.path().join("spool"), &[]);
    let said = sender.send(&[
        json!({ "name": "support.log_line", "fields": { "message": "tried HUNTER2-blue, hunter2-blues, a 471" } }),
        json!({ "name": "guest.customization", "fields": {
            "admin_password": "hunter2-blue",
            "script": "471",
        }}),
    ]);
    assert_eq!((&*all(&said, "plan"), &*all(&said, "receipt")), ("DELIVER", "STORED"), "{said:?}");
    assert!(recorder.has("tried [secret], hunter2-blues, a 471") && !recorder.has("HUNTER2-blue"));
    // The next batch knows nothing of it any more.
    let said = sender
        .send(&[json!({ "name": "support.log_line", "fields": { "message": "tried hunter2-blue again" } })]);
    assert_eq!(all(&said, "receipt"), "STORED");
    assert!(recorder.has("tried hunter2-blue again"));
    sender.end();
    assert_eq!(daemon.end(), 0);
}

#[test]
fn the_example_can_compress_what_it_sends() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Place::new(dir.path()).start();
    participate(&daemon, &["--level", "ceip=enhanced"]);
    let recorder = Recorder::before(&daemon);
    let mut sender = Sender::start(&recorder.address, &dir.path().join("spool"), &["--gzip"]);
    let many: Vec<Json> = (100..150).flat_map(events).collect();
    let said = sender.send(&many);
    assert_eq!((&*all(&said, "plan"), &*all(&said, "receipt")), ("DELIVER", "STORED"), "{said:?}");
    assert!(!recorder.has("vm-always-1"), "it goes over the wire compressed");
    sender.end();
    assert_eq!(daemon.end(), 0);
}

#[test]
fn the_example_that_was_told_to_stop_asks_again_when_its_plan_has_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Place::new(dir.path()).with(&["--set", "ingest.plan_time_to_live=1s"]).start();
    participate(&daemon, &["--level", "ceip=standard", "--delivery", "paused"]);
    let recorder = Recorder::before(&daemon);
    let mut sender = Sender::start(&recorder.address, &dir.path().join("spool"), &[]);
    // No number begins another one, however often it is tried.
    let said = sender.send(&events(100));
    assert_eq!((&*all(&said, "stopped"), &*all(&said, "receipt")), ("PAUSED", ""), "{said:?}");
    participate(&daemon, &["--level", "ceip=standard"]);
    let mut number = 100;
    until("the sender goes on", || {
        number += 1;
        all(&sender.send(&events(number)), "receipt") == "STORED"
    });
    assert!(recorder.has(&format!("vm-always-{number}")) && !recorder.has("vm-always-100"));
    sender.end();
    assert_eq!(daemon.end(), 0);
}

// covers: D3
#[test]
fn the_example_keeps_what_cannot_be_sent_within_bounds_and_takes_out_what_is_not_wanted_any_more() {
    let dir = tempfile::tempdir().unwrap();
    // No disk has so much free space, so everything is refused for now.
    let full = Place::new(dir.path()).with(&["--set", "store.reserve_bytes=1048576GiB"]).start();
    participate(&full, &["--level", "ceip=enhanced"]);
    let recorder = Recorder::before(&full);
    let spool = dir.path().join("spool");
    let mut sender = Sender::start(&recorder.address, &spool, &["--spool-bytes", "600"]);
    let said = sender.send(&events(1));
    assert_eq!((&*all(&said, "retry"), &*all(&said, "receipt")), ("STORE_FULL", ""), "{said:?}");
    assert!(recorder.has("user-enhanced-1"));
    let mut dropped = 0;
    for number in 2..8 {
        let said = sender.send(&events(number));
        dropped += said.iter().filter_map(|one| one["spool_full"].as_u64()).sum::<u64>();
    }
    let files: Vec<_> =
        std::fs::read_dir(&spool).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert!(dropped > 0 && files.iter().sum::<u64>() <= 600, "{dropped} {files:?}");
    assert_eq!(files.len() as u64 + dropped, 7);
    assert_eq!(full.end(), 0);

    // The customer has chosen less by the time there is room.
    let daemon = Place::new(dir.path()).start();
    participate(&daemon, &["--level", "ceip=standard"]);
    recorder.forget();
    recorder.target.lock().unwrap().clone_from(&daemon.grpc);
    let mut receipts = Vec::new();
    until("what waited is sent", || {
        let said = sender.send(&[]);
        receipts.extend(all(&said, "receipt").split_whitespace().map(str::to_owned));
        receipts.len() == files.len()
    });
    assert!(receipts.iter().all(|state| state == "STORED"), "{receipts:?}");
    assert!(recorder.has("vm-always-7") && !recorder.has("user-enhanced"), "a batch that waited is stripped");
    assert_eq!(sender.end().last().unwrap()["waiting"], 0);
    assert_eq!(daemon.end(), 0);
}
