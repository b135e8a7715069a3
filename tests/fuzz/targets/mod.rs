//! The fuzz targets: for each door through which bytes come that somebody else wrote, or that a disk gave back, a
//! function that takes any bytes and panics if a promise broke. The fuzzer runs them on bytes that it makes up, and
//! `fuzz_replay.rs` on the corpora, in every test run.

pub mod canonical;
pub mod collection;
pub mod composition;
pub mod config;
pub mod desk;
pub mod detect;
pub mod ledger;
pub mod planted;
pub mod policy;
pub mod queue;
pub mod rows;
pub mod stored;
pub mod wire;

/// A target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// The longest input that is made up; a target says here what its bounds need.
    pub max_len: usize,
    pub run: fn(&[u8]),
}

pub const ALL: &[Target] = &[
    Target { name: "wire", max_len: 4096, run: wire::run },
    Target { name: "canonical", max_len: 512, run: canonical::run },
    Target { name: "detect", max_len: 1024, run: detect::run },
    Target { name: "stored", max_len: 4096, run: stored::run },
    Target { name: "composition", max_len: 512, run: composition::run },
    Target { name: "rows", max_len: 1024, run: rows::run },
    Target { name: "queue", max_len: 1024, run: queue::run },
    Target { name: "ledger", max_len: 4096, run: ledger::run },
    Target { name: "policy", max_len: 8192, run: policy::run },
    Target { name: "collection", max_len: 512, run: collection::run },
    Target { name: "config", max_len: 4096, run: config::run },
];

/// Takes choices off the front of an input, so that a mutation of a byte changes one choice.
#[derive(Debug)]
pub struct Choices<'b>(pub &'b [u8]);

impl<'b> Choices<'b> {
    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.byte()) % sides
    }

    pub fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.roll(of.len())]
    }

    /// Up to `most` bytes, as many as the next byte says.
    pub fn bytes(&mut self, most: usize) -> &'b [u8] {
        let len = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}
