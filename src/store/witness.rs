//! The witness: a small file beside the database that remembers the last acknowledged commit, so
//! that a database that comes back with less is noticed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::bytes::Bytes;
use super::chain::Chain;
use super::layout::Head;

const MAGIC: &[u8; 8] = b"usgd-wit";
const VERSION: u16 = 1;
/// Bytes between the slots: a torn write of one cannot reach the other.
const SPACING: u64 = 4096;
const SLOT: usize = 8 + 2 + 16 + 8 + 8 + Chain::BYTES + 8 + 4;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Testimony {
    /// The id of the store.
    pub(super) store: [u8; 16],
    /// Grows by one with each write; the slot with the higher one holds.
    pub(super) turn: u64,
    /// The last acknowledged commit, the running hash after it, and the synced groups up to it.
    pub(super) head: Head,
}

impl Testimony {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.turn.to_be_bytes());
        out.extend_from_slice(&self.head.commit.to_be_bytes());
        out.extend_from_slice(&self.head.chain.0);
        out.extend_from_slice(&self.head.writes.to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let (body, crc) = slot.split_last_chunk::<4>()?;
        let mut input = Bytes(body);
        let known = input.array::<8>()? == *MAGIC && input.u16()? == VERSION;
        let store = input.array()?;
        let turn = input.u64()?;
        let head = Head { commit: input.u64()?, chain: Chain(input.array()?), writes: input.u64()? };
        (known && crc32fast::hash(body) == u32::from_be_bytes(*crc)).then_some(Self { store, turn, head })
    }
}

impl Testimony {
    /// Whether it is that of [`make`]: of a store that was never opened whole.
    pub(super) const fn is_of_beginning(&self) -> bool {
        self.turn == 1
    }
}

/// A slot as it would be written again.
pub(super) fn again(slot: &[u8]) -> Option<Vec<u8>> {
    Testimony::decode(slot).map(|testimony| testimony.encode())
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// There is no file.
    Absent,
    /// No slot can be read.
    Damaged,
    /// The newest slot that can be read.
    Head(Testimony),
}

/// Reads the file.
pub(super) fn read(path: &Path) -> io::Result<Said> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Said::Absent),
        Err(error) => return Err(error),
    };
    let mut newest: Option<Testimony> = None;
    for at in [0, SPACING] {
        let mut slot = [0; SLOT];
        match file.read_exact_at(&mut slot, at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        let said = Testimony::decode(&slot);
        newest = newest.into_iter().chain(said).max_by_key(|testimony| testimony.turn);
    }
    Ok(newest.map_or(Said::Damaged, Said::Head))
}

/// Makes the file of a new store: whole or not at all.
pub(super) fn make(path: &Path, store: [u8; 16]) -> io::Result<Testimony> {
    let head = Head::default();
    let new = path.with_extension("new");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&new)?;
    let mut witness = Witness { file, last: Testimony { store, turn: 0, head } };
    witness.write(head)?;
    witness.file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(witness.last)
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    last: Testimony,
}

impl Witness {
    /// Opens the file, makes it if need be, and writes `head` at once, to both slots.
    pub(super) fn begin(path: &Path, store: [u8; 16], turn: u64, head: Head) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let mut witness = Self { file, last: Testimony { store, turn, head } };
        witness.write(head)?;
        witness.write(head)?;
        witness.file.sync_all()?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(witness)
    }

    /// The id of the store.
    pub(super) const fn store(&self) -> [u8; 16] {
        self.last.store
    }

    /// Writes `head` to the older slot and syncs it. Nothing is done if it, or a later one, is there already.
    pub(super) fn advance(&mut self, head: Head) -> io::Result<()> {
        let last = self.last.head;
        let behind = head.writes < last.writes || head.commit < last.commit;
        if last == head || behind { Ok(()) } else { self.write(head) }
    }

    fn write(&mut self, head: Head) -> io::Result<()> {
        let next = Testimony { turn: self.last.turn + 1, head, ..self.last };
        let at = if next.turn.is_multiple_of(2) { 0 } else { SPACING };
        self.file.write_all_at(&next.encode(), at)?;
        self.file.sync_data()?;
        self.last = next;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn head(commit: u64) -> Head {
        Head { commit, chain: Chain([3; 16]), writes: commit }
    }

    fn said(path: &Path) -> Option<u64> {
        match read(path).unwrap() {
            Said::Head(testimony) => Some(testimony.head.commit),
            Said::Absent | Said::Damaged => None,
        }
    }

    // covers: D6
    #[test]
    fn the_witness_survives_a_torn_write_of_either_slot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        assert_eq!(read(&path).unwrap(), Said::Absent);
        let mut witness = Witness::begin(&path, [1; 16], 0, head(0)).unwrap();
        witness.advance(head(5)).unwrap();
        witness.advance(head(6)).unwrap();
        assert_eq!(said(&path), Some(6));
        let whole = std::fs::read(&path).unwrap();
        let slots = [0, usize::try_from(SPACING).unwrap()];
        let survivors: Vec<_> = slots
            .iter()
            .map(|slot| {
                let mut torn = whole.clone();
                torn[slot + 20] ^= 0x40;
                std::fs::write(&path, &torn).unwrap();
                said(&path).unwrap()
            })
            .collect();
        assert_eq!(survivors, [5, 6]);
        std::fs::write(&path, &whole[..30]).unwrap();
        assert_eq!(read(&path).unwrap(), Said::Damaged);
    }

    // covers: D6
    #[test]
    fn the_witness_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        let mut witness = Witness::begin(&path, [1; 16], 0, head(0)).unwrap();
        for commit in [5, 4, 5] {
            witness.advance(head(commit)).unwrap();
            assert_eq!(said(&path), Some(5));
        }
    }

    #[test]
    fn a_reopened_witness_goes_on_from_its_turn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        Witness::begin(&path, [1; 16], 0, head(7)).unwrap();
        let Said::Head(before) = read(&path).unwrap() else { panic!("no testimony") };
        Witness::begin(&path, [1; 16], before.turn, head(9)).unwrap();
        assert_eq!(said(&path), Some(9));
    }
}
