//! Finds an erased identifier in stored values when it is not known any more, by its stable pseudonyms alone: every
//! value that was kept, and every word of text, is hashed as ingest would. It takes an HMAC for each, and is needed
//! only where an older copy of the data was put back.

use std::sync::Arc;

use super::canonical::{Canonical, Scratch, canonical, canonical_bytes, canonical_int};
use super::stored::StoredValue;
use super::strike_find::Told;
use super::suppress::any_words;
use super::{CustomerSecret, ProgramKeys};
use crate::model::{IdentifierClass, ProgramName};
use crate::policy::Epoch;

/// Pseudonyms to look for, and the secret that they are derived from.
pub(super) struct Marks {
    secret: Arc<CustomerSecret>,
    tokens: Vec<(IdentifierClass, [u8; 16])>,
}

impl Marks {
    pub(super) fn new(secret: &Arc<CustomerSecret>, tokens: &[(IdentifierClass, [u8; 16])]) -> Self {
        Self { secret: Arc::clone(secret), tokens: tokens.to_vec() }
    }

    /// The same for batches of one program.
    pub(super) fn of(&self, program: &ProgramName) -> ProgramMarks<'_> {
        // The stable pseudonym is of no epoch.
        ProgramMarks { keys: self.secret.program(program, 0), tokens: &self.tokens }
    }
}

/// Pseudonyms to look for in batches of one program.
pub(super) struct ProgramMarks<'m> {
    keys: Arc<ProgramKeys>,
    tokens: &'m [(IdentifierClass, [u8; 16])],
}

impl ProgramMarks<'_> {
    fn classes(&self) -> impl Iterator<Item = IdentifierClass> {
        // There are as many as programs, nearly always of one class.
        let mut last = None;
        self.tokens.iter().map(|(class, _)| *class).filter(move |class| last.replace(*class) != Some(*class))
    }

    fn is(&self, class: IdentifierClass, form: Canonical<'_>) -> bool {
        let Canonical::Identifier(form) = form else { return false };
        let token = self.keys.token(class, Epoch::Stable, form);
        token.is_some_and(|token| self.tokens.contains(&(class, token)))
    }

    /// Whether a value without parts is what is looked for, or holds it.
    pub(super) fn are_in(&self, value: &StoredValue<'_>, told: Told, scratch: &mut Scratch) -> bool {
        let class = told.class.filter(|class| told.kept && self.classes().any(|wanted| wanted == *class));
        match value {
            StoredValue::Text(text) => {
                class.is_some_and(|class| self.is(class, canonical(class, text, scratch)))
                    || (told.is_free()
                        && any_words(text, |words| {
                            self.classes().any(|class| self.is(class, canonical(class, words, scratch)))
                        }))
            }
            StoredValue::Bytes(bytes) => {
                class.is_some_and(|class| self.is(class, canonical_bytes(class, bytes, scratch)))
            }
            StoredValue::Int(number) => {
                class.is_some_and(|class| self.is(class, canonical_int(class, *number, scratch)))
            }
            StoredValue::Token(_)
            | StoredValue::Empty
            | StoredValue::Double(_)
            | StoredValue::Bool(_)
            | StoredValue::Record(_)
            | StoredValue::List(_)
            | StoredValue::Map(_) => false,
        }
    }
}
