//! A collector as a process of its own that tests kill, starve and lie to; and a small file system
//! to do it on.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that is not expected to take long.
pub const SOON: Duration = Duration::from_mins(1);

/// Where a collector lives, and how it is started.
pub struct Place {
    pub data: PathBuf,
    pub log: PathBuf,
    program: PathBuf,
    args: Vec<String>,
    wrapper: Vec<String>,
}

impl Place {
    /// Data in `dir/data`, the log in `dir/log`.
    pub fn new(dir: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_usaged").into();
        Self { data: dir.join("data"), log: dir.join("log"), program, args: Vec::new(), wrapper: Vec::new() }
    }

    /// The same with a copy of the program, for a user who does not reach the original.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// The same with more arguments of `usaged serve`.
    pub fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// The same, started by another program that becomes the collector: `sh -c 'exec "$@"' sh`.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts a process and does not wait for it.
    pub fn spawn(&self) -> Starting {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let data = self.data.display().to_string();
        let program = self.program.display().to_string();
        let serve =
            ["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let words: Vec<String> = self.wrapper.iter().cloned().chain([program]).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(serve).args(&self.args);
        for name in ["USAGED_CONFIG", "USAGED_ROOT_KEY"] {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (said, line) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = said.send(line);
        });
        Starting { child: Process(child), line, log: self.log.clone() }
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Daemon {
        self.spawn().ready().unwrap_or_else(|(code, log)| panic!("it ended with {code}: {log}"))
    }

    /// Starts it, expecting a refusal: the exit code and what it said.
    pub fn refused(&self) -> (i32, String) {
        let before = self.said().len();
        let Err((code, _)) = self.spawn().ready() else { panic!("it started: {}", self.said()) };
        (code, self.said().split_off(before))
    }

    /// The log of all starts so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < SOON, "the collector does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A collector that has not said yet that it is ready.
pub struct Starting {
    child: Process,
    line: mpsc::Receiver<String>,
    log: PathBuf,
}

impl Starting {
    /// Waits for the line that says where it listens; the exit code and the log if it ends first.
    pub fn ready(mut self) -> Result<Daemon, (i32, String)> {
        let line = self.line.recv_timeout(SOON).expect("it neither starts nor ends");
        let word = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
        if let (Some(grpc), Some(admin)) = (word("grpc="), word("admin=")) {
            return Ok(Daemon { grpc: grpc.to_owned(), admin: admin.to_owned(), child: self.child });
        }
        let code = self.child.wait().code().unwrap_or(-1);
        Err((code, std::fs::read_to_string(&self.log).unwrap()))
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Kills it with SIGKILL, wherever it is.
    pub fn kill(self) {
        drop(self.child);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.0.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until it ends by itself; its exit code, -1 for a signal.
    pub fn ended(mut self) -> i32 {
        self.child.wait().code().unwrap_or(-1)
    }
}

/// A running collector. Killed when dropped.
pub struct Daemon {
    pub grpc: String,
    pub admin: String,
    child: Process,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(self) {
        drop(self.child);
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_some()
    }

    /// Waits until it ends by itself; its exit code, -1 for a signal.
    pub fn ended(mut self) -> i32 {
        self.child.wait().code().unwrap_or(-1)
    }

    /// Asks it to end; its exit code.
    pub fn end(self) -> i32 {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// A page of the admin port, head and body; empty if nobody answers.
    pub fn page(&self, path: &str) -> String {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(&self.admin) {
            let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        }
        text
    }
}

/// Asks again and again until `done`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < SOON, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A small file system in memory. Unmounted when dropped.
pub struct Disk(tempfile::TempDir);

impl Disk {
    /// Mounts one with `options`, such as `size=64m`.
    pub fn mount(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Self(dir);
        disk.run("mount", &["-t", "tmpfs", "-o", options, "usaged-test"]);
        disk
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes the right to write away from everybody.
    pub fn make_read_only(&self) {
        self.run("mount", &["-o", "remount,ro"]);
    }

    /// Gives it back.
    pub fn make_writable(&self) {
        self.run("mount", &["-o", "remount,rw"]);
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = Command::new(program).args(args).arg(self.path()).output().unwrap();
        assert!(
            output.status.success(),
            "this test mounts a small file system, which takes root: run `make test` as root (or in a container \
             with CAP_SYS_ADMIN); {program} said: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).stderr(Stdio::null()).status();
    }
}
