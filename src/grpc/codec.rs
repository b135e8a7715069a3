//! How messages become bytes where tonic does it: prost with a bound on what a message decodes to,
//! and ready-made bytes for the load generator. Ingest requests are not decoded at all (`ingest`).

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::status::{Cause, Fault};

/// Top-level fields of one typed message. Every list of the API is at most 1,000 long, except
/// the 10,000 acknowledgements that one message of a streaming pull may carry.
///
/// Without it, 4 MiB of empty sub-messages decode to 310 MB (RELIABILITY, "The door").
const TOP_LEVEL_FIELDS: usize = 16 * 1024;

/// Growth steps of tonic's buffers: requests and answers of these doors are mostly small.
const BUFFERS: (usize, usize) = (4 * 1024, 64 * 1024);

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFERS.0, BUFFERS.1)
}

/// Prost, refusing messages with too many fields at the top level before they are decoded.
#[derive(Debug)]
pub struct Bounded<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encode<T>;
    type Decoder = Decode<U>;

    fn encoder(&mut self) -> Encode<T> {
        Encode(PhantomData)
    }

    fn decoder(&mut self) -> Decode<U> {
        Decode(PhantomData)
    }
}

/// Encodes with prost.
#[derive(Debug)]
pub struct Encode<T>(PhantomData<T>);

impl<T: Message> Encoder for Encode<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf).map_err(|_| Fault::of(Cause::Internal, "the answer could not be encoded").status())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Decodes with prost, within bounds.
#[derive(Debug)]
pub struct Decode<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for Decode<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The buffer is contiguous: this splits it off without a copy.
        let bytes = buf.copy_to_bytes(buf.remaining());
        let malformed = || Fault::of(Cause::Malformed, "the message is not what the API declares").status();
        if top_level_fields(&bytes, TOP_LEVEL_FIELDS).is_none() {
            return Err(malformed());
        }
        // Prost's error can quote nothing of the payload, but names fields of the schema: not needed.
        U::decode(bytes).map(Some).map_err(|_| malformed())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// How many fields `message` has at its top level; `None` if they are more than `most` or it is
/// not protobuf.
fn top_level_fields(message: &[u8], most: usize) -> Option<usize> {
    let mut rest = message;
    let mut count = 0_usize;
    while !rest.is_empty() {
        count = count.checked_add(1).filter(|n| *n <= most)?;
        let tag = varint(&mut rest)?;
        let skip = match tag & 7 {
            0 => {
                varint(&mut rest)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(skip..)?;
    }
    Some(count)
}

/// Reads a varint off the front of `bytes`.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Sends requests that are encoded already; answers are decoded with prost.
#[derive(Debug)]
pub struct Encoded<U>(PhantomData<U>);

impl<U> Default for Encoded<U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<U: Message + Default + Send + 'static> Codec for Encoded<U> {
    type Encode = Bytes;
    type Decode = U;
    type Encoder = Verbatim;
    type Decoder = Decode<U>;

    fn encoder(&mut self) -> Verbatim {
        Verbatim
    }

    fn decoder(&mut self) -> Decode<U> {
        Decode(PhantomData)
    }
}

/// Puts bytes as they are.
#[derive(Debug)]
pub struct Verbatim;

impl Encoder for Verbatim {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put(item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_many_empty_parts_is_refused_before_it_is_decoded() {
        let bomb = [0x0a, 0x00].repeat(TOP_LEVEL_FIELDS + 1);
        assert_eq!(top_level_fields(&bomb, TOP_LEVEL_FIELDS), None);
        let most = [0x0a, 0x00].repeat(TOP_LEVEL_FIELDS);
        assert_eq!(top_level_fields(&most, TOP_LEVEL_FIELDS), Some(TOP_LEVEL_FIELDS));
    }

    #[test]
    fn what_is_not_protobuf_is_refused() {
        for bad in [&[0x0a_u8, 0x05, 0x00][..], &[0xff; 12], &[0x0b], &[0x08]] {
            assert_eq!(top_level_fields(bad, 10), None, "{bad:?}");
        }
        let good = [0x08, 0x96, 0x01, 0x12, 0x01, b'x', 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(top_level_fields(&good, 10), Some(4));
        assert_eq!(top_level_fields(&[], 10), Some(0));
    }
}
