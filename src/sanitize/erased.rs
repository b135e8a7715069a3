//! What was erased of one customer, as it is kept: enough to take it out of what is stored, and to withhold what
//! arrives late. The identifier itself is sealed under a key of the customer, and only for as long as stored batches
//! are being rewritten.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::outline::Outline;
use super::strike::{Strike, StrikeError};
use super::{CustomerSecret, LiveEpochs, NONCE_BYTES, SealKey, Suppressions, pseudonym_text};
use crate::model::{CommitNumber, IdentifierClass, ProgramName, RawText, UnixMillis};

/// The version of the form.
const VERSION: u8 = 2;
/// The version before: JSON alone, which had [`Erased::upto`], too.
const ALL_JSON: u8 = 1;

/// An erasure of an identifier or of a time, of a customer who is still there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Stable pseudonyms with their classes.
    tokens: Vec<(IdentifierClass, [u8; 16])>,
    /// As rows of before had it: what is in [`Self::marks`], for everybody to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    found_by: Vec<[u8; 16]>,
    /// Every pseudonym that is looked for: of an epoch whose keys go while the erasure is under way there is no other way
    /// to tell it, nor when an older copy of the data is put back and the identifier is forgotten. Sealed: together they tell which rotating pseudonyms of several epochs are of one
    /// value, and nobody may read that from the disk. Behind them at most two [`Outline`]s, which are shorter together than
    /// one pseudonym; in rows of before there are none, and then words of text are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marks: Option<Sealed>,
    /// The first and the last time of a range, in Unix milliseconds.
    times: Option<(i64, i64)>,
    /// Events that happened until then are late: newer ones are collected again.
    before: UnixMillis,
    /// Until when late arrivals are withheld.
    pub until: UnixMillis,
    /// The last commit that can still hold some of it; 0 when all is rewritten.
    #[serde(default, skip_serializing)]
    pub upto: CommitNumber,
    /// The identifier, while it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<Original>,
}

/// What only the customer's keys open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    nonce: [u8; NONCE_BYTES],
    sealed: Vec<u8>,
}

/// An identifier, sealed, and what its pseudonyms are derived for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Original {
    class: IdentifierClass,
    programs: Vec<ProgramName>,
    /// As rows of before had it: epochs whose pseudonyms are derived again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    epochs: Vec<u32>,
    nonce: [u8; NONCE_BYTES],
    sealed: Vec<u8>,
}

impl std::fmt::Debug for Erased {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erased").field("upto", &self.upto).field("until", &self.until).finish_non_exhaustive()
    }
}

/// An original identifier, and where its pseudonyms can be.
#[derive(Clone, Copy)]
pub struct Sought<'a> {
    /// Its class.
    pub class: IdentifierClass,
    /// Its value, in any form of the class.
    pub value: RawText<'a>,
    /// The programs of the policy.
    pub programs: &'a [ProgramName],
    /// The rotation epochs of which the customer has keys.
    pub epochs: &'a LiveEpochs,
}

impl Erased {
    /// Erases an identifier. The nonces are random.
    ///
    /// # Errors
    /// If the value is no identifier of the class.
    pub fn identifier(
        sought: &Sought<'_>,
        secret: &CustomerSecret,
        [nonce, of_marks]: [[u8; NONCE_BYTES]; 2],
        (before, until): (UnixMillis, UnixMillis),
    ) -> Result<Self, StrikeError> {
        let Sought { class, value, programs, epochs } = *sought;
        let strike = Strike::identifier(class, value, secret, programs, epochs)?;
        let mut sealed = value.expose().to_vec();
        secret.note_key().seal(&nonce, AAD, &mut sealed, 0).map_err(|_| StrikeError::Malformed(class))?;
        let mut marks = strike.tokens().concat();
        marks.extend(strike.outlines().flat_map(|(_, outline)| outline.encode()));
        let sealing = secret.note_key().seal(&of_marks, MARKS_AAD, &mut marks, 0);
        sealing.map_err(|_| StrikeError::Malformed(class))?;
        let (programs, epochs) = (programs.to_vec(), Vec::new());
        Ok(Self {
            tokens: strike.stable_tokens().to_vec(),
            found_by: Vec::new(),
            marks: Some(Sealed { nonce: of_marks, sealed: marks }),
            times: None,
            before,
            until,
            upto: CommitNumber(u64::MAX),
            original: Some(Original { class, programs, epochs, nonce, sealed }),
        })
    }

    /// Erases what happened from `from` until `end`, which is excluded.
    #[must_use]
    pub fn times(from: UnixMillis, end: UnixMillis, (before, until): (UnixMillis, UnixMillis)) -> Self {
        let times = Some((from.0, end.0.saturating_sub(1)));
        let (tokens, found_by, upto) = (Vec::new(), Vec::new(), CommitNumber(u64::MAX));
        Self { tokens, found_by, marks: None, times, before, until, upto, original: None }
    }

