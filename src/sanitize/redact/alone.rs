//! One identifier, looked for in text exactly as redaction looks for what a request knows: so that whatever redaction
//! would replace because a field has it, an erasure of it finds.

use super::known::Known;
use crate::model::IdentifierClass;
use crate::sanitize::canonical;
use crate::sanitize::detect::{Folded, What};

/// One identifier, ready to be looked for.
#[derive(Default)]
pub(in crate::sanitize) struct Alone {
    known: Known,
}

impl Alone {
    /// An identifier, by the ways to write it that are given.
    pub(in crate::sanitize) fn new(class: IdentifierClass, written: &[&[u8]]) -> Self {
        let (mut known, mut scratch) = (Known::default(), canonical::Scratch::default());
        for one in written {
            known.add(class, one, &mut scratch);
        }
        known.finish();
        Self { known }
    }

    /// Whether it begins at a place of what is read of a text: at a word, behind the letter of a line end that is written
    /// as `\n`, or beside what is beyond ASCII.
    pub(in crate::sanitize) fn is_at(&self, reading: &[u8], at: usize) -> bool {
        let before = |back: usize| at.checked_sub(back).and_then(|at| reading.get(at));
        let begins = match before(1) {
            None => true,
            Some(byte @ (b'n' | b'r' | b't')) if before(2) == Some(&b'\\') => byte.is_ascii(),
            Some(byte) => {
                !byte.is_ascii_alphanumeric() || reading.get(at).is_some_and(|byte| !byte.is_ascii())
            }
        };
        begins && self.known.longest(reading, at).is_some()
    }

    /// Whether redaction would replace it in a text, or something that `is` says is it, by its class and its canonical form.
    pub(in crate::sanitize) fn is_found_in(
        &self,
        text: &str,
        folded: &mut Folded,
        (scratch, is): (&mut canonical::Scratch, impl Fn(IdentifierClass, &[u8]) -> bool),
    ) -> bool {
        folded.findings(text, &self.known).any(|hit| match hit.what {
            What::Known(_) => true,
            What::Class(class) => match canonical::canonical(class, hit.text, scratch) {
                canonical::Canonical::Identifier(form) => is(class, form),
                canonical::Canonical::Known(_) | canonical::Canonical::Malformed => false,
            },
            What::NationalId | What::Iban | What::PaymentCard | What::Encoded | What::Token => false,
        })
    }
}
