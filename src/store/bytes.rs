//! Reading fixed-width numbers off the front of a byte slice, and lengths as 64-bit numbers.

/// What is left to read. Every read answers `None` when too little is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// The next number without a width: its length in one byte, then so many bytes.
    pub(super) fn number(&mut self) -> Option<u64> {
        let length = usize::from(self.u8()?);
        let mut wide = [0; 8];
        wide.get_mut(8_usize.checked_sub(length)?..)?.copy_from_slice(self.take(length)?);
        Some(u64::from_be_bytes(wide))
    }

    /// The next text: its length in one byte, then UTF-8.
    pub(super) fn short_text(&mut self) -> Option<&'a str> {
        let length = self.u8()?;
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }
}

/// Writes a number as [`Bytes::number`] reads it, as short as it can be.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    let zeros = number.leading_zeros() / 8;
    let wide = number.to_be_bytes();
    let short = wide.get(usize::try_from(zeros).unwrap_or(0)..).unwrap_or_default();
    out.push(8_u8.saturating_sub(u8::try_from(zeros).unwrap_or(0)));
    out.extend_from_slice(short);
}

/// A length as the format stores it.
pub(super) fn length(bytes: &[u8]) -> u64 {
    count(bytes.len())
}

/// A count as the format stores it.
pub(super) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
