//! A collector as a process of its own, for `demo` and `load`: started with this same program,
//! known by its `usaged ready` line, ended with TERM.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::exit::Failure;

/// How long a start may take: a large store replays its write-ahead log.
const START: Duration = Duration::from_mins(1);
/// How long the end may take before the process is killed.
const END: Duration = Duration::from_secs(30);

/// A running collector. Dropping it kills it.
pub(super) struct Collector {
    child: Child,
    /// The gRPC address.
    pub grpc: String,
    /// The HTTP address; empty for a door without one.
    pub admin: String,
}

impl Collector {
    /// Starts `usaged ARGS` and waits until it is ready. Its log goes to `log`.
    pub fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, log: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::io("finding this program"))?;
        let errors = File::create(log).map_err(Failure::io(format!("making {}", log.display())))?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(Failure::io("starting a collector"))?;
        let mut collector = Self { child, grpc: String::new(), admin: String::new() };
        let line = collector.ready_line(log)?;
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some(("grpc", address)) => address.clone_into(&mut collector.grpc),
                Some(("admin", address)) => address.clone_into(&mut collector.admin),
                Some(_) | None => {}
            }
        }
        Ok(collector)
    }

    /// The first line on standard output. A start that fails ends the process, which ends the line.
    fn ready_line(&mut self, log: &Path) -> Result<String, Failure> {
        let failed = || {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            Failure::Failed(format!("the collector did not start:\n{}", said.trim_end()))
        };
        let out = self.child.stdout.take().ok_or_else(failed)?;
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(out).read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
        });
        match receiver.recv_timeout(START) {
            Ok(Ok(line)) if line.starts_with("usaged ready ") => Ok(line),
            Ok(_) | Err(_) => Err(failed()),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits; what it was told to finish, it finishes. Waits beside the runtime's
    /// thread, because the connections of our clients must hear that the collector goes away.
    pub async fn end(self) -> Result<(), Failure> {
        let ended = tokio::task::spawn_blocking(move || self.end_now()).await;
        ended.map_err(|_| Failure::Failed("waiting for the collector panicked".to_owned()))?
    }

    fn end_now(mut self) -> Result<(), Failure> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < END {
            match self.child.try_wait().map_err(Failure::io("waiting for the collector"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Failure::Failed(format!("the collector ended with {status}"))),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        Err(Failure::Failed("the collector did not end in time and was killed".to_owned()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
