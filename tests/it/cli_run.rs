//! Runs the program as a person does, and a collector as a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How a command ended, and what it said.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The one JSON value on standard output.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }
}

/// Runs `usaged ARGS` to its end, without a terminal.
pub fn usaged<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ended {
    usaged_with(args, "")
}

/// Runs `usaged ARGS` with `input` on standard input.
pub fn usaged_with<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &str) -> Ended {
    let mut child = command(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read its input may end before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usaged"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).env("USER", "tester");
    for name in
        ["USAGED_SERVER", "USAGED_CONFIG", "USAGED_CUSTOMER", "USAGED_BY", "USAGED_ROOT_KEY", "COLUMNS"]
    {
        command.env_remove(name);
    }
    command
}

/// A running collector. Killed when dropped.
pub struct Collector {
    child: Child,
    pub grpc: String,
    pub admin: String,
}

impl Collector {
    /// Starts a collector on free ports; its log goes to `log` in `dir`, its data to `data`.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let data = dir.join("data").display().to_string();
        let fixed =
            ["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut child = command(fixed.iter().chain(args)).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let word = |name: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            found
                .unwrap_or_else(|| panic!("{line}{}", std::fs::read_to_string(dir.join("log")).unwrap()))
                .to_owned()
        };
        Self { grpc: word("grpc="), admin: word("admin="), child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end; gives its exit code.
    pub fn end(mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Runs a client command against it.
    pub fn client(&self, args: &[&str], input: &str) -> Ended {
        usaged_with(args.iter().chain(&["--server", &self.grpc]), input)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
