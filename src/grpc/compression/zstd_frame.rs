//! zstd (RFC 8878), one frame: its header may say how large it was; if not, its blocks say how large
//! it was at most. It is expanded in one step into memory of that size, so that there is no window
//! beside it, whatever window the frame asks for.

use std::cell::RefCell;

use zstd::bulk::Decompressor;

use crate::model::limits;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// No block becomes more.
const BLOCK: usize = 128 * 1024;

/// Quick, and still a fifth or less of a batch.
const LEVEL: i32 = 1;

thread_local! {
    /// Made once for each thread: 160 KiB.
    static DECOMPRESS: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

/// What the frame says of its size: exactly, or at most.
pub(super) fn size(frame: &[u8]) -> Option<usize> {
    let mut rest = frame;
    if take(&mut rest)? != MAGIC {
        return None;
    }
    let [descriptor] = take::<1>(&mut rest)?;
    let (has_window, has_checksum) = (descriptor & 0x20 == 0, descriptor & 0x04 != 0);
    // The reserved bit, and a dictionary, which nobody agreed on.
    if descriptor & 0x08 != 0 || descriptor & 0x03 != 0 {
        return None;
    }
    if has_window {
        take::<1>(&mut rest)?;
    }
    let said = match descriptor >> 6 {
        0 if has_window => None,
        0 => Some(u64::from(u8::from_le_bytes(take(&mut rest)?))),
        1 => Some(u64::from(u16::from_le_bytes(take(&mut rest)?)).saturating_add(256)),
        2 => Some(u64::from(u32::from_le_bytes(take(&mut rest)?))),
        _ => Some(u64::from_le_bytes(take(&mut rest)?)),
    };
    let most = blocks(&mut rest)?;
    if has_checksum {
        take::<4>(&mut rest)?;
    }
    if !rest.is_empty() {
        return None;
    }
    match said {
        // It cannot be true.
        Some(said) if said > u64::try_from(most).ok()? => None,
        Some(said) => usize::try_from(said).ok(),
        // Blocks need not be full: what they are together is known when they are expanded.
        None if most <= limits::REQUEST_BYTES.saturating_add(BLOCK) => Some(most.min(limits::REQUEST_BYTES)),
        None => Some(most),
    }
}

/// Steps over the blocks: what they become at most.
fn blocks(rest: &mut &[u8]) -> Option<usize> {
    let mut most = 0_usize;
    loop {
        let [a, b, c] = take(rest)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let size = usize::try_from(header >> 3).ok()?;
        let (stored, becomes) = match header >> 1 & 3 {
            0 => (size, size),
            1 => (1, size),
            2 => (size, BLOCK),
            _ => return None,
        };
        if size > BLOCK {
            return None;
        }
        *rest = rest.get(stored..)?;
        most = most.saturating_add(becomes);
        if header & 1 == 1 {
            return Some(most);
        }
    }
}

/// Expands the frame, if it becomes no more than `size`.
pub(super) fn expand(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut expanded = Vec::with_capacity(size);
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.as_mut()?.decompress_to_buffer(frame, &mut expanded).ok()?;
        Some(expanded)
    })
}

pub(super) fn compress(message: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(message, LEVEL)
}
