//! What one group adds to sums that have a row: small, so that a group does not write each sum it touches anew.

use std::collections::BTreeMap;

use super::bytes::{Bytes, put_number};
use super::collected::Collected;
use super::layout::{open_row, row};
use crate::model::{ClassCounts, Handling, IdentifierClass, Reason, UnixMillis};

/// A row: its number (8), the time (8), then for each sum its number, batches, events, how many reasons follow, for each its position
/// (1) and the events withheld for it, and how many counts of fields follow, for each the number of the class (1), the
/// position of the handling (1) and the fields. Numbers without a width are a length in one byte, then so many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Increment {
    pub(super) number: u64,
    pub(super) at: UnixMillis,
    pub(super) added: BTreeMap<u64, Collected>,
}

impl Increment {
    pub(super) fn encode(&self) -> Vec<u8> {
        row(|out| {
            out.extend_from_slice(&self.number.to_be_bytes());
            out.extend_from_slice(&self.at.0.to_be_bytes());
            for (number, collected) in &self.added {
                let Collected { batches, events, withheld, fields } = collected;
                for n in [number, batches, events] {
                    put_number(out, *n);
                }
                put_number(out, super::bytes::count(withheld.len()));
                for (reason, n) in withheld {
                    out.push(place(reason.index()));
                    put_number(out, *n);
                }
                put_number(out, super::bytes::count(fields.len()));
                for (class, handling, n) in fields.iter() {
                    out.extend_from_slice(&[place(class.index()), place(handling.index())]);
                    put_number(out, n);
                }
            }
        })
    }

    /// `None` of anything that [`Self::encode`] does not write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = open_row(bytes)?;
        let (number, at) = (input.u64()?, UnixMillis(input.i64()?));
        let mut read = Self { number, at, added: BTreeMap::new() };
        while !input.0.is_empty() {
            let number = input.number()?;
            let mut collected =
                Collected { batches: input.number()?, events: input.number()?, ..Collected::default() };
            for _ in 0..input.number()? {
                let reason = *Reason::ALL.get(usize::from(input.u8()?))?;
                collected.withheld.insert(reason, input.number()?);
            }
            collected.fields = fields(&mut input)?;
            read.added.insert(number, collected);
        }
        Some(read)
    }
}

fn fields(input: &mut Bytes<'_>) -> Option<ClassCounts> {
    let mut counts = ClassCounts::default();
    for _ in 0..input.number()? {
        let class = *IdentifierClass::ALL.get(usize::from(input.u8()?))?;
        let handling = *Handling::ALL.get(usize::from(input.u8()?))?;
        counts.add(class, handling, input.number()?);
    }
    Some(counts)
}

/// The position of a word in its list. None of the lists is as long as this could hold.
fn place(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_increment_comes_back_as_it_was_written_and_a_torn_one_does_not() {
        let mut fields = ClassCounts::default();
        let handlings = Handling::ALL.iter().cycle();
        for ((n, class), handling) in (1_u64..).zip(IdentifierClass::ALL).zip(handlings) {
            fields.add(*class, *handling, n << (n % 60));
        }
        let withheld = Reason::ALL.iter().zip(1..).map(|(reason, n)| (*reason, n)).collect();
        let whole = Collected { batches: u64::MAX, events: 256, withheld, fields };
        let added = BTreeMap::from([(0, Collected::default()), (1 << 40, whole)]);
        let increment = Increment { number: 7, at: UnixMillis(-5), added };
        let bytes = increment.encode();
        assert_eq!(Increment::decode(&bytes).as_ref(), Some(&increment));
        for cut in 0..bytes.len() {
            assert_eq!(Increment::decode(bytes.get(..cut).unwrap()), None, "cut at {cut}");
        }
    }

    /// What is on disk says words by their position: none may move.
    #[test]
    fn positions_of_reasons_and_handlings_are_those_on_disk() {
        let words = |all: &[&str]| all.join(" ");
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(
            words(&reasons),
            "not_participating level purpose unknown_product unknown_event unknown_field unknown_level \
             not_yet_accepted forbidden wrong_type malformed clock repeated no_key erased"
        );
        let handlings: Vec<&str> = Handling::ALL.iter().map(|handling| handling.as_str()).collect();
        assert_eq!(words(&handlings), "kept pseudonymised coarsened redacted dropped");
        for (n, class) in IdentifierClass::ALL.iter().enumerate() {
            assert_eq!(class.index(), n);
        }
    }
}
