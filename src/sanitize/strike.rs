//! Erasure from stored batches: whole events that name an original identifier, or that happened in a range of time,
//! are taken out. The caller gives the identifier as it is known outside; every pseudonym that it can have been
//! stored under is derived here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::canonical;
use super::copy::Copy;
use super::erased_marks::Found;
use super::outline::Outline;
use super::stored::{Parts, Party, StoredBatch, StoredEvent, StoredValue};
use super::strike_find::{Told, Wanted};
use super::strike_marks::{Marks, ProgramMarks};
use super::wire::Cursor;
use super::{CustomerSecret, SanitizedBatch, Scratch};
use crate::model::{
    ClassCounts, CustomerKey, IdentifierClass, LevelName, ProductName, ProgramName, Purposes, RegionName,
    WireFault,
};
pub(super) use derive::is_party;

/// A value that cannot be looked for. Never holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrikeError {
    /// Not of the form that its class has.
    #[error("the value does not have the form of a `{0}`; nothing can be stored of it")]
    Malformed(IdentifierClass),
    /// A value that many machines share, such as `localhost`: it is stored as a word and identifies nobody.
    #[error("the value is a word that identifies nobody, such as `localhost`; it has no pseudonym")]
    Shared,
    /// A class of which nothing is ever stored, or that identifies nobody.
    #[error("`{0}` is no class of identifiers that can be stored")]
    Class(IdentifierClass),
}

/// What is to be taken out of stored batches. `Debug` hides it.
#[derive(Default)]
pub struct Strike {
    wanted: Wanted,
    /// The stable pseudonyms with their classes, for the suppression of late arrivals: for each class one of each
    /// program, and that which was asked for first.
    stable: Vec<(IdentifierClass, [u8; 16])>,
    /// Stable pseudonyms of the identifier and its parts in small letters, as words of text that arrives late are compared.
    in_text: Vec<[u8; 16]>,
    /// Stable pseudonyms that fields have of it in other letters, as [`Self::stable`]. What arrives late is compared in any
    /// letter case without them.
    other_cases: Vec<(IdentifierClass, [u8; 16])>,
    /// The programs that all of these are made for.
    programs: Vec<ProgramName>,
    /// Whether the head of a batch can name it.
    takes_parties: bool,
    times: Vec<RangeInclusive<i64>>,
    /// Identifiers that are known by their pseudonyms only.
    marks: Option<Box<Marks>>,
    /// What a field may say for short, which is not looked for.
    short: Option<Box<Strike>>,
}

impl std::fmt::Debug for Strike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Strike({} tokens, {} ranges of time)", self.wanted.tokens.len(), self.times.len())
    }
}

impl Strike {
    /// An identifier that is forgotten, by the stable pseudonyms that it had and all else that it was found by.
    #[must_use]
    pub(super) fn pseudonyms(
        stable: &[(IdentifierClass, [u8; 16])],
        found: &Found,
        secret: &Arc<CustomerSecret>,
    ) -> Self {
        let asked = stable.first().map(|(class, _)| *class);
        let takes_parties = asked.is_some_and(is_party);
        let mut strike = Self { stable: stable.to_vec(), takes_parties, ..Self::default() };
        strike.wanted.tokens =
            stable.iter().map(|(_, token)| *token).chain(found.tokens.iter().copied()).collect();
        strike.wanted.tokens.sort_unstable();
        strike.marks = Some(Box::new(Marks::new(secret, stable, found)));
        strike
    }

    /// The same, which is looked for by these pseudonyms too.
    #[must_use]
    pub(super) fn and(mut self, tokens: &[[u8; 16]]) -> Self {
        self.wanted.tokens.extend_from_slice(tokens);
        self.wanted.tokens.sort_unstable();
        self.wanted.tokens.dedup();
        self
    }

    /// The pseudonyms that it looks for, in order.
    pub(super) fn tokens(&self) -> &[[u8; 16]] {
        &self.wanted.tokens
    }

    /// Events that happened in a range of time, both ends included, in milliseconds since the epoch.
    #[must_use]
    pub fn times(range: RangeInclusive<i64>) -> Self {
        Self { times: vec![range], ..Self::default() }
    }

