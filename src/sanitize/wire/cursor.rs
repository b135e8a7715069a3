//! A position in protobuf bytes. Every read is bounded; nothing is copied. The encoding is that of
//! protobuf.dev/programming-guides/encoding.

use crate::model::WireFault;

/// How a value is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    /// A varint.
    Varint,
    /// Eight bytes, little-endian.
    Fixed64,
    /// A length and so many bytes.
    Bytes,
    /// Four bytes, little-endian.
    Fixed32,
}

/// What is left of some bytes, and where in the request it begins.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
    /// How many messages may still begin inside each other.
    levels: u8,
}

/// Messages inside each other, at most: a value at the deepest place that a request may have is three for each record
/// that it is in, and three for its event. What is deeper was never written by this program, and whoever reads it
/// would run out of stack.
const LEVELS: u8 = 64;

impl<'a> Cursor<'a> {
    /// A cursor on a whole request.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len(), levels: LEVELS }
    }

    /// The offset in the request.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.end.saturating_sub(self.rest.len())
    }

    /// The bytes that are left.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on at `rest`, an end of what is left.
    #[inline]
    pub const fn advance_to(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// A varint of up to ten bytes.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireFault> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireFault> {
        let mut value = 0u64;
        for shift in 0..10u32 {
            let (byte, rest) = self.rest.split_first().ok_or(WireFault::Truncated)?;
            self.rest = rest;
            // The tenth byte holds only the topmost bit.
            if shift == 9 && *byte > 1 {
                return Err(WireFault::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireFault::Varint)
    }

    /// A field number and wire type, or `None` at the end.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<(u32, WireType)>, WireFault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            5 => WireType::Fixed32,
            _ => return Err(WireFault::Tag),
        };
        match u32::try_from(tag >> 3) {
            Ok(number) if number > 0 && number < 1 << 29 => Ok(Some((number, wire))),
            _ => Err(WireFault::Tag),
        }
    }

    /// Takes `length` bytes.
    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireFault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireFault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A length and so many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], WireFault> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| WireFault::Truncated)?)
    }

    /// A length and so many bytes, as a cursor of their own.
    #[inline]
    pub fn message(&mut self) -> Result<Self, WireFault> {
        let rest = self.bytes()?;
        let levels = self.levels.checked_sub(1).ok_or(WireFault::Depth)?;
        Ok(Self { rest, end: self.offset(), levels })
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, WireFault> {
        let bytes = self.take(8)?;
        Ok(bytes.first_chunk().copied().map_or(0, u64::from_le_bytes))
    }

    /// Passes over a value.
    #[inline]
    pub fn skip(&mut self, wire: WireType) -> Result<(), WireFault> {
        match wire {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Bytes => self.bytes().map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
        }
    }

    /// A length and so many bytes, if the schema and the bytes agree that this is what comes.
    #[inline]
    pub fn expect_bytes(&mut self, wire: WireType) -> Result<&'a [u8], WireFault> {
        match wire {
            WireType::Bytes => self.bytes(),
            WireType::Varint | WireType::Fixed64 | WireType::Fixed32 => Err(WireFault::WireType),
        }
    }

    /// A nested message, if the schema and the bytes agree that this is what comes.
    #[inline]
    pub fn expect_message(&mut self, wire: WireType) -> Result<Self, WireFault> {
        match wire {
            WireType::Bytes => self.message(),
            WireType::Varint | WireType::Fixed64 | WireType::Fixed32 => Err(WireFault::WireType),
        }
    }

    /// A varint, if the schema and the bytes agree that this is what comes.
    #[inline]
    pub fn expect_varint(&mut self, wire: WireType) -> Result<u64, WireFault> {
        match wire {
            WireType::Varint => self.varint(),
            WireType::Bytes | WireType::Fixed64 | WireType::Fixed32 => Err(WireFault::WireType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, WireType};
    use crate::model::WireFault;

    #[test]
    fn varints_end_within_ten_bytes() {
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(Cursor::new(&longest).varint(), Ok(u64::MAX));
        assert_eq!(Cursor::new(&[0xff; 10]).varint(), Err(WireFault::Varint));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(WireFault::Truncated));
        assert_eq!(Cursor::new(&[]).varint(), Err(WireFault::Truncated));
        assert_eq!(Cursor::new(&[0xac, 0x02]).varint(), Ok(300));
    }

    #[test]
    fn tags_name_only_what_protobuf_has() {
        assert_eq!(Cursor::new(&[]).tag(), Ok(None));
        assert_eq!(Cursor::new(&[0x0a]).tag(), Ok(Some((1, WireType::Bytes))));
        for bad in [&[0x02][..], &[0x0b], &[0x0c], &[0x0e], &[0xfa, 0xff, 0xff, 0xff, 0xff, 0x01]] {
            assert_eq!(Cursor::new(bad).tag(), Err(WireFault::Tag), "{bad:?}");
        }
    }

    #[test]
    fn messages_inside_each_other_end_somewhere() {
        let mut nested = Vec::new();
        for _ in 0..70_u8 {
            nested.insert(0, u8::try_from(nested.len()).unwrap_or(0));
        }
        let mut cursor = Cursor::new(&nested);
        let mut levels = 0;
        let fault = loop {
            match cursor.message() {
                Ok(inner) => (cursor, levels) = (inner, levels + 1),
                Err(fault) => break fault,
            }
        };
        assert_eq!((levels, fault), (64, WireFault::Depth));
    }

    #[test]
    fn a_length_never_reaches_past_the_end() {
        assert_eq!(Cursor::new(&[3, 1, 2]).bytes(), Err(WireFault::Truncated));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Cursor::new(&huge).bytes(), Err(WireFault::Truncated));
        let mut cursor = Cursor::new(&[1, 7, 9]);
        let inner = cursor.message();
        assert_eq!(inner.map(|c| (c.offset(), c.rest().to_vec())), Ok((1, vec![7])));
        assert_eq!(cursor.rest(), [9]);
    }
}
