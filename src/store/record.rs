//! The form of one stored record: the plaintext header, the sealed body, the trailer that binds it
//! to its commit. The byte table is in the module documentation of [`super`].

use std::cell::RefCell;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use rand::Rng;

use super::bytes::Bytes;
use super::chain::Chain;
use crate::model::{CustomerKey, Purposes, UnixMillis};
use crate::sanitize::{SanitizedBatch, SealBroken, SealKey};

pub(super) const MAGIC: u8 = 0xD5;
/// The version of the record format that this program writes. It reads no other.
pub(super) const RECORD_VERSION: u8 = 1;
pub(super) const CODEC_PLAIN: u8 = 0;
const CODEC_LZ4: u8 = 1;
pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;
/// Form, commit number, running hash and CRC-32.
pub(super) const TRAILER: usize = 1 + 8 + Chain::BYTES + 4;
/// The header up to its texts.
const FIXED_HEADER: usize = 54;
/// No body is longer; a longer length in a header is damage. A request has at most 4 MiB, and
/// what it becomes grows at most by its field table and tokens.
const MAX_BODY: u32 = 64 * 1024 * 1024;

/// The plaintext part of a record. It is authenticated together with the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Whose batch it is.
    pub customer: CustomerKey,
    /// The program that the events belong to.
    pub program: String,
    /// The product that reported.
    pub product: String,
    /// The level in force when it was stored.
    pub level: String,
    /// The region overlay that was applied; empty for none.
    pub region: String,
    /// When the request was received.
    pub received: UnixMillis,
    /// Events in the body.
    pub events: u32,
    /// The purposes that some part of the body may be used for.
    pub purposes: Purposes,
    /// The version of the product's dictionary.
    pub dictionary_version: u32,
    /// The dictionary version that the customer had accepted.
    pub accepted_version: u32,
    /// The revision of the customer's participation that it was decided under.
    pub revision: u64,
    /// The print of the plan that made the body: what another plan would make can be told from it.
    pub plan: [u8; 8],
    /// Bytes of the body when it is opened.
    pub body_len: u32,
}

/// A record that is compressed and sealed, and not yet bound to a commit. It is made of what the
/// sanitiser made, and of nothing else:
///
/// ```compile_fail,E0308
/// # use usaged::{sanitize::{SanitizedBatch, SealKey}, store::SealedRecord};
/// fn seal(raw: &[u8], key: &SealKey) {
///     let _ = SealedRecord::seal(raw, 1, key);
/// }
/// ```
///
/// ```
/// # use usaged::{sanitize::{SanitizedBatch, SealKey}, store::SealedRecord};
/// fn seal(batch: &SanitizedBatch, key: &SealKey) {
///     let _ = SealedRecord::seal(batch, 1, key);
/// }
/// ```
#[derive(Debug)]
pub struct SealedRecord {
    /// Header, nonce, sealed body and tag, with room for the trailer.
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
    tag: [u8; TAG],
    events: u32,
    received: UnixMillis,
    customer: CustomerKey,
}

struct Scratch {
    table: CompressTable,
    output: Vec<u8>,
}

thread_local! {
    /// The compressor's table and output, kept between records of a thread.
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { table: CompressTable::default(), output: Vec::new() });
}

impl SealedRecord {
    /// Compresses and seals a batch under the key of its customer and program. `revision` is the
    /// participation that it was decided under. Runs in the caller's thread.
    ///
    /// # Errors
    /// If the body is longer than a record may be. No batch of a bounded request is.
    pub fn seal(batch: &SanitizedBatch, revision: u64, key: &SealKey) -> Result<Self, SealBroken> {
        let header = RecordHeader {
            customer: batch.customer(),
            program: batch.program().to_string(),
            product: batch.product().to_string(),
            level: batch.level().to_string(),
            region: batch.region().map(ToString::to_string).unwrap_or_default(),
            received: batch.received(),
            events: batch.events(),
            purposes: batch.purposes(),
            dictionary_version: batch.dictionary_version(),
            accepted_version: batch.accepted_version(),
            revision,
            plan: batch.fingerprint(),
            body_len: 0,
        };
        Self::encode(&header, batch.body(), key)
    }

