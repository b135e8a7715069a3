//! Redaction: text in which every identifier that is found is replaced, by its pseudonym where the level makes
//! one of its class, else by a marker.
//!
//! What is found does not depend on the level ([`super::detect`], and the [`known`] identifiers of the batch);
//! only what replaces it does. So text that was redacted at one level can be brought down to a stricter one
//! without the raw text, with the same bytes ([`lower()`]).

mod alone;
mod find;
mod gather;
pub(super) mod item;
mod known;
mod listed;
mod lower;
mod reach;
mod rest;
mod rewriting;
mod seen;
mod spelt;
mod writer;

#[cfg(test)]
mod redact_tests;

pub(super) use alone::Alone;
pub use find::{Finder, Found, find};
pub use listed::in_listed_value;
#[allow(unused_imports, reason = "called by whoever brings stored batches down")]
pub(super) use lower::lower;
pub use seen::Hits;
pub(super) use seen::Seen;

use std::cell::Cell;

use zeroize::Zeroize as _;

use super::canonical::{self, Canonical};
use super::detect::{Folded, Hit, What};
use super::{Permit, ProgramKeys};
use crate::model::{IdentifierClass, Reason, WireError, WireReader};
use crate::policy::{Epoch, Plan, Redaction};
use known::Known;
use reach::Reach;
use rest::Rest;
use rewriting::Rewriting;

/// Buffers that values are treated in, one after another, and what is known of the request at hand.
#[derive(Default)]
pub(super) struct Workspace {
    pub(super) canonical: canonical::Scratch,
    folded: Folded,
    out: Vec<u8>,
    visited: gather::Visited,
    /// What is known of the program at hand.
    known: Known,
    /// The same of other programs of the request, or of none.
    aside: Vec<Known>,
    /// What the latest redaction found.
    pub(super) seen: Seen,
    /// What all redactions of the request at hand found.
    pub(super) hits: Hits,
}

impl Workspace {
    /// Brings what is known of a program to hand. Gathered once for each program of a request.
    pub(super) fn gather<'a, R: WireReader<'a> + Clone>(
        &mut self,
        permit: &Permit,
        plan: &Plan,
        (instance, request): (&[u8], &R),
    ) -> Result<(), WireError> {
        if self.known.program == Some(plan.program_index) {
            return Ok(());
        }
        if self.known.program.is_some() {
            let is_it = |one: &Known| one.program == Some(plan.program_index);
            let at = self.aside.iter().position(is_it);
            let at = at.or_else(|| self.aside.iter().position(|one| one.program.is_none()));
            match at.and_then(|at| self.aside.get_mut(at)) {
                Some(other) => std::mem::swap(&mut self.known, other),
                None => self.aside.push(std::mem::take(&mut self.known)),
            }
        }
        if self.known.program != Some(plan.program_index) {
            let Self { known, folded, canonical, visited, .. } = self;
            gather::gather(permit, plan, instance, request, (known, folded, canonical, visited))?;
        }
        Ok(())
    }

    /// Whether any identifier that redaction finds in a text passes. It is asked for with the class that its pseudonym
    /// is of, and with that of its form.
    pub(super) fn any_identifier(&mut self, text: &str, is: impl Fn(IdentifierClass, &[u8]) -> bool) -> bool {
        let Self { canonical, folded, known, .. } = self;
        let has_known = Cell::new(false);
        let mut findings = folded.findings(text, Reach::new(known, &has_known));
        let mut rest = Rest::new(known, findings.readings());
        let is_found = findings.any(|found| {
            let identifier = identify(&found, known, canonical).and_then(|(_, identifier)| identifier);
            let of_form = match found.what {
                What::Class(class) => Some(class),
                What::NationalId
                | What::Iban
                | What::PaymentCard
                | What::Encoded
                | What::Token
                | What::Known(_) => None,
            };
            identifier.is_some_and(|(class, form)| {
                is(class, form) || of_form.is_some_and(|own| own != class && is(own, form))
            })
        });
        let mut at = 0;
        while !is_found
            && has_known.get()
            && let Some((_, end, number)) = rest.first(at, text.len())
        {
            if matches!(known.get(number), Some((class, Some(form))) if is(class, form)) {
                return true;
            }
            at = end;
        }
        is_found
    }

    /// Whether a text passes as it came, or in any way in which redaction reads it.
    pub(super) fn any_reading(
        &mut self,
        text: &str,
        is: impl Fn(&str, &mut canonical::Scratch) -> bool,
    ) -> bool {
        let Self { canonical, folded, .. } = self;
        folded.any(text, |reading| std::str::from_utf8(reading).is_ok_and(|reading| is(reading, canonical)))
    }

    /// Forgets what is known of a request.
    pub(super) fn forget(&mut self) {
        self.hits = Hits::default();
        self.known.clear();
        self.aside.iter_mut().for_each(Known::clear);
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workspace(..)")
    }
}

