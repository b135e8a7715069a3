//! Names of column families, keys and rows of the metadata family. What they mean is in the module
//! documentation of [`super`].

use super::bytes::Bytes;
use super::chain::Chain;
use crate::model::{CustomerKey, UnixMillis};

/// The version of the format that this program writes. It reads no other.
pub(super) const FORMAT_VERSION: u32 = 1;

/// RocksDB's own family; it stays empty.
pub(super) const DEFAULT: &str = "default";
/// The store's own rows, and those of drainers.
pub(super) const META: &str = "meta";
/// The keys of customers by their id. `RocksDB` copies the first and the last key of each file into its
/// manifest, where nothing erases them; so there is a row before all and one behind all ([`IDS_ENDS`]) in every
/// file of this family, and in no other family a key says who a customer is.
pub(super) const IDS: &str = "ids";
/// What customers chose, by their key.
pub(super) const CUSTOMERS: &str = "customers";
/// Every change of every participation.
pub(super) const CHANGES: &str = "changes";
/// The salt of each customer, in a family of its own, so that it can be destroyed.
pub(super) const SALTS: &str = "salts";
/// Damaged records.
pub(super) const ASIDE: &str = "aside";
/// The families that every store has.
pub(super) const FIXED: [&str; 7] = [DEFAULT, META, IDS, CUSTOMERS, CHANGES, SALTS, ASIDE];
/// The families that say who a customer is, and what opens its records.
pub(super) const PERSONAL: [&str; 4] = [IDS, CUSTOMERS, CHANGES, SALTS];
/// The rows before and behind all ids, which are printable.
pub(super) const IDS_ENDS: [[u8; 1]; 2] = [[0], [0xff]];

const SEGMENT: &str = "seg.";
const DEDUP: &str = "dedup.";

/// The family of a segment.
pub(super) fn segment_family(number: u32) -> String {
    format!("{SEGMENT}{number:08x}")
}

/// The family of deduplication rows with this number.
pub(super) fn dedup_family(number: u32) -> String {
    format!("{DEDUP}{number:08x}")
}

/// What a family is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// One of [`FIXED`].
    Fixed,
    /// A segment.
    Segment(u32),
    /// Deduplication rows.
    Dedup(u32),
}

/// Reads the name of a family; `None` if this program does not know it.
pub(super) fn family(name: &str) -> Option<Family> {
    let number = |hex: &str| u32::from_str_radix(hex, 16).ok().filter(|n| format!("{n:08x}") == hex);
    if FIXED.contains(&name) {
        Some(Family::Fixed)
    } else if let Some(hex) = name.strip_prefix(SEGMENT) {
        number(hex).map(Family::Segment)
    } else {
        number(name.strip_prefix(DEDUP)?).map(Family::Dedup)
    }
}

/// The key of the row that says what the store is.
pub(super) const KEY_STORE: &[u8] = b"\x01store";
/// The key of the row with the last commit. Its text is long enough to be searched for in a
/// damaged write-ahead log.
pub(super) const KEY_HEAD: &[u8] = b"\x01usaged-commit-head";
/// The key of the row with the data root, wrapped under the root key.
pub(super) const KEY_DATA_ROOT: &[u8] = b"\x01data-root";
/// The key of the row that says which epoch of rotating pseudonyms a time belongs to.
pub(super) const KEY_ROTATION: &[u8] = b"\x01rotation";
/// The key of the row with the registry's counters.
pub(super) const KEY_REGISTRY: &[u8] = b"\x01registry";

/// The key of the row with the outbox's counters.
pub(super) const KEY_OUTBOX: &[u8] = b"\x01outbox";

const TAG_SEGMENT: u8 = 0x02;
const TAG_DEDUP: u8 = 0x03;
const TAG_OUTBOX: u8 = 0x20;
const TAG_COLLECTED: u8 = 0x21;
const TAG_INCREMENT: u8 = 0x22;

/// The key of a segment's row.
pub(super) fn segment_key(number: u32) -> [u8; 5] {
    tagged(TAG_SEGMENT, number)
}

