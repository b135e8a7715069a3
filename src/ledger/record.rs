//! Records of the file `entries`: how a leaf is framed, and how the file is read from some record on.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use super::leaf::LEAF_BYTES;

/// How the file begins.
pub(super) const HEADER: &[u8] = b"usaged ledger, format 1\n";
/// Where the first record is.
pub(super) const FIRST: u64 = 24;
/// Bytes of a record before its leaf: length and CRC.
pub(super) const FRAME: u64 = 8;
/// Bytes that are read ahead.
const AHEAD: usize = 256 * 1024;

/// The record of a leaf: its length (4), CRC-32 of length and leaf (4), the leaf. `None` if the leaf
/// is empty or too long.
pub(super) fn frame(leaf: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(leaf.len()).ok().filter(|_| !leaf.is_empty() && leaf.len() <= LEAF_BYTES)?;
    let mut record = Vec::with_capacity(leaf.len() + 8);
    record.extend_from_slice(&length.to_be_bytes());
    record.extend_from_slice(&checksum(length, leaf).to_be_bytes());
    record.extend_from_slice(leaf);
    Some(record)
}

fn checksum(length: u32, leaf: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_be_bytes());
    hasher.update(leaf);
    hasher.finalize()
}

/// The leaf in the bytes of a whole record.
pub(super) fn unframe(record: &[u8]) -> Option<&[u8]> {
    let (length, rest) = record.split_first_chunk::<4>()?;
    let (crc, leaf) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let is_whole = usize::try_from(length).ok()? == leaf.len();
    (is_whole && checksum(length, leaf) == u32::from_be_bytes(*crc)).then_some(leaf)
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The file ends in it.
    #[error("the file ends in it")]
    Short,
    /// It says a length that no record has.
    #[error("its length cannot be")]
    Length,
    /// The checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
}

/// What stands at a place of the file.
#[derive(Debug)]
pub(super) enum Found {
    /// A record.
    Leaf(Vec<u8>),
    /// Something else. With a length that can be, what follows may still be read.
    Bad(RecordFault),
    /// The end.
    End,
}

/// Reads records one after another, in bounded memory.
#[derive(Debug)]
pub(super) struct Records {
    input: BufReader<File>,
    at: u64,
    end: u64,
}

impl Records {
    /// Reads `file` from the offset `at` up to `end`.
    pub(super) fn new(file: File, at: u64, end: u64) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(AHEAD, file);
        input.seek(SeekFrom::Start(at))?;
        Ok(Self { input, at, end })
    }

    /// The offset of the next record.
    pub(super) const fn offset(&self) -> u64 {
        self.at
    }

    /// Goes on at another offset.
    pub(super) fn seek(&mut self, at: u64) -> io::Result<()> {
        self.at = at;
        self.input.seek(SeekFrom::Start(at)).map(drop)
    }

    /// Reads the next record, and goes on behind it.
    pub(super) fn next(&mut self) -> io::Result<Found> {
        let left = self.end.saturating_sub(self.at);
        if left == 0 {
            return Ok(Found::End);
        }
        if left < FRAME {
            self.at = self.end;
            return Ok(Found::Bad(RecordFault::Short));
        }
        let mut head = [0; 8];
        self.input.read_exact(&mut head)?;
        let [a, b, c, d, crc @ ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes == 0 || bytes > LEAF_BYTES {
            self.at = self.end;
            return Ok(Found::Bad(RecordFault::Length));
        }
        if u64::from(length) > left - FRAME {
            self.at = self.end;
            return Ok(Found::Bad(RecordFault::Short));
        }
        let mut leaf = vec![0; bytes];
        self.input.read_exact(&mut leaf)?;
        self.at = self.at.saturating_add(FRAME).saturating_add(u64::from(length));
        let is_good = checksum(length, &leaf) == u32::from_be_bytes(crc);
        Ok(if is_good { Found::Leaf(leaf) } else { Found::Bad(RecordFault::Checksum) })
    }
}
