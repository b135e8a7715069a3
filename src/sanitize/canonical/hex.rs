//! Hexadecimal digits.

/// The value of a digit; above 15 if it is none.
#[inline]
pub(super) const fn nibble(digit: u8) -> u8 {
    let number = digit.wrapping_sub(b'0');
    let letter = (digit | 0x20).wrapping_sub(b'a');
    if number < 10 {
        number
    } else if letter < 6 {
        letter + 10
    } else {
        0xf0
    }
}

/// Appends two digits, in lower case.
#[inline]
pub(super) fn push_hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
}

/// Appends the digits of `value` in lower case, without leading zeros.
#[inline]
pub(super) fn push_short(value: u16, out: &mut Vec<u8>) {
    let [high, low] = value.to_be_bytes();
    let digits = [digit(high >> 4), digit(high & 0x0f), digit(low >> 4), digit(low & 0x0f)];
    let significant = match value {
        0..=0xf => digits.get(3..),
        0x10..=0xff => digits.get(2..),
        0x100..=0xfff => digits.get(1..),
        0x1000.. => digits.get(..),
    };
    out.extend_from_slice(significant.unwrap_or_default());
}

#[inline]
const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Whether `text` has a lower-case digit wherever `shape` has `x`, and is like `shape` elsewhere.
#[inline]
pub(super) fn has_shape<const N: usize>(text: &[u8; N], shape: &[u8; N]) -> bool {
    // Without a way out of the loop it is done many bytes at a time.
    let wrong = text.iter().zip(shape).fold(0, |wrong, (byte, shape)| {
        let number = u8::from(byte.wrapping_sub(b'0') < 10);
        let letter = u8::from(byte.wrapping_sub(b'a') < 6);
        let is_digit = number | letter;
        let wanted = if *shape == b'x' { is_digit } else { u8::from(byte == shape) };
        wrong | (wanted ^ 1)
    });
    wrong == 0
}

#[cfg(test)]
mod tests {
    use super::{has_shape, nibble, push_hex, push_short};

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for byte in 0..=u8::MAX {
            let digit = char::from(byte).to_digit(16);
            assert_eq!(u32::from(nibble(byte)), digit.unwrap_or(0xf0));
            let mut out = Vec::new();
            push_hex(byte, &mut out);
            assert_eq!(out, format!("{byte:02x}").as_bytes());
            let lower = digit.is_some() && !byte.is_ascii_uppercase();
            assert_eq!(has_shape(&[byte], b"x"), lower);
            assert_eq!(has_shape(&[byte], b":"), byte == b':');
        }
        for value in [0, 1, 0xf, 0x10, 0xff, 0x100, 0xfff, 0x1000, 0xabcd, 0xffff] {
            let mut out = Vec::new();
            push_short(value, &mut out);
            assert_eq!(out, format!("{value:x}").as_bytes());
        }
    }
}
