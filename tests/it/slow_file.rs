//! A file on a disk that does not answer: whoever opens it waits as long as the tracer is there that holds it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::fault_daemon::{Daemon, until};
use crate::sync_error::{need_strace, until_traced};

/// Longer than any test.
const INJECT: &str = "inject=openat,?open:delay_enter=600s";

/// What a tracer notes of the file.
pub struct Noted {
    file: PathBuf,
    notes: PathBuf,
}

impl Noted {
    fn of(file: &Path, dir: &Path) -> Self {
        need_strace();
        let notes = dir.join("strace");
        std::fs::write(&notes, "").unwrap();
        Self { file: file.to_owned(), notes }
    }

    fn args(&self) -> Vec<String> {
        let [file, notes] = [&self.file, &self.notes].map(|path| path.display().to_string());
        ["-f", "-qq", "-o", &notes, "-P", &file, "-e", INJECT].map(str::to_owned).to_vec()
    }

    /// Waits until somebody waits for the file.
    pub fn is_opened(&self) {
        let opening = format!("\"{}\"", self.file.display());
        until("the file is opened", || std::fs::read_to_string(&self.notes).unwrap().contains(&opening));
    }
}

/// What `command` of the tracer starts finds the file slow from the start on: the words before the program, which the
/// child becomes. The notes are in `dir`.
pub fn slow_from_the_start(file: &Path, dir: &Path) -> (Noted, Vec<String>) {
    let noted = Noted::of(file, dir);
    let words = ["strace", "-D", "-e", "trace=openat,?open"].map(str::to_owned);
    let words = words.into_iter().chain(noted.args()).collect();
    (noted, words)
}

/// A file that is slow for a collector that runs, until this is dropped: then the disk answers.
pub struct Slow {
    noted: Noted,
    tracer: Child,
}

impl Slow {
    /// `file` is slow from now on; with `more` arguments of the tracer, whose notes are in `dir`.
    pub fn hold(daemon: &Daemon, file: &Path, dir: &Path, more: &[String]) -> Self {
        let noted = Noted::of(file, dir);
        let mut tracer = Command::new("strace");
        tracer.args(noted.args()).args(["-p", &daemon.pid().to_string()]);
        let calls = if more.is_empty() { "trace=openat,?open" } else { "trace=openat,?open,fdatasync" };
        let tracer = tracer.args(["-e", calls]).args(more).stderr(Stdio::null()).spawn().unwrap();
        until_traced(daemon.pid());
        Self { noted, tracer }
    }

    /// Waits until the collector waits for the file.
    pub fn is_opened(&self) {
        self.noted.is_opened();
    }
}

/// Waits until a process has ended but for the threads that its tracer holds, and has that let go of them: only then is
/// it gone for whoever started it.
pub fn until_only_held(pid: u32) {
    let status = |path: PathBuf| std::fs::read_to_string(path.join("status")).unwrap_or_default();
    let process = PathBuf::from(format!("/proc/{pid}"));
    until("it ends", || status(process.clone()).contains("State:\tZ"));
    for thread in std::fs::read_dir(process.join("task")).unwrap().filter_map(Result::ok) {
        let told = status(thread.path());
        let tracer = told.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok());
        if let Some(tracer) = tracer.and_then(Pid::from_raw) {
            let _ = kill_process(tracer, Signal::KILL);
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // It lets go of what it holds. If the collector has ended, it has, too.
        let tracer = Pid::from_raw(i32::try_from(self.tracer.id()).unwrap()).unwrap();
        let _ = kill_process(tracer, Signal::KILL);
        let _ = self.tracer.wait();
    }
}