    /// Makes the record; `header.body_len` is ignored.
    pub(super) fn encode(header: &RecordHeader, body: &[u8], key: &SealKey) -> Result<Self, SealBroken> {
        let body_len = u32::try_from(body.len()).ok().filter(|n| *n <= MAX_BODY).ok_or(SealBroken)?;
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let (bytes, aad) = SCRATCH
            .with_borrow_mut(|scratch| {
                let packed = scratch.compress(body);
                let (codec, packed) = packed.map_or((CODEC_PLAIN, body), |packed| (CODEC_LZ4, packed));
                let aad = header.encode(codec, body_len, &nonce)?;
                let mut bytes = Vec::with_capacity(aad.len() + packed.len() + TAG + TRAILER);
                bytes.extend_from_slice(&aad);
                bytes.extend_from_slice(packed);
                Some((bytes, aad))
            })
            .ok_or(SealBroken)?;
        let mut bytes = bytes;
        key.seal(&nonce, &aad, &mut bytes, aad.len())?;
        let tag = *bytes.last_chunk::<TAG>().ok_or(SealBroken)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes);
        let RecordHeader { events, received, customer, .. } = *header;
        Ok(Self { bytes, crc, tag, events, received, customer })
    }

    /// How many events it holds.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
    }

    /// How many bytes it will take in a segment, its trailer counted.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        self.bytes.len() + TRAILER
    }

    /// Header, sealed body and tag.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.bytes
    }

    /// When its request was received.
    pub(super) const fn received(&self) -> UnixMillis {
        self.received
    }

    /// Whose batch it is.
    pub(super) const fn customer(&self) -> CustomerKey {
        self.customer
    }

    /// Appends the trailer that binds it to `commit`; `before` is the running hash up to there.
    /// Gives the whole record and the running hash after it.
    pub(super) fn bind(mut self, commit: u64, before: Chain) -> (Vec<u8>, Chain) {
        let chain = before.link(commit, &self.tag);
        let end = trailer(Form::First, commit, chain);
        self.bytes.extend_from_slice(&end);
        self.crc.update(&end);
        self.bytes.extend_from_slice(&self.crc.finalize().to_be_bytes());
        (self.bytes, chain)
    }

    /// Appends the trailer that puts it in the place of another record, whose tag and running hash it keeps.
    pub(super) fn replace(mut self, commit: u64, original: [u8; TAG], chain: Chain) -> Vec<u8> {
        self.bytes.extend_from_slice(&original);
        finish(self.bytes, Form::Replaced, commit, chain)
    }
}

/// Whose record the bytes of a row are, by its header alone; `None` if it is not a record, or a stub. Nothing is
/// checked.
pub(super) fn peek_customer(bytes: &[u8]) -> Option<CustomerKey> {
    let form =
        bytes.len().checked_sub(TRAILER).and_then(|at| bytes.get(at).copied()).and_then(Form::decode)?;
    let record = bytes.starts_with(&[MAGIC, RECORD_VERSION]) && matches!(form, Form::First | Form::Replaced);
    let mut input = Bytes(bytes);
    input.take(14)?;
    input.u64().filter(|_| record).map(CustomerKey)
}

/// What stands in the place of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What was stored first.
    First,
    /// Another record, with the tag of the first before the trailer.
    Replaced,
    /// A stub, with the tag of the first before the trailer.
    Gone,
    /// A stub in the place of what could not be read: neither tag nor running hash are known.
    Blank,
}

impl Form {
    const ALL: [Self; 4] = [Self::First, Self::Replaced, Self::Gone, Self::Blank];

    const fn code(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Replaced => 1,
            Self::Gone => 2,
            Self::Blank => 3,
        }
    }

    pub(super) fn decode(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.code() == code)
    }
}

/// The trailer without its checksum.
fn trailer(form: Form, commit: u64, chain: Chain) -> [u8; TRAILER - 4] {
    let mut out = [0; TRAILER - 4];
    let parts = [form.code()].into_iter().chain(commit.to_be_bytes()).chain(chain.0);
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    out
}

