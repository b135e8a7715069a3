//! How messages become bytes where tonic does it: prost with a bound on what a message decodes to,
//! and ready-made bytes for the load generator. Ingest requests are not decoded at all (`ingest`).

use std::any::TypeId;
use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::proto::{admin, drain};
use super::status::{Cause, Fault};

/// Top-level fields of one typed message. Every list of the API is at most 1,000 long, except
/// the 10,000 acknowledgements that one message of a streaming pull may carry.
///
/// Without it, 4 MiB of empty sub-messages decode to 310 MB (RELIABILITY, "The door").
const TOP_LEVEL_FIELDS: usize = 16 * 1024;

/// Fields of one part of a request. A participation has three lists of at most 256 and a few more.
const PART_FIELDS: usize = 1024;

/// Parts inside each other: an import has participations, which have levels, which have names.
const DEPTH: usize = 3;

/// Growth steps of tonic's buffers: requests and answers of these doors are mostly small.
const BUFFERS: (usize, usize) = (4 * 1024, 64 * 1024);

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFERS.0, BUFFERS.1)
}

/// Prost, refusing messages with too many fields before they are decoded.
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

impl<U: Message + Default + 'static> Decoder for Decode<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The buffer is contiguous: this splits it off without a copy.
        let bytes = buf.copy_to_bytes(buf.remaining());
        let malformed = || Fault::of(Cause::Malformed, "the message is not what the API declares").status();
        if !Limits::of::<U>().hold(&bytes) {
            return Err(malformed());
        }
        // Prost's error can quote nothing of the payload, but names fields of the schema: not needed.
        U::decode(bytes).map(Some).map_err(|_| malformed())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// How many fields a message may have before it is decoded.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// At its top level.
    top: usize,
    /// In all its parts together. `None` where parts are not looked into: answers, which come from
    /// the collector, and requests that have no parts, or only bytes that are not decoded.
    parts: Option<usize>,
}

impl Limits {
    fn of<U: 'static>() -> Self {
        let is = |id: TypeId| TypeId::of::<U>() == id;
        if is(TypeId::of::<admin::ImportParticipationsRequest>()) {
            return Self { top: 2 * 1024, parts: Some(128 * 1024) };
        }
        let has_parts = is(TypeId::of::<admin::SetParticipationRequest>())
            || is(TypeId::of::<drain::CreateSubscriptionRequest>());
        Self { top: TOP_LEVEL_FIELDS, parts: has_parts.then_some(4 * 1024) }
    }

    /// Whether `message` is protobuf and within the limits.
    fn hold(self, message: &[u8]) -> bool {
        let mut left = self.parts.unwrap_or(self.top);
        let depth = if self.parts.is_some() { DEPTH } else { 0 };
        fields(message, self.top, &mut left, depth).is_ok()
    }
}

/// What is the matter with a message.
enum Bad {
    NotProtobuf,
    TooMany,
}

/// Takes the fields of `message` off `left`, and those of what may be messages inside it. What is
/// not protobuf inside is a text and counts as one.
fn fields(message: &[u8], most: usize, left: &mut usize, depth: usize) -> Result<(), Bad> {
    let mut rest = message;
    let mut here = 0_usize;
    while !rest.is_empty() {
        here = here.saturating_add(1);
        if here > most {
            return Err(Bad::TooMany);
        }
        *left = left.checked_sub(1).ok_or(Bad::TooMany)?;
        let value = value(&mut rest).ok_or(Bad::NotProtobuf)?;
        if depth > 0 && !value.is_empty() {
            let before = *left;
            match fields(value, PART_FIELDS, left, depth.saturating_sub(1)) {
                Err(Bad::NotProtobuf) => *left = before,
                counted => counted?,
            }
        }
    }
    Ok(())
}

/// Reads a field off the front of `bytes`: its value if it is length-delimited, else empty.
fn value<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let tag = varint(bytes)?;
    let (is_delimited, length) = match tag & 7 {
        0 => {
            varint(bytes)?;
            (false, 0)
        }
        1 => (false, 8),
        2 => (true, usize::try_from(varint(bytes)?).ok()?),
        5 => (false, 4),
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(if is_delimited { value } else { &[] })
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

    const FLAT: Limits = Limits { top: 10, parts: None };

    #[test]
    fn a_message_of_many_empty_parts_is_refused_before_it_is_decoded() {
        let limits = Limits::of::<drain::AcknowledgeRequest>();
        assert!(!limits.hold(&[0x0a, 0x00].repeat(TOP_LEVEL_FIELDS + 1)));
        assert!(limits.hold(&[0x0a, 0x00].repeat(TOP_LEVEL_FIELDS)));
    }

    #[test]
    fn a_message_of_many_empty_parts_inside_its_parts_is_refused_before_it_is_decoded() {
        let one = |levels: usize| admin::Participation {
            customer: "acme".into(),
            levels: vec![admin::ProgramLevel::default(); levels],
            ..admin::Participation::default()
        };
        let import = |participations| admin::ImportParticipationsRequest {
            participations,
            ..admin::ImportParticipationsRequest::default()
        };
        let limits = Limits::of::<admin::ImportParticipationsRequest>();
        assert!(limits.hold(&import(vec![one(100); 1000]).encode_to_vec()));
        assert!(!limits.hold(&import(vec![one(140); 1000]).encode_to_vec()));
        assert!(!limits.hold(&import(vec![one(PART_FIELDS)]).encode_to_vec()));
        assert!(!limits.hold(&import(vec![one(0); 3000]).encode_to_vec()));
        let set = |levels| admin::SetParticipationRequest {
            participation: Some(one(levels)),
            changed_by: "ann".into(),
            ..admin::SetParticipationRequest::default()
        };
        let limits = Limits::of::<admin::SetParticipationRequest>();
        assert!(limits.hold(&set(256).encode_to_vec()));
        assert!(!limits.hold(&set(PART_FIELDS).encode_to_vec()));
    }

    #[test]
    fn what_is_not_protobuf_is_refused() {
        for bad in [&[0x0a_u8, 0x05, 0x00][..], &[0xff; 12], &[0x0b], &[0x08]] {
            assert!(!FLAT.hold(bad), "{bad:?}");
        }
        let good = [0x08, 0x96, 0x01, 0x12, 0x01, b'x', 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(FLAT.hold(&good));
        assert!(FLAT.hold(&[]));
    }
}
