//! Writing protobuf bytes, in the shortest form, straight into the buffer of the stored batch.

/// Appends a varint.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

#[inline]
fn low_bits(value: u64) -> u8 {
    value.to_le_bytes().first().copied().unwrap_or(0) & 0x7f
}

/// How many bytes a varint takes: 1 to 10.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits a byte: ceil(bits / 7), computed without a division.
    let bits = 64 - (value | 1).leading_zeros();
    #[expect(clippy::as_conversions, reason = "at most 10")]
    let len = ((bits * 9 + 64) / 64) as usize;
    len
}

/// Appends the tag of field `number` (at most 15) that holds a varint.
#[inline]
pub fn varint_field(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    varint(out, value);
}

/// Appends field `number` (at most 15) that holds bytes, text or a finished message.
#[inline]
pub fn bytes_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, size(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Appends text unless it is empty: proto3's default is not written.
pub fn text_field(out: &mut Vec<u8>, number: u8, text: &str) {
    if !text.is_empty() {
        bytes_field(out, number, text.as_bytes());
    }
}

/// A length as protobuf counts it.
#[inline]
pub fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Where a message whose length is not known yet begins.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Open {
    content: usize,
    reserved: usize,
}

/// Begins field `number` (at most 15) that holds a message, and reserves room for a length that
/// is expected to take `reserved` bytes.
#[inline]
pub fn open(out: &mut Vec<u8>, number: u8, reserved: usize) -> Open {
    out.push(number << 3 | 2);
    out.resize(out.len() + reserved, 0);
    Open { content: out.len(), reserved }
}

/// Ends a message: writes its length, and moves its bytes if the guess was wrong.
#[inline]
pub fn close(out: &mut Vec<u8>, at: Open) {
    let len = out.len().saturating_sub(at.content);
    let needed = varint_len(size(len));
    let start = at.content - at.reserved;
    if needed > at.reserved {
        out.splice(at.content..at.content, std::iter::repeat_n(0, needed - at.reserved));
    } else if needed < at.reserved {
        out.drain(start..start + (at.reserved - needed));
    }
    let mut rest = size(len);
    for slot in out.iter_mut().skip(start).take(needed) {
        *slot = low_bits(rest) | 0x80;
        rest >>= 7;
    }
    if let Some(last) = out.get_mut(start + needed - 1) {
        *last &= 0x7f;
    }
}

#[cfg(test)]
mod tests {
    use super::{close, open, size, varint, varint_len};

    #[test]
    fn the_length_of_a_varint_is_what_it_takes() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
            }
        }
    }

    #[test]
    fn a_message_gets_the_shortest_length_whatever_was_reserved() {
        for reserved in 0..4 {
            for len in [0, 1, 127, 128, 16_383, 16_384] {
                let mut out = vec![9];
                let at = open(&mut out, 1, reserved);
                out.extend(std::iter::repeat_n(7, len));
                close(&mut out, at);
                let mut expected = vec![9, 0x0a];
                varint(&mut expected, size(len));
                expected.extend(std::iter::repeat_n(7, len));
                assert_eq!(out, expected, "{reserved} {len}");
            }
        }
    }
}
