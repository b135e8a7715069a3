//! A value after its treatment, and how it is written as a `usaged.drain.v1.Value`.

use super::encode;

/// What is left of a value. Text and bytes are borrowed from the request or a scratch buffer.
#[derive(Clone, Copy)]
pub(super) enum Treated<'t> {
    /// Kept, coarsened or listed text.
    Text(&'t [u8]),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Kept bytes.
    Bytes(&'t [u8]),
    /// A pseudonym.
    Token([u8; 16]),
}

impl Treated<'_> {
    /// Bytes of the `Value` message, without tag and length.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) => {
                1 + encode::varint_len(encode::size(bytes.len())) + bytes.len()
            }
            Self::Int(value) => 1 + encode::varint_len(value.cast_unsigned()),
            Self::Double(_) => 9,
            Self::Bool(_) => 2,
            Self::Token(_) => 18,
        }
    }

    /// Appends the `Value` message, without tag and length.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(bytes) => encode::bytes_field(out, 1, bytes),
            Self::Int(value) => encode::varint_field(out, 2, value.cast_unsigned()),
            Self::Double(value) => {
                out.push(3 << 3 | 1);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Self::Bool(value) => encode::varint_field(out, 4, u64::from(*value)),
            Self::Bytes(bytes) => encode::bytes_field(out, 5, bytes),
            Self::Token(token) => encode::bytes_field(out, 6, token),
        }
    }

    /// Appends it as field `number` of the message around it.
    #[inline]
    pub(super) fn write_field(&self, out: &mut Vec<u8>, number: u8) {
        out.push(number << 3 | 2);
        encode::varint(out, encode::size(self.len()));
        self.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::Treated;

    #[test]
    fn the_length_is_what_is_written() {
        let long = [b'x'; 300];
        let values = [
            Treated::Text(b""),
            Treated::Text(&long),
            Treated::Int(0),
            Treated::Int(-1),
            Treated::Int(i64::MAX),
            Treated::Double(1.5),
            Treated::Bool(true),
            Treated::Bytes(&long),
            Treated::Token([7; 16]),
        ];
        for value in values {
            let mut out = Vec::new();
            value.write(&mut out);
            assert_eq!(out.len(), value.len());
        }
    }
}