    /// What either names.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.wanted.tokens.extend(other.wanted.tokens);
        self.wanted.tokens.sort_unstable();
        self.wanted.originals.extend(other.wanted.originals);
        self.stable.extend(other.stable);
        self.in_text.extend(other.in_text);
        self.other_cases.extend(other.other_cases);
        self.programs.extend(other.programs);
        self.programs.sort_unstable();
        self.programs.dedup();
        self.takes_parties |= other.takes_parties;
        self.times.extend(other.times);
        // One erasure has one identifier.
        self.marks = self.marks.or(other.marks);
        self.short = self.short.or(other.short);
        self
    }

    /// What fields can say for short, if the identifier is a host with its domain or an account with one (`db7` of
    /// `db7.example.com`): another domain can have one of the same name, so these fields are not looked for, and what
    /// this finds is only told. `None` also when the identifier is forgotten.
    #[must_use]
    pub fn short_name(&self) -> Option<&Self> {
        self.short.as_deref()
    }

    /// The stable pseudonyms that it looks for, with their classes: what [`super::Suppressions`] are made of. They can
    /// be kept; the identifier cannot be told from them without the customer's keys.
    #[must_use]
    pub fn stable_tokens(&self) -> &[(IdentifierClass, [u8; 16])] {
        &self.stable
    }

    /// The stable pseudonyms that words of a text can have besides, in small letters.
    pub(super) fn text_tokens(&self) -> &[[u8; 16]] {
        &self.in_text
    }

    /// The stable pseudonyms that fields have of it in other letters.
    pub(super) fn other_cases(&self) -> &[(IdentifierClass, [u8; 16])] {
        &self.other_cases
    }

    /// The programs that its pseudonyms are made for.
    pub(super) fn programs(&self) -> &[ProgramName] {
        &self.programs
    }

    /// What the identifiers that it knows, and their parts, look like in text: each with its class, and each once.
    pub(super) fn outlines(&self) -> Vec<(IdentifierClass, Outline)> {
        let mut outlines = Vec::new();
        for original in &self.wanted.originals {
            let spellings = original.spellings.iter().map(|spelling| spelling.as_slice());
            for outline in
                [original.canonical.as_slice()].into_iter().chain(spellings).filter_map(Outline::of)
            {
                if !outlines.contains(&(original.class, outline)) {
                    outlines.push((original.class, outline));
                }
            }
        }
        outlines
    }

    fn is_at(&self, time_ms: i64) -> bool {
        self.times.iter().any(|range| range.contains(&time_ms))
    }
}

/// What the header of a record says of a stored batch, and its bytes do not.
#[derive(Debug, Clone, Copy)]
pub struct StruckFrom {
    /// Whose batch it is.
    pub customer: CustomerKey,
    /// The dictionary version that the customer had accepted.
    pub accepted_version: u32,
    /// The fingerprint of the plan that it was made by. What is left has the same.
    pub fingerprint: [u8; 8],
}

/// What is left of a stored batch.
#[derive(Debug, Clone)]
pub enum Struck {
    /// All of it.
    Untouched,
    /// This.
    Part {
        /// What is to be stored in its place: what would have been stored if the events had never been sent.
        batch: SanitizedBatch,
        /// How many events went.
        events_removed: u32,
    },
    /// Nothing.
    All {
        /// How many events went.
        events_removed: u32,
    },
}

/// Takes out of `body`, a stored `usaged.drain.v1.Batch`, what `strike` names.
///
/// # Errors
/// If `body` is not what [`SanitizedBatch::body`] gives: a damaged record.
pub fn strike(
    body: &[u8],
    strike: &Strike,
    from: &StruckFrom,
    scratch: &mut Scratch,
) -> Result<Struck, WireFault> {
    let batch = StoredBatch::read(body)?;
    let told = batch.specs.iter().map(Told::of).collect();
    let program = name::<ProgramName>(batch.program)?;
    let marks = strike.marks.as_ref().map(|marks| marks.of(&program));
    let mut search = Search { batch: &batch, told, strike, marks, canonical: scratch.canonical() };
    let whole = search.party(&batch.customer, IdentifierClass::CustomerId)?
        || search.party(&batch.instance, IdentifierClass::InstanceId)?;
    let mut copy = Copy::new(&batch, vec![true; batch.specs.len()]);
    let (mut events, mut events_removed) = (batch.events, 0_u32);
    while let Some(event) = events.next()? {
        if whole || search.event(&event)? {
            events_removed = events_removed.saturating_add(1);
        } else {
            copy.event(&event)?;
        }
    }
    if copy.event_count() == 0 {
        return Ok(Struck::All { events_removed });
    }
    if events_removed == 0 {
        return Ok(Struck::Untouched);
    }
    let mut left = Vec::with_capacity(body.len());
    copy.write(body, |name| batch.purposes_of(name), &mut left)?;
    let purposes = copy.names().iter().fold(Purposes::NONE, |all, name| all.or(batch.purposes_of(*name)));
    let batch = sealed(&batch, from, (copy.event_count(), purposes, left))?;
    Ok(Struck::Part { batch, events_removed })
}

