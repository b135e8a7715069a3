//! The row of what was erased. Version 3: its version (1), the last commit that can hold some of it (8), its pseudonyms, its
//! sealed marks, and the rest as JSON.
//!
//! The pseudonyms: how many classes there are (2), and of each in order its word behind its length (1), how many pseudonyms
//! it has (4) and they (16 each). The marks: whether there are any (1), and then the nonce (12) and what is sealed behind
//! its length (4). An erased host has over a hundred pseudonyms, which JSON writes as numbers, in four times the bytes.
//!
//! Rows of before are read as they were: version 2, where all but the commit is JSON, and version 1, where that is, too.

use super::{Erased, Sealed};
use crate::model::{CommitNumber, IdentifierClass};
use crate::sanitize::NONCE_BYTES;

/// The version of the form.
const VERSION: u8 = 3;
/// The version before.
const JSON_BEHIND_COMMIT: u8 = 2;
/// The version before that.
const ALL_JSON: u8 = 1;

/// Pseudonyms with their classes.
type Tokens = Vec<(IdentifierClass, [u8; 16])>;

impl Erased {
    /// The form in which it is kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.upto.0.to_be_bytes());
        let is_written = write_tokens(&self.tokens, &mut row)
            .and_then(|()| write_marks(self.marks.as_ref(), &mut row))
            .and_then(|()| serde_json::to_writer(&mut row, self).ok());
        // There are fewer classes and pseudonyms than the numbers take, every part has a JSON form and a vector takes every
        // byte, so this does not fail.
        if is_written.is_none() {
            unreachable!("an erasure has a form");
        }
        row
    }

    /// Reads that form, and those of before; `None` if it is something else.
    #[must_use]
    pub fn decode(row: &[u8]) -> Option<Self> {
        let (version, rest) = row.split_first()?;
        if *version == ALL_JSON {
            return serde_json::from_slice(rest).ok();
        }
        let (upto, rest) = rest.split_first_chunk()?;
        let upto = CommitNumber(u64::from_be_bytes(*upto));
        match *version {
            VERSION => {
                let (tokens, rest) = read_tokens(rest)?;
                let (marks, json) = read_marks(rest)?;
                let erased: Self = serde_json::from_slice(json).ok()?;
                Some(Self { tokens, marks, upto, ..erased })
            }
            JSON_BEHIND_COMMIT => {
                let erased: Self = serde_json::from_slice(rest).ok()?;
                Some(Self { upto, ..erased })
            }
            _ => None,
        }
    }
}

fn write_tokens(tokens: &[(IdentifierClass, [u8; 16])], row: &mut Vec<u8>) -> Option<()> {
    let classes = || tokens.chunk_by(|(one, _), (other, _)| one == other);
    row.extend_from_slice(&u16::try_from(classes().count()).ok()?.to_be_bytes());
    for of_class in classes() {
        let word = of_class.first()?.0.as_str();
        row.push(u8::try_from(word.len()).ok()?);
        row.extend_from_slice(word.as_bytes());
        row.extend_from_slice(&u32::try_from(of_class.len()).ok()?.to_be_bytes());
        row.extend(of_class.iter().flat_map(|(_, token)| token));
    }
    Some(())
}

fn read_tokens(row: &[u8]) -> Option<(Tokens, &[u8])> {
    let (classes, mut rest) = row.split_first_chunk()?;
    let mut tokens = Tokens::new();
    for _ in 0..u16::from_be_bytes(*classes) {
        let (len, behind) = rest.split_first()?;
        let (word, behind) = behind.split_at_checked(usize::from(*len))?;
        let class: IdentifierClass = std::str::from_utf8(word).ok()?.parse().ok()?;
        let (count, behind) = behind.split_first_chunk()?;
        let bytes = usize::try_from(u32::from_be_bytes(*count)).ok()?.checked_mul(16)?;
        let (own, behind) = behind.split_at_checked(bytes)?;
        tokens.extend(own.as_chunks().0.iter().map(|token| (class, *token)));
        rest = behind;
    }
    Some((tokens, rest))
}

fn write_marks(marks: Option<&Sealed>, row: &mut Vec<u8>) -> Option<()> {
    row.push(u8::from(marks.is_some()));
    if let Some(Sealed { nonce, sealed }) = marks {
        row.extend_from_slice(nonce);
        row.extend_from_slice(&u32::try_from(sealed.len()).ok()?.to_be_bytes());
        row.extend_from_slice(sealed);
    }
    Some(())
}

fn read_marks(row: &[u8]) -> Option<(Option<Sealed>, &[u8])> {
    let (has, rest) = row.split_first()?;
    match has {
        0 => Some((None, rest)),
        1 => {
            let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
            let (len, rest) = rest.split_first_chunk()?;
            let (sealed, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
            Some((Some(Sealed { nonce: *nonce, sealed: sealed.to_vec() }), rest))
        }
        _ => None,
    }
}