/// The bounds of all rows of segments.
pub(super) const SEGMENT_BOUNDS: ([u8; 1], [u8; 1]) = ([TAG_SEGMENT], [TAG_SEGMENT + 1]);

/// The key of a deduplication family's row.
pub(super) fn dedup_key(number: u32) -> [u8; 5] {
    tagged(TAG_DEDUP, number)
}

/// The bounds of all rows of deduplication families.
pub(super) const DEDUP_BOUNDS: ([u8; 1], [u8; 1]) = ([TAG_DEDUP], [TAG_DEDUP + 1]);

/// The number in a key that [`segment_key`] or [`dedup_key`] made.
pub(super) fn key_number(key: &[u8]) -> Option<u32> {
    let mut input = Bytes(key);
    input.u8()?;
    input.u32().filter(|_| input.0.is_empty())
}

/// The key of an entry of the outbox.
pub(super) fn outbox_key(number: u64) -> [u8; 9] {
    numbered(TAG_OUTBOX, number)
}

/// The key of a sum of what came in.
pub(super) fn collected_key(number: u64) -> [u8; 9] {
    numbered(TAG_COLLECTED, number)
}

/// The number of a sum of what came in, by its key.
pub(super) fn collected_number(key: &[u8]) -> Option<u64> {
    number_in(TAG_COLLECTED, key)
}

/// The bounds of all sums of what came in.
pub(super) const COLLECTED_BOUNDS: ([u8; 1], [u8; 1]) = ([TAG_COLLECTED], [TAG_COLLECTED + 1]);

/// Increments that there are at most: each takes the place of the one that came so many before it.
pub(super) const INCREMENTS: u8 = 128;

/// The key of what one group added to sums.
pub(super) fn increment_key(number: u64) -> [u8; 2] {
    [TAG_INCREMENT, u8::try_from(number % u64::from(INCREMENTS)).unwrap_or(0)]
}

/// The bounds of all increments.
pub(super) const INCREMENT_BOUNDS: ([u8; 1], [u8; 1]) = ([TAG_INCREMENT], [TAG_INCREMENT + 1]);

fn numbered(tag: u8, number: u64) -> [u8; 9] {
    let mut key = [tag; 9];
    key.iter_mut().skip(1).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    key
}

/// The number in the key of an entry of the outbox; `None` of any other key.
pub(super) fn outbox_number(key: &[u8]) -> Option<u64> {
    number_in(TAG_OUTBOX, key)
}

/// The number in a key that [`numbered`] made.
fn number_in(tag: u8, key: &[u8]) -> Option<u64> {
    let mut input = Bytes(key.strip_prefix(&[tag])?);
    input.u64().filter(|_| input.0.is_empty())
}

fn tagged(tag: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [tag, a, b, c, d]
}

const ROW_VERSION: u8 = 1;

/// Begins a row of the store's own: a version, then what follows, then a CRC-32.
pub(super) fn row(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.push(ROW_VERSION);
    fill(&mut out);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

/// What a row holds between its version and its checksum, if both are right.
pub(super) fn open_row(row: &[u8]) -> Option<Bytes<'_>> {
    let (body, crc) = row.split_last_chunk::<4>()?;
    let right = crc32fast::hash(body) == u32::from_be_bytes(*crc);
    let (version, rest) = body.split_first()?;
    (right && *version == ROW_VERSION).then_some(Bytes(rest))
}

/// The row under [`KEY_STORE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreRow {
    /// The version of the format.
    pub(super) format: u32,
    /// The random id of the store.
    pub(super) id: [u8; 16],
    /// Tells the root key from another.
    pub(super) key_check: [u8; 16],
    /// When the store was made.
    pub(super) created: UnixMillis,
}

impl StoreRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        row(|out| {
            out.extend_from_slice(&self.format.to_be_bytes());
            out.extend_from_slice(&self.id);
            out.extend_from_slice(&self.key_check);
            out.extend_from_slice(&self.created.0.to_be_bytes());
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = open_row(bytes)?;
        Some(Self {
            format: input.u32()?,
            id: input.array()?,
            key_check: input.array()?,
            created: UnixMillis(input.i64()?),
        })
    }
}

