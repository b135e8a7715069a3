//! How far something is: a bar where somebody watches, plain lines where not.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

use crate::backup::Progress;
use crate::cli::exit::say;
use crate::cli::output::Output;

/// Shows progress on standard error.
pub(super) struct Lines {
    bar: ProgressBar,
    /// One line for each part, where there is no terminal and people read.
    is_plain: bool,
    part: &'static str,
    text: String,
}

impl Lines {
    pub fn new(out: Output) -> Self {
        let is_plain = !out.is_json() && !io::stderr().is_terminal();
        Self { bar: out.progress(None, ""), is_plain, part: "", text: String::new() }
    }

    /// Takes in what a room tells.
    pub fn show(&mut self, at: Progress) {
        if at.part != self.part {
            self.part = at.part;
            self.begin(at.part);
        }
        self.go_on(at.done, at.of);
    }

    /// Takes in what a collector tells.
    pub fn show_text(&mut self, part: &str, done: u64, of: u64) {
        if part != self.text {
            part.clone_into(&mut self.text);
            self.begin(part);
        }
        self.go_on(done, of);
    }

    fn begin(&self, part: &str) {
        self.bar.set_message(part.to_owned());
        if self.is_plain {
            say(part);
        }
    }

    fn go_on(&self, done: u64, of: u64) {
        if of > 0 {
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}")
            {
                self.bar.set_style(style);
            }
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
