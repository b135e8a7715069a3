//! What was erased of one customer, as it is kept: enough to take it out of what is stored, and to withhold what
//! arrives late. The identifier itself is sealed under a key of the customer, and only for as long as stored batches
//! are being rewritten.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::erased_marks::Found;
use super::strike::{Strike, StrikeError};
use super::suppress::Withheld;
use super::{CustomerSecret, LiveEpochs, NONCE_BYTES, SealKey, Suppressions, pseudonym_text};
use crate::model::{CommitNumber, IdentifierClass, ProgramName, RawText, UnixMillis};

/// An erasure of an identifier or of a time, of a customer who is still there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Stable pseudonyms with their classes: of each form one for each of [`Self::programs`], and that which was asked for
    /// first. In rows of before as JSON.
    #[serde(default, skip_serializing)]
    tokens: Vec<(IdentifierClass, [u8; 16])>,
    /// The programs that they are made for; in rows of before only [`Original`] has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    programs: Vec<ProgramName>,
    /// As rows of before had it: what is in [`Self::marks`], for everybody to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    found_by: Vec<[u8; 16]>,
    /// Every pseudonym that is looked for: of an epoch whose keys go while the erasure is under way there is no other way
    /// to tell it, nor when an older copy of the data is put back and the identifier is forgotten. Sealed: together they tell which rotating pseudonyms of several epochs are of one
    /// value, and nobody may read that from the disk. With them what it is found by in text ([`Found`]); of that, rows of
    /// before have less or nothing, and what they lack is not looked for.
    #[serde(default, skip_serializing)]
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
    /// As [`Self::tokens`], those of the value in other letters. They are in [`Self::marks`] too, so they are not kept: only
    /// who plans an erasure tells drainers of them.
    #[serde(skip)]
    other_cases: Vec<(IdentifierClass, [u8; 16])>,
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
        let marks = Found::of(&strike).seal(secret, &of_marks).map_err(|_| StrikeError::Malformed(class))?;
        let (programs, epochs) = (programs.to_vec(), Vec::new());
        Ok(Self {
            tokens: strike.stable_tokens().to_vec(),
            programs: programs.clone(),
            found_by: Vec::new(),
            marks: Some(Sealed { nonce: of_marks, sealed: marks }),
            times: None,
            before,
            until,
            upto: CommitNumber(u64::MAX),
            original: Some(Original { class, programs, epochs, nonce, sealed }),
            other_cases: strike.other_cases().to_vec(),
        })
    }

    /// Erases what happened from `from` until `end`, which is excluded.
    #[must_use]
    pub fn times(from: UnixMillis, end: UnixMillis, (before, until): (UnixMillis, UnixMillis)) -> Self {
        let times = Some((from.0, end.0.saturating_sub(1)));
        let (tokens, found_by, upto) = (Vec::new(), Vec::new(), CommitNumber(u64::MAX));
        Self {
            tokens,
            programs: Vec::new(),
            found_by,
            marks: None,
            times,
            before,
            until,
            upto,
            original: None,
            other_cases: Vec::new(),
        }
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
            // In other letters it has the pseudonyms that were found when it was planned.
            let known = Strike::known(*class, value, secret, programs, &epochs)?;
            strike = strike.or(known.and(&self.found_by(*class, secret)?.tokens));
        } else if let Some((class, _)) = self.tokens.first() {
            let found_by = self.found_by(*class, secret)?;
            strike = strike.or(Strike::pseudonyms(&self.tokens, &found_by, secret));
        }
        Ok(strike)
    }

    /// What the identifier is found by when it is forgotten.
    fn found_by(&self, class: IdentifierClass, secret: &CustomerSecret) -> Result<Found, StrikeError> {
        let mut found = self.opened(&secret.note_key()).ok_or(StrikeError::Malformed(class))?;
        found.tokens.extend_from_slice(&self.found_by);
        Ok(found)
    }

    /// [`Self::marks`] as they were before they were sealed; nothing if there are none, and `None` if they do not open.
    fn opened(&self, key: &SealKey) -> Option<Found> {
        match &self.marks {
            Some(Sealed { nonce, sealed }) => Found::open(key, nonce, sealed),
            None => Some(Found::default()),
        }
    }

    /// The class that was asked for.
    fn class(&self) -> Option<IdentifierClass> {
        self.tokens.first().map(|(class, _)| *class)
    }

    /// What to call it in what was delivered before: the text forms of its pseudonyms, of these epochs too, each with its
    /// program. Those of the value in other letters only as long as there are not too many for a notice.
    #[must_use]
    pub fn told(&self, secret: &CustomerSecret, epochs: &LiveEpochs) -> Vec<(ProgramName, String)> {
        let Some(Original { programs, .. }) = &self.original else { return Vec::new() };
        let mut texts = Vec::new();
        let of_each = epochs.numbers().count().saturating_add(1);
        let count = self.tokens.len().saturating_add(self.other_cases.len());
        let others = if count.saturating_mul(of_each) > TOLD { &[][..] } else { &self.other_cases };
        for (at, program) in programs.iter().enumerate() {
            let of_program = |all| <[_]>::iter(all).skip(at).step_by(programs.len());
            let own: Vec<_> = of_program(&*self.tokens).chain(of_program(others)).collect();
            let stable = own.iter().map(|(class, token)| pseudonym_text(*class, None, token));
            texts.extend(stable.map(|text| (program.clone(), text)));
            for (keys, _) in epochs.keys(secret, program) {
                let rotated = own.iter().filter_map(|(class, token)| {
                    Some(pseudonym_text(*class, Some(keys.epoch()), &keys.rotate(*class, token)?))
                });
                texts.extend(rotated.map(|text| (program.clone(), text)));
            }
        }
        texts
    }

    /// Whether both are of the same identifier, whatever programs there were when it was asked for.
    #[must_use]
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.class() == other.class()
            && self.asked().any(|token| other.asked().any(|of_other| of_other == token))
    }

    /// The pseudonyms of what was asked for: what has the same letters as another class is not it, and neither is what has
    /// the same in other letters. In rows of before there is none of the latter.
    fn asked(&self) -> impl Iterator<Item = &(IdentifierClass, [u8; 16])> {
        let of_form = if self.programs.is_empty() { self.tokens.len() } else { self.programs.len() };
        self.tokens.iter().take(of_form).filter(|(class, _)| Some(*class) == self.class())
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

    /// What is kept at hand of it, when it was seen what arrives late: of what is looked for in nothing that is stored, only
    /// until when it withholds.
    #[must_use]
    pub fn at_hand(self) -> Self {
        if self.upto > CommitNumber(0) {
            return self;
        }
        let (tokens, programs) = (Vec::new(), Vec::new());
        Self { tokens, programs, found_by: Vec::new(), marks: None, ..self }
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
            let found = erased.opened(&key).unwrap_or_default();
            let before = erased.original.as_ref().map_or(&[][..], |original| &original.programs);
            let withheld = Withheld {
                tokens: &erased.tokens,
                in_text: &found.in_text,
                outlines: found.outlines_of(erased.class()).collect(),
                programs: if erased.programs.is_empty() { before } else { &erased.programs },
            };
            let times = erased.times.map(|(first, last)| first..=last);
            suppressions.add(withheld, times, erased.before);
        }
        (!suppressions.is_empty()).then(|| suppressions.finish())
    }
}

/// The most texts that a notice tells if some of them are of the value in other letters: beyond what a notice takes, a
/// drainer would be told to delete everything of the customer.
const TOLD: usize = 900;
/// What the identifier is sealed with.
const AAD: &[u8] = b"usaged/erased/v1";

#[path = "erased_row.rs"]
mod row;

#[cfg(test)]
#[path = "erased_tests.rs"]
mod tests;