    /// What is to be taken out of stored batches.
    ///
    /// # Errors
    /// If the identifier does not open, or is none.
    pub fn strike(&self, secret: &Arc<CustomerSecret>) -> Result<Strike, StrikeError> {
        let mut strike = Strike::default();
        if let Some((first, last)) = self.times {
            strike = strike.or(Strike::times(first..=last));
        }
        if let Some(Original { class, programs, epochs, nonce, sealed }) = &self.original {
            let mut value = Zeroizing::new(sealed.clone());
            secret.note_key().open(nonce, AAD, &mut value).map_err(|_| StrikeError::Malformed(*class))?;
            let (value, epochs) =
                (RawText::new(&value), LiveEpochs::of(secret.ratchet(), epochs.iter().copied()));
            let known = Strike::identifier(*class, value, secret, programs, &epochs)?;
            strike = strike.or(known.and(&self.found_by(*class, secret)?));
        } else if let Some((class, _)) = self.tokens.first() {
            let found_by = self.found_by(*class, secret)?;
            strike = strike.or(Strike::pseudonyms(&self.tokens, &found_by, secret));
        }
        Ok(strike)
    }

    /// Every pseudonym that is looked for.
    fn found_by(
        &self,
        class: IdentifierClass,
        secret: &CustomerSecret,
    ) -> Result<Vec<[u8; 16]>, StrikeError> {
        let mut found_by = self.found_by.clone();
        let marks = self.opened(&secret.note_key()).ok_or(StrikeError::Malformed(class))?;
        found_by.extend(marks.as_chunks().0);
        Ok(found_by)
    }

    /// [`Self::marks`] as they were before they were sealed; nothing if there are none, and `None` if they do not open.
    fn opened(&self, key: &SealKey) -> Option<Vec<u8>> {
        let Some(Sealed { nonce, sealed }) = &self.marks else { return Some(Vec::new()) };
        let mut marks = sealed.clone();
        key.open(nonce, MARKS_AAD, &mut marks).ok()?;
        Some(marks)
    }

    /// What the identifier looks like in text, with its class.
    fn outlines(&self, key: &SealKey) -> Vec<(IdentifierClass, Outline)> {
        let Some((class, _)) = self.tokens.first() else { return Vec::new() };
        let marks = self.opened(key).unwrap_or_default();
        Outline::decode(marks.as_chunks::<16>().1).map(|outline| (*class, outline)).collect()
    }

    /// What to call it in what was delivered before: the text forms of its pseudonyms, of these epochs too, each with its
    /// program.
    #[must_use]
    pub fn told(&self, secret: &CustomerSecret, epochs: &LiveEpochs) -> Vec<(ProgramName, String)> {
        let Some(Original { class, programs, .. }) = &self.original else { return Vec::new() };
        let mut texts = Vec::new();
        for ((_, stable), program) in self.tokens.iter().zip(programs) {
            texts.push((program.clone(), pseudonym_text(*class, None, stable)));
            for (epoch, token) in epochs.rotated(secret, program, (*class, stable)) {
                texts.push((program.clone(), pseudonym_text(*class, Some(epoch), &token)));
            }
        }
        texts
    }

    /// Whether both are of the same identifier, whatever programs there were when it was asked for.
    #[must_use]
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.tokens.iter().any(|token| other.tokens.contains(token))
    }

    /// The same, fenced: `upto` is the last commit before the fence, and events that happened until `before` are late
    /// behind it, as long as late arrivals are withheld.
    #[must_use]
    pub fn fenced(mut self, upto: CommitNumber, (before, until): (UnixMillis, UnixMillis)) -> Self {
        (self.upto, self.before, self.until) = (upto, before, until);
        self
    }

    /// Forgets the identifier: everything that was stored is rewritten. What arrives late is still withheld.
    pub fn rewritten(&mut self) {
        self.upto = CommitNumber(0);
        self.original = None;
    }

    /// Has it looked for again in everything up to `upto`: an older copy of the data was put back. The identifier is
    /// forgotten; its pseudonyms do.
    pub fn again(&mut self, upto: CommitNumber) {
        self.upto = upto;
    }

    /// What is withheld of several erasures at `now`; `None` if nothing is.
    #[must_use]
    pub fn suppressions<'e>(
        all: impl Iterator<Item = &'e Self>,
        secret: &CustomerSecret,
        now: UnixMillis,
    ) -> Option<Suppressions> {
        let key = secret.note_key();
        let mut suppressions = Suppressions::default();
        for erased in all.filter(|erased| erased.until > now) {
            let times = erased.times.map(|(first, last)| first..=last);
            suppressions.add(&erased.tokens, erased.outlines(&key), times, erased.before);
        }
        (!suppressions.is_empty()).then(|| suppressions.finish())
    }

    /// The form in which it is kept: version 2 (1), the last commit that can hold some of it (8), then JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.upto.0.to_be_bytes());
        // Every part has a JSON form and a vector takes every byte, so this does not fail.
        if serde_json::to_writer(&mut row, self).is_err() {
            unreachable!("an erasure has a JSON form");
        }
        row
    }

    /// Reads that form; `None` if it is something else.
    #[must_use]
    pub fn decode(row: &[u8]) -> Option<Self> {
        if let Some(json) = row.strip_prefix(&[ALL_JSON]) {
            return serde_json::from_slice(json).ok();
        }
        let (upto, json) = row.strip_prefix(&[VERSION])?.split_first_chunk()?;
        let erased: Self = serde_json::from_slice(json).ok()?;
        Some(Self { upto: CommitNumber(u64::from_be_bytes(*upto)), ..erased })
    }
}

/// What the identifier is sealed with.
const AAD: &[u8] = b"usaged/erased/v1";
/// What its pseudonyms are sealed with.
const MARKS_AAD: &[u8] = b"usaged/erased/marks/v1";

#[cfg(test)]
#[path = "erased_tests.rs"]
mod tests;
