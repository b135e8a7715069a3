//! What a damaged write-ahead log still proves. RocksDB stops reading at the damage. A group is
//! written only after the one before it was synced, so if two later groups can be seen behind
//! the damage, all but the last of them were acknowledged, and are lost.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;

use super::layout::{Head, KEY_HEAD};

/// Bytes that are searched at a time.
const CHUNK: usize = 1024 * 1024;
/// The longest match: key, one length byte, row.
const MATCH: usize = KEY_HEAD.len() + 1 + Head::ROW;

/// The newest group behind `recovered` that was certainly acknowledged, by what can be found in the
/// log files in `dir`.
pub(super) fn acknowledged_after(dir: &Path, recovered: Head) -> io::Result<Option<Head>> {
    let mut heads: Vec<Head> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            search(&mut File::open(&path)?, |head| {
                if head.writes > recovered.writes {
                    heads.push(head);
                    // Two are enough to go on with.
                    heads.sort_unstable_by_key(|head| std::cmp::Reverse(head.writes));
                    heads.dedup_by_key(|head| head.writes);
                    heads.truncate(2);
                }
            })?;
        }
    }
    Ok(heads.get(1).copied())
}

fn search(file: &mut impl Read, mut found: impl FnMut(Head)) -> io::Result<()> {
    let finder = memmem::Finder::new(KEY_HEAD);
    let mut window: Vec<u8> = Vec::with_capacity(CHUNK + MATCH);
    loop {
        let read = file.by_ref().take(super::bytes::count(CHUNK)).read_to_end(&mut window)?;
        for at in finder.find_iter(&window) {
            let row = window.get(at + KEY_HEAD.len() + 1..).and_then(|rest| rest.get(..Head::ROW));
            row.and_then(Head::decode).into_iter().for_each(&mut found);
        }
        if read == 0 {
            return Ok(());
        }
        let keep = window.len().saturating_sub(MATCH - 1);
        window.drain(..keep);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::store::chain::Chain;

    fn log(writes: &[u64]) -> Vec<u8> {
        let mut bytes = vec![7; 300];
        for writes in writes {
            bytes.extend_from_slice(KEY_HEAD);
            bytes.push(u8::try_from(Head::ROW).unwrap());
            bytes.extend(Head { commit: writes * 10, chain: Chain::default(), writes: *writes }.encode());
            bytes.extend([9; 100]);
        }
        bytes
    }

    // covers: D6
    #[test]
    fn all_but_the_last_group_behind_the_damage_were_acknowledged() {
        let table: [(&[u64], u64, Option<u64>); 5] = [
            (&[], 0, None),
            (&[1, 2], 2, None),
            (&[1, 2, 3], 2, None),
            (&[3, 4], 2, Some(3)),
            (&[5, 4, 3], 2, Some(4)),
        ];
        for (writes, recovered, expected) in table {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("000004.log"), log(writes)).unwrap();
            fs::write(dir.path().join("000004.sst"), log(&[90, 91, 92])).unwrap();
            let recovered = Head { writes: recovered, ..Head::default() };
            let found = acknowledged_after(dir.path(), recovered).unwrap();
            assert_eq!(found.map(|head| head.writes), expected, "{writes:?}");
        }
    }

    #[test]
    fn a_row_across_two_chunks_is_found() {
        let mut bytes = vec![0; CHUNK - 20];
        bytes.extend(log(&[7]).split_off(300));
        let mut found = Vec::new();
        search(&mut bytes.as_slice(), |head| found.push(head.writes)).unwrap();
        assert_eq!(found, [7]);
    }
}