/// How far the store has come: the row under [`KEY_HEAD`], written with every synced group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// The last commit; 0 before the first.
    pub(super) commit: u64,
    /// The running hash after it.
    pub(super) chain: Chain,
    /// Synced groups so far, those without a record counted: so that lost metadata is noticed too.
    pub(super) writes: u64,
}

impl Head {
    /// Bytes of the row.
    pub(super) const ROW: usize = 1 + 8 + Chain::BYTES + 8 + 4;

    pub(super) fn encode(self) -> Vec<u8> {
        row(|out| {
            out.extend_from_slice(&self.commit.to_be_bytes());
            out.extend_from_slice(&self.chain.0);
            out.extend_from_slice(&self.writes.to_be_bytes());
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = open_row(bytes)?;
        Some(Self { commit: input.u64()?, chain: Chain(input.array()?), writes: input.u64()? })
    }
}

/// The registry's counters: the row under [`KEY_REGISTRY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RegistryRow {
    /// The key that the next new customer gets. Never used twice.
    pub(super) next: CustomerKey,
    /// Customers that have a participation.
    pub(super) customers: u64,
}

impl RegistryRow {
    /// Before the first customer.
    pub(super) const START: Self = Self { next: CustomerKey(1), customers: 0 };

    pub(super) fn encode(self) -> Vec<u8> {
        row(|out| {
            out.extend_from_slice(&self.next.0.to_be_bytes());
            out.extend_from_slice(&self.customers.to_be_bytes());
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = open_row(bytes)?;
        Some(Self { next: CustomerKey(input.u64()?), customers: input.u64()? })
    }
}

/// What waits in the outbox: the row under [`KEY_OUTBOX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutboxRow {
    /// The number that the next entry gets. Never used twice.
    pub(super) next: u64,
    /// The first entry that was not forgotten; `next` if there is none.
    pub(super) first: u64,
}

impl OutboxRow {
    /// Before the first entry.
    pub(super) const START: Self = Self { next: 1, first: 1 };

    pub(super) fn encode(self) -> Vec<u8> {
        row(|out| {
            out.extend_from_slice(&self.next.to_be_bytes());
            out.extend_from_slice(&self.first.to_be_bytes());
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = open_row(bytes)?;
        Some(Self { next: input.u64()?, first: input.u64()? }).filter(|row| row.first <= row.next)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn families_are_known_by_name_and_no_other() {
        let table = [
            ("default", Some(Family::Fixed)),
            ("salts", Some(Family::Fixed)),
            ("seg.0000001f", Some(Family::Segment(31))),
            ("dedup.00000002", Some(Family::Dedup(2))),
            ("seg.1f", None),
            ("seg.0000001F", None),
            ("seg.+000001f", None),
            ("blobs", None),
        ];
        for (name, expected) in table {
            assert_eq!(family(name), expected, "{name}");
        }
        assert_eq!(segment_family(31), "seg.0000001f");
        assert_eq!(dedup_family(2), "dedup.00000002");
        assert_eq!(key_number(&segment_key(77)), Some(77));
    }

    // covers: D5
    #[test]
    fn rows_read_back_and_a_changed_row_does_not() {
        let head = Head { commit: 77, chain: Chain([9; 16]), writes: 80 };
        let bytes = head.encode();
        assert_eq!(bytes.len(), Head::ROW);
        assert_eq!(Head::decode(&bytes), Some(head));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Head::decode(&changed), None, "byte {at}");
        }
        let store = StoreRow { format: 1, id: [1; 16], key_check: [2; 16], created: UnixMillis(3) };
        assert_eq!(StoreRow::decode(&store.encode()), Some(store));
        let registry = RegistryRow { next: CustomerKey(8), customers: 7 };
        assert_eq!(RegistryRow::decode(&registry.encode()), Some(registry));
    }
}
