//! A record as it is read back: checked before anything of it is used.

use super::bytes::Bytes;
use super::chain::Chain;
use super::fault::RecordFault;
use super::record::{CODEC_PLAIN, MAGIC, NONCE, RECORD_VERSION, RecordHeader, TAG, TRAILER};
use crate::model::CommitNumber;
use crate::sanitize::SealKey;

/// A record as it was read back, its checksum and its place in the order verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its place in the order.
    pub commit: CommitNumber,
    /// Its plaintext part.
    pub header: RecordHeader,
    bytes: Vec<u8>,
    header_len: usize,
    codec: u8,
    nonce: [u8; NONCE],
    chain: Chain,
}

impl StoredRecord {
    /// Checks what was found under the key of `commit`.
    pub(super) fn read(commit: u64, bytes: &[u8]) -> Result<Self, RecordFault> {
        let (sealed, trailer) = bytes
            .len()
            .checked_sub(TRAILER)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(RecordFault::Short)?;
        let mut input = Bytes(trailer);
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
        let mut input = Bytes(sealed);
        match (input.u8(), input.u8()) {
            (Some(MAGIC), Some(RECORD_VERSION)) => {}
            (Some(MAGIC), Some(other)) => return Err(RecordFault::Version(other)),
            _ => return Err(RecordFault::Header),
        }
        input.take(2);
        let header_len = usize::from(input.u16().ok_or(RecordFault::Header)?);
        let header = sealed.get(..header_len).and_then(RecordHeader::decode);
        let (header, codec, nonce) = header.ok_or(RecordFault::Header)?;
        if sealed.len() < header_len + TAG {
            return Err(RecordFault::Short);
        }
        let bytes = sealed.to_vec();
        Ok(Self { commit: CommitNumber(commit), header, bytes, header_len, codec, nonce, chain })
    }

    /// Bytes of the sealed body, its tag counted.
    #[must_use]
    pub fn sealed_len(&self) -> usize {
        self.bytes.len() - self.header_len
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

    /// The running hash after it, as its trailer has it.
    pub(super) const fn chain(&self) -> Chain {
        self.chain
    }

    /// The running hash after it, computed from the one before.
    pub(super) fn link(&self, before: Chain) -> Option<Chain> {
        Some(before.link(self.commit.0, self.bytes.last_chunk::<TAG>()?))
    }

    /// Bytes in the segment, the trailer counted.
    pub(super) fn stored_len(&self) -> usize {
        self.bytes.len() + TRAILER
    }
}
