//! A record as it is read back: checked before anything of it is used.

use super::bytes::Bytes;
use super::chain::Chain;
use super::fault::RecordFault;
use super::record::{CODEC_PLAIN, Form, MAGIC, NONCE, RECORD_VERSION, RecordHeader, Stub, TAG, TRAILER};
use crate::model::{CommitNumber, UnixMillis};
use crate::sanitize::SealKey;

/// A record as it was read back, its checksum and its place in the order verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its place in the order.
    pub commit: CommitNumber,
    /// Its plaintext part.
    pub header: RecordHeader,
    /// Header, sealed body and tag.
    bytes: Vec<u8>,
    header_len: usize,
    codec: u8,
    nonce: [u8; NONCE],
    /// The tag of the record that it replaced, if it did.
    original: Option<[u8; TAG]>,
    chain: Chain,
}

/// What stands in the place of a record that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GoneRecord {
    pub(super) commit: CommitNumber,
    pub(super) stub: Stub,
    /// The tag of what was there first and the running hash after it, unless that could not be read.
    pub(super) first: Option<([u8; TAG], Chain)>,
}

/// What is at one place of a segment and passes its checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Record(StoredRecord),
    Gone(GoneRecord),
}

/// The parts of what was found under a commit, its checksum verified.
struct Frame<'a> {
    /// What comes before the tag of the first record, or before the trailer.
    body: &'a [u8],
    form: Form,
    original: Option<[u8; TAG]>,
    chain: Chain,
}

impl<'a> Frame<'a> {
    fn read(commit: u64, bytes: &'a [u8]) -> Result<Self, RecordFault> {
        let (sealed, trailer) = bytes
            .len()
            .checked_sub(TRAILER)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(RecordFault::Short)?;
        let mut input = Bytes(trailer);
        let form = input.u8().ok_or(RecordFault::Short)?;
        let bound = input.u64().ok_or(RecordFault::Short)?;
        let chain = Chain(input.array().ok_or(RecordFault::Short)?);
        let crc = input.u32().ok_or(RecordFault::Short)?;
        let covered = bytes.get(..bytes.len() - 4).ok_or(RecordFault::Short)?;
        if crc32fast::hash(covered) != crc {
            return Err(RecordFault::Checksum);
        }
        if bound != commit {
            return Err(RecordFault::Misplaced);
        }
        match (sealed.first(), sealed.get(1)) {
            (Some(&MAGIC), Some(&RECORD_VERSION)) => {}
            (Some(&MAGIC), Some(other)) => return Err(RecordFault::Version(*other)),
            _ => return Err(RecordFault::Header),
        }
        let form = Form::decode(form).ok_or(RecordFault::Header)?;
        let (body, original) = match form {
            Form::First | Form::Blank => (sealed, None),
            Form::Replaced | Form::Gone => {
                let (body, original) = sealed.split_last_chunk::<TAG>().ok_or(RecordFault::Short)?;
                (body, Some(*original))
            }
        };
        Ok(Self { body, form, original, chain })
    }
}

impl Stored {
    /// Checks what was found under the key of `commit`.
    pub(super) fn read(commit: u64, bytes: &[u8]) -> Result<Self, RecordFault> {
        let frame = Frame::read(commit, bytes)?;
        match frame.form {
            Form::First | Form::Replaced => StoredRecord::of(commit, &frame).map(Self::Record),
            Form::Gone | Form::Blank => {
                let stub = Stub::decode(frame.body).ok_or(RecordFault::Header)?;
                let first = frame.original.map(|tag| (tag, frame.chain));
                Ok(Self::Gone(GoneRecord { commit: CommitNumber(commit), stub, first }))
            }
        }
    }

    /// Its place in the order.
    pub(super) const fn commit(&self) -> CommitNumber {
        match self {
            Self::Record(record) => record.commit,
            Self::Gone(gone) => gone.commit,
        }
    }

