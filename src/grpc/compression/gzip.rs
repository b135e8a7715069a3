//! gzip (RFC 1952), one member: its last four bytes say how large it was.

use std::cell::RefCell;
use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

/// Bytes of the header up to what may follow, and of the checksum and the size at the end.
const HEADER: usize = 10;
const TRAILER: usize = 8;

/// Flags of the header: what follows it. The text flag (1) means nothing.
const HEADER_CHECK: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

thread_local! {
    /// Made once for each thread: 43 KiB.
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// What the member says of its size.
pub(super) fn size(member: &[u8]) -> Option<usize> {
    if member.len() < HEADER + TRAILER {
        return None;
    }
    let (_, size) = member.split_last_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*size)).ok()
}

/// Expands the member, if it becomes exactly what it says, which is `size`.
pub(super) fn expand(member: &[u8], size: usize) -> Option<Vec<u8>> {
    let body = without_header(member)?;
    let (body, trailer) = body.split_last_chunk::<TRAILER>()?;
    let [c0, c1, c2, c3, ..] = *trailer;
    // One more, so that it shows if there is more.
    let mut expanded = Vec::with_capacity(size.checked_add(1)?);
    let ended = INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let status = inflate.decompress_vec(body, &mut expanded, FlushDecompress::Finish).ok()?;
        let read = usize::try_from(inflate.total_in()).ok()?;
        (status == Status::StreamEnd && read == body.len()).then_some(())
    });
    ended?;
    let is_whole =
        expanded.len() == size && crc32fast::hash(&expanded) == u32::from_le_bytes([c0, c1, c2, c3]);
    is_whole.then_some(expanded)
}

fn without_header(member: &[u8]) -> Option<&[u8]> {
    let (header, mut rest) = member.split_first_chunk::<HEADER>()?;
    let [0x1f, 0x8b, 8, flags, ..] = *header else { return None };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = memchr::memchr(0, rest)?;
            rest = rest.get(end.checked_add(1)?..)?;
        }
    }
    if flags & HEADER_CHECK != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

pub(super) fn compress(message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    encoder.write_all(message)?;
    encoder.finish()
}