/// What is left, as the store takes it.
fn sealed(
    batch: &StoredBatch<'_>,
    from: &StruckFrom,
    (events, purposes, body): (u32, Purposes, Vec<u8>),
) -> Result<SanitizedBatch, WireFault> {
    let region = if batch.region.is_empty() { None } else { Some(name::<RegionName>(batch.region)?) };
    Ok(SanitizedBatch {
        customer: from.customer,
        product: name::<ProductName>(batch.product)?,
        program: name::<ProgramName>(batch.program)?,
        level: name::<LevelName>(batch.level)?,
        region,
        policy_version: Arc::from(std::str::from_utf8(batch.policy_version).map_err(|_| WireFault::Utf8)?),
        dictionary_version: u32::try_from(batch.dictionary_version).map_err(|_| WireFault::Varint)?,
        accepted_version: from.accepted_version,
        purposes,
        received: batch.received()?,
        events,
        fingerprint: from.fingerprint,
        fields: ClassCounts::default(),
        withheld: BTreeMap::new(),
        body,
    })
}

fn name<T: std::str::FromStr>(text: &[u8]) -> Result<T, WireFault> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(WireFault::Utf8)
}

/// The search through one batch.
struct Search<'s, 'a> {
    batch: &'s StoredBatch<'a>,
    told: Vec<Told>,
    strike: &'s Strike,
    marks: Option<ProgramMarks<'s>>,
    canonical: &'s mut canonical::Scratch,
}

impl<'a> Search<'_, 'a> {
    fn party(&mut self, party: &Party<'a>, class: IdentifierClass) -> Result<bool, WireFault> {
        let Some(value) = party.value else { return Ok(false) };
        let value = StoredValue::read(value)?;
        // Of an identifier of another class that is the same in letters, what it sent is not taken out whole.
        let is_other = matches!(value, StoredValue::Token(_)) && !self.strike.takes_parties;
        Ok(!is_other && self.is_wanted(&value, Told::party(class)))
    }

    fn is_wanted(&mut self, value: &StoredValue<'_>, told: Told) -> bool {
        self.strike.wanted.is_in(value, told, self.canonical)
            || self.marks.as_ref().is_some_and(|marks| marks.are_in(value, told, self.canonical))
    }

    fn event(&mut self, event: &StoredEvent<'a>) -> Result<bool, WireFault> {
        Ok(self.strike.is_at(event.time_ms) || self.fields(event.fields)?)
    }

    fn fields(&mut self, mut fields: Parts<'a>) -> Result<bool, WireFault> {
        while let Some(field) = fields.next_field()? {
            if self.value(field.value, field.spec)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn value(&mut self, value: Cursor<'a>, spec: usize) -> Result<bool, WireFault> {
        match StoredValue::read(value)? {
            StoredValue::Record(fields) => self.fields(fields),
            StoredValue::List(mut items) => {
                while let Some(item) = items.next()? {
                    if self.value(item, spec)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            StoredValue::Map(mut pairs) => {
                let key_spec = self.batch.specs.get(spec).and_then(|spec| self.batch.key_of(spec));
                while let Some((key, value)) = pairs.next_pair()? {
                    // A key without an entry of its own is looked at like the values.
                    if self.value(key, key_spec.unwrap_or(spec))? || self.value(value, spec)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            scalar @ (StoredValue::Empty
            | StoredValue::Text(_)
            | StoredValue::Int(_)
            | StoredValue::Double(_)
            | StoredValue::Bool(_)
            | StoredValue::Bytes(_)
            | StoredValue::Token(_)) => {
                let Some(told) = self.told.get(spec).copied() else { return Ok(false) };
                Ok(self.is_wanted(&scalar, told))
            }
        }
    }
}

#[path = "strike_cases.rs"]
mod cases;
#[path = "strike_derive.rs"]
mod derive;

#[cfg(test)]
#[path = "strike_tests.rs"]
mod tests;