    /// When its request was received.
    pub(super) const fn received(&self) -> UnixMillis {
        match self {
            Self::Record(record) => record.header.received,
            Self::Gone(gone) => gone.stub.received,
        }
    }

    /// The tag of what was stored in its place first, and the running hash after that.
    pub(super) fn first(&self) -> Option<([u8; TAG], Chain)> {
        match self {
            Self::Record(record) => Some((record.first_tag(), record.chain)),
            Self::Gone(gone) => gone.first,
        }
    }

    /// Whether its running hash is the one that follows from `before`; yes where it is not known.
    pub(super) fn follows(&self, before: Chain) -> bool {
        self.first().is_none_or(|(tag, chain)| before.link(self.commit().0, &tag) == chain)
    }

    /// Bytes in the segment, the trailer counted.
    pub(super) fn stored_len(&self) -> usize {
        match self {
            Self::Record(record) => record.stored_len(),
            Self::Gone(gone) => Stub::BYTES + gone.first.map_or(0, |_| TAG) + TRAILER,
        }
    }
}

impl StoredRecord {
    fn of(commit: u64, frame: &Frame<'_>) -> Result<Self, RecordFault> {
        let mut input = Bytes(frame.body);
        input.take(4);
        let header_len = usize::from(input.u16().ok_or(RecordFault::Header)?);
        let header = frame.body.get(..header_len).and_then(RecordHeader::decode);
        let (header, codec, nonce) = header.ok_or(RecordFault::Header)?;
        if frame.body.len() < header_len + TAG {
            return Err(RecordFault::Short);
        }
        let (bytes, original, chain) = (frame.body.to_vec(), frame.original, frame.chain);
        Ok(Self { commit: CommitNumber(commit), header, bytes, header_len, codec, nonce, original, chain })
    }

    /// Stands for what it holds now: an amendment says with it what was read.
    #[must_use]
    pub fn tag(&self) -> [u8; 16] {
        // A record without a tag is not read.
        self.bytes.last_chunk::<TAG>().copied().unwrap_or_default()
    }

    /// Whether it replaced what was stored first.
    #[must_use]
    pub const fn is_amended(&self) -> bool {
        self.original.is_some()
    }

    fn first_tag(&self) -> [u8; TAG] {
        self.original.unwrap_or_else(|| self.tag())
    }

    /// Bytes of the sealed body, its tag counted.
    #[must_use]
    pub fn sealed_len(&self) -> usize {
        self.bytes.len() - self.header_len
    }

    /// The sealed body with its tag: what a search of the disk looks for.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        self.bytes.get(self.header_len..).unwrap_or_default()
    }

    /// Opens the body: the wire bytes of a `usaged.drain.v1.Batch`.
    ///
    /// # Errors
    /// If it does not open under this key, or what opens is not of the length that the header
    /// says. The caller should then have the record set aside: [`super::Store::set_aside`].
    pub fn open(&self, key: &SealKey) -> Result<Vec<u8>, RecordFault> {
        let (aad, sealed) = self.bytes.split_at_checked(self.header_len).ok_or(RecordFault::Header)?;
        let mut packed = sealed.to_vec();
        key.open(&self.nonce, aad, &mut packed).map_err(|_| RecordFault::Seal)?;
        let length = usize::try_from(self.header.body_len).map_err(|_| RecordFault::Header)?;
        if self.codec == CODEC_PLAIN {
            return if packed.len() == length { Ok(packed) } else { Err(RecordFault::Compression) };
        }
        let mut body = vec![0; length];
        match lz4_flex::block::decompress_into(&packed, &mut body) {
            Ok(n) if n == length => Ok(body),
            Ok(_) | Err(_) => Err(RecordFault::Compression),
        }
    }

    /// Header, sealed body and tag, as they are stored.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes in the segment, the trailer counted.
    pub(super) fn stored_len(&self) -> usize {
        self.bytes.len() + self.original.map_or(0, |_| TAG) + TRAILER
    }
}