/// Redacts a text. If the request has more identifiers than are looked for, nothing of it is left.
///
/// # Errors
/// [`Reason::Malformed`] if it is longer than the dictionary allows, or no UTF-8.
pub(super) fn redact<'t>(
    rules: &Redaction,
    keys: &ProgramKeys,
    raw: &'t [u8],
    work: &'t mut Workspace,
) -> Result<&'t [u8], Reason> {
    work.seen = Seen::default();
    if is_listed(rules, raw) {
        work.seen.is_listed = true;
        return Ok(raw);
    }
    let within = u32::try_from(raw.len()).is_ok_and(|len| len <= rules.max_bytes);
    let text = std::str::from_utf8(raw).ok().filter(|_| within).ok_or(Reason::Malformed)?;
    let Workspace { canonical, folded, out, known, seen, hits, .. } = work;
    if known.is_over() {
        // Beyond the bound of what is looked for, any text may have a name in it that a field has: it is cut to nothing,
        // as it would be at every other level that redacts it.
        seen.is_over = true;
        out.clear();
        item::write_marker(item::CUT, out);
        return Ok(out.as_slice());
    }
    let has_known = Cell::new(false);
    let mut findings = folded.findings(text, Reach::new(known, &has_known));
    let mut next = findings.next();
    // Where nothing is found, what stays can have a known identifier in it all the same. What looks like a token of ours is
    // found like anything else; that none gets past is not left to that.
    let is_clean = next.is_none() && !has_known.get();
    if is_clean && rules.cut.is_none() && memchr::memmem::find(raw, b"p1-").is_none() {
        return Ok(raw);
    }
    let rest = Rest::new(known, findings.readings());
    let mut rewriting = Rewriting::new((rules, keys), (known, &has_known, rest), text, (out, seen, hits));
    while let Some(found) = next {
        if let Some((what, token)) = replacement(rules, keys, &found, known, canonical) {
            rewriting.replace(found.start, found.end, (what, token));
        }
        next = findings.next();
    }
    rewriting.finish();
    Ok(out.as_slice())
}

/// Whether the dictionary lists a value: then it is kept as it is.
fn is_listed(rules: &Redaction, text: &[u8]) -> bool {
    rules.vocabulary.as_ref().is_some_and(|words| words.get(text).is_some())
}

/// What was found, and what replaces it; `None` if it is nobody's and stays.
fn replacement(
    rules: &Redaction,
    keys: &ProgramKeys,
    found: &Hit<'_>,
    known: &Known,
    scratch: &mut canonical::Scratch,
) -> Option<(What, Option<Token>)> {
    let (what, identifier) = identify(found, known, scratch)?;
    Some((what, token(rules, keys, identifier)))
}

/// A pseudonym, with its class and epoch.
type Token = (IdentifierClass, Epoch, [u8; 16]);

/// The pseudonym of an identifier, if there is one; else it has a marker.
fn token(rules: &Redaction, keys: &ProgramKeys, identifier: Option<Identifier<'_>>) -> Option<Token> {
    let (class, canonical) = identifier?;
    let epoch = rules.found.get(class.index()).copied().flatten()?;
    // Without a key there is a marker, and no pseudonym.
    keys.token(class, epoch, canonical).map(|bits| (class, epoch, bits))
}

/// An identifier in its canonical form, with its class.
type Identifier<'f> = (IdentifierClass, &'f [u8]);

/// What was found, and the identifier that a pseudonym can be made of, if it is one; `None` if it is nobody's and stays.
fn identify<'f>(
    found: &Hit<'f>,
    known: &'f Known,
    scratch: &'f mut canonical::Scratch,
) -> Option<(What, Option<Identifier<'f>>)> {
    let class = match found.what {
        What::Class(class) => class,
        What::Known(number) => {
            let (class, canonical) = known.get(known.exactly(number, found.text))?;
            return Some((What::Class(class), canonical.map(|canonical| (class, canonical))));
        }
        what @ (What::NationalId | What::Iban | What::PaymentCard | What::Encoded | What::Token) => {
            return Some((what, None));
        }
    };
    match canonical::canonical(class, found.text, scratch) {
        Canonical::Known(_) if !found.is_joined && !canonical::tells_mac(found.text) => None,
        Canonical::Known(_) | Canonical::Malformed => Some((found.what, None)),
        Canonical::Identifier(canonical) => {
            // The same identifier in a field says what it is.
            let class = if is_vague(class) { known.class_of(canonical).unwrap_or(class) } else { class };
            Some((What::Class(class), Some((class, canonical))))
        }
    }
}

/// Whether the form of a class says less of what it is than the class of a field does: any id can be a UUID, and
/// an object can have the name of a host.
pub(super) const fn is_vague(class: IdentifierClass) -> bool {
    matches!(class, IdentifierClass::BiosUuid | IdentifierClass::HostName | IdentifierClass::UserId)
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.out.zeroize();
    }
}
