//! Finds identifiers and secrets in text: in one pass from left to right, in linear time, without
//! allocating.
//!
//! The text is read word by word (letters, digits, characters beyond ASCII). What a word looks like and what
//! stands around it says which detectors are asked; each looks at a bounded stretch around the word, or
//! finds something, which is then passed over. Of several findings at one place **the longest wins, and of
//! equally long ones the most sensitive** ([`What`] is in that order). No finding overlaps another.
//!
//! What is found has the form of its class, and a check where the class has one: addresses are parsed,
//! cards pass Luhn, IBANs modulo 97, national numbers their own. What has no form of its own (a password, an
//! account, the name of a machine without a domain) is found by what announces it.
//!
//! A text with escapes in it (`%40`, `&#64;`, `\u0040`) is read as it stands and with the escapes decoded, and
//! [`findings`] joins what is found; a word in Base64 or hexadecimal digits is decoded where it stands ([`encoded`]).
//! Where characters beyond ASCII stand beside others, it is read once more with words ending at them ([`border`]).

mod address;
mod announce;
mod border;
mod card;
mod check_digit;
mod control;
mod digits;
mod domain;
mod email;
mod encoded;
mod escape;
mod finding;
mod findings;
mod flat;
mod fold;
mod host;
mod iban;
mod join;
mod key_value;
mod look;
mod mac;
mod national;
mod near;
mod path;
mod phone;
mod place;
mod plain;
mod port;
mod scan;
mod secret;
mod sentence;
mod shape;
mod url;
mod uuid;
mod value_end;
mod vendor;
mod view;
#[cfg(any(test, fuzzing))]
pub(super) mod work;

#[cfg(test)]
mod border_tests;
#[cfg(test)]
pub(super) use border_tests::ONE_OF_EACH;
#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod detect_tests;
#[cfg(test)]
mod disguise_tests;
#[cfg(test)]
mod encoded_tests;
#[cfg(test)]
mod hostile_tests;

pub(super) use border::is_alphabet;
pub(super) use control::ends as ends_control;
pub(super) use escape::decoded;
pub(super) use finding::{Finding, What};
pub(super) use findings::{Findings, Hit};
pub(super) use fold::{Folded, Reading, fold};

/// What else is looked for at the beginning of every word, and at every character beyond ASCII and behind it: the known
/// identifiers of a batch.
pub(super) trait Lookup {
    /// What is remembered of one reading of a text as far as it was scanned.
    type Memory: Default;

    /// Where the longest known identifier ends that begins at `start`, or began before and goes on there, and its number.
    fn longest(&self, memory: &mut Self::Memory, text: &[u8], start: usize) -> Option<(usize, usize)>;

    /// Whether there may be one at `start`: a first look, by a few bytes.
    fn may_begin(&self, memory: &mut Self::Memory, text: &[u8], start: usize) -> bool;

    /// Looks at the places before `to` that nobody asked for: those in what is passed over as a whole.
    fn pass(&self, memory: &mut Self::Memory, text: &[u8], to: usize);
}

/// Knows nothing.
#[derive(Clone, Copy)]
pub(super) struct Nothing;

impl Lookup for Nothing {
    type Memory = ();

    #[inline]
    fn longest(&self, (): &mut (), _: &[u8], _: usize) -> Option<(usize, usize)> {
        None
    }

    #[inline]
    fn may_begin(&self, (): &mut (), _: &[u8], _: usize) -> bool {
        false
    }

    #[inline]
    fn pass(&self, (): &mut (), _: &[u8], _: usize) {}
}
