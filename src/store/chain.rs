//! The running hash over all records: two stores that agree on it at a commit hold the same
//! records up to it, in the same order.

use sha2::{Digest, Sha256};

/// The value of the running hash after a commit: the leftmost 128 bits of SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chain(pub(super) [u8; 16]);

impl Chain {
    /// How many bytes it takes.
    pub(super) const BYTES: usize = 16;

    /// The value after the record `commit`, whose last sixteen bytes are its authentication tag:
    /// the tag stands for the whole record, its header included.
    pub(super) fn link(self, commit: u64, tag: &[u8; 16]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(commit.to_be_bytes());
        hash.update(tag);
        let digest: [u8; 32] = hash.finalize().into();
        let mut value = [0; Self::BYTES];
        value.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(value)
    }
}