fn finish(mut bytes: Vec<u8>, form: Form, commit: u64, chain: Chain) -> Vec<u8> {
    bytes.extend_from_slice(&trailer(form, commit, chain));
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// What stays in the place of a record that is gone: nothing that tells whose it was or what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stub {
    /// When the request was received: reading from a time on rests on it.
    pub(super) received: UnixMillis,
    /// Events that were in it, so that sums still add up. 0 if that could not be read.
    pub(super) events: u32,
}

impl Stub {
    /// Bytes up to the tag of the first.
    pub(super) const BYTES: usize = 1 + 1 + 8 + 4;

    /// The stub in the place of `commit`; `first` is the tag of the first record there and the running hash
    /// after it, if they could be read.
    pub(super) fn encode(self, commit: u64, first: Option<([u8; TAG], Chain)>) -> Vec<u8> {
        let mut bytes = vec![MAGIC, RECORD_VERSION];
        bytes.extend_from_slice(&self.received.0.to_be_bytes());
        bytes.extend_from_slice(&self.events.to_be_bytes());
        let (form, chain) = first.map_or((Form::Blank, Chain::default()), |(_, chain)| (Form::Gone, chain));
        bytes.extend(first.into_iter().flat_map(|(tag, _)| tag));
        finish(bytes, form, commit, chain)
    }

    /// Reads what comes before the tag of the first.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Bytes(bytes);
        input.take(2)?;
        let stub = Self { received: UnixMillis(input.i64()?), events: input.u32()? };
        input.0.is_empty().then_some(stub)
    }
}

impl Scratch {
    /// The LZ4 block of `body`, or `None` if it would not be shorter.
    fn compress(&mut self, body: &[u8]) -> Option<&[u8]> {
        let most = get_maximum_output_size(body.len());
        if self.output.len() < most {
            self.output.resize(most, 0);
        }
        let length = compress_into_with_table(body, &mut self.output, &mut self.table).ok()?;
        self.output.get(..length).filter(|packed| packed.len() < body.len())
    }
}

impl RecordHeader {
    fn encode(&self, codec: u8, body_len: u32, nonce: &[u8; NONCE]) -> Option<Vec<u8>> {
        let texts = [&self.program, &self.product, &self.level, &self.region];
        let length = FIXED_HEADER + texts.iter().map(|text| text.len() + 1).sum::<usize>() + NONCE;
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&[MAGIC, RECORD_VERSION, codec, self.purposes.bits()]);
        out.extend_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
        out.extend_from_slice(&body_len.to_be_bytes());
        out.extend_from_slice(&self.events.to_be_bytes());
        out.extend_from_slice(&self.customer.0.to_be_bytes());
        out.extend_from_slice(&self.received.0.to_be_bytes());
        out.extend_from_slice(&self.dictionary_version.to_be_bytes());
        out.extend_from_slice(&self.accepted_version.to_be_bytes());
        out.extend_from_slice(&self.revision.to_be_bytes());
        out.extend_from_slice(&self.plan);
        for text in texts {
            out.push(u8::try_from(text.len()).ok()?);
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(nonce);
        Some(out)
    }

    /// Reads a header: itself, the codec and the nonce.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, u8, [u8; NONCE])> {
        let mut input = Bytes(bytes);
        input.take(2)?;
        let codec = input.u8().filter(|codec| [CODEC_PLAIN, CODEC_LZ4].contains(codec))?;
        let purposes = Purposes::from_bits(input.u8()?);
        input.u16()?;
        let body_len = input.u32().filter(|n| *n <= MAX_BODY)?;
        let events = input.u32()?;
        let customer = CustomerKey(input.u64()?);
        let received = UnixMillis(input.i64()?);
        let dictionary_version = input.u32()?;
        let accepted_version = input.u32()?;
        let revision = input.u64()?;
        let plan = input.array()?;
        let [program, product, level, region] =
            [input.short_text()?, input.short_text()?, input.short_text()?, input.short_text()?]
                .map(str::to_owned);
        let nonce = input.array()?;
        let header = Self {
            customer,
            program,
            product,
            level,
            region,
            received,
            events,
            purposes,
            dictionary_version,
            accepted_version,
            revision,
            plan,
            body_len,
        };
        input.0.is_empty().then_some((header, codec, nonce))
    }
}
