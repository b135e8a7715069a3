//! Tells whether two plans do the same, so that what was stored under one needs no second look under the other.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{Action, EventPlan, FieldPlan, Form, Generalise, Kind, NameTable, Plan, Redaction, Shape};
use crate::model::{LevelName, ProgramName};

/// The digest of everything in a plan that the bytes of a stored batch depend on, but the version of the policy that
/// it was compiled from. Why something is not stored is not part of it.
pub(super) fn of(plan: &Plan) -> [u8; 8] {
    let mut print = Print(Sha256::new());
    print.text(plan.product.as_str());
    print.number(plan.dictionary_version.into());
    print.text(plan.program.as_str());
    print.text(plan.level.as_str());
    print.text(plan.region.as_ref().map_or("", |region| region.as_str()));
    print.action(&plan.customer);
    print.action(&plan.instance);
    print.length(plan.events.len());
    plan.events.iter().for_each(|event| print.event(event));
    print.length(plan.fields.len());
    plan.fields.iter().for_each(|field| print.field(field));
    print.0.finalize().first_chunk().copied().unwrap_or_default()
}

/// A digest of the levels that the collector caps all customers at; 0 if it caps none. Together with the version of a
/// policy it tells whether what a batch is allowed can have changed.
#[must_use]
pub fn caps_print(caps: &BTreeMap<ProgramName, LevelName>) -> u64 {
    if caps.is_empty() {
        return 0;
    }
    let mut print = Print(Sha256::new());
    for (program, level) in caps {
        print.text(program.as_str());
        print.text(level.as_str());
    }
    u64::from_be_bytes(print.0.finalize().first_chunk().copied().unwrap_or_default())
}

/// A digest that grows. Every part has a length or a tag before it, so that no two plans give the same bytes.
struct Print(Sha256);

impl Print {
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(u64::try_from(length).unwrap_or(u64::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn names(&mut self, names: &NameTable) {
        let names = names.sorted();
        self.length(names.len());
        for (name, number) in names {
            self.bytes(name);
            self.number(number.into());
        }
    }

    /// The words of a vocabulary, whatever their order in the file.
    fn words(&mut self, words: &NameTable) {
        let words = words.sorted();
        self.length(words.len());
        for (word, _) in words {
            self.bytes(word);
        }
    }

    fn event(&mut self, event: &EventPlan) {
        match event {
            EventPlan::Withhold(_) => self.tag(0),
            // Whether a field is redacted is said of the field.
            EventPlan::Store { name, fields, purposes, redacts: _ } => {
                self.tag(1);
                self.text(name.as_str());
                self.names(fields);
                self.tag(purposes.bits());
            }
        }
    }

    fn field(&mut self, field: &FieldPlan) {
        self.text(field.spec.path.as_str());
        self.text(field.spec.class.as_str());
        self.text(field.spec.category.as_str());
        self.tag(field.spec.purposes.bits());
        self.number(field.max_bytes.into());
        match &field.shape {
            Shape::Scalar { kind, action } => {
                self.tag(match kind {
                    Kind::Text => 0,
                    Kind::Int => 1,
                    Kind::Double => 2,
                    Kind::Bool => 3,
                    Kind::Bytes => 4,
                });
                self.action(action);
            }
            Shape::Record(names) => {
                self.tag(5);
                self.names(names);
            }
            Shape::List { item } => {
                self.tag(6);
                self.number((*item).into());
            }
            Shape::Map { key, value } => {
                self.tag(7);
                self.number((*key).into());
                self.number((*value).into());
            }
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Withhold(_) => self.tag(0),
            Action::Keep(form) => {
                self.tag(1);
                self.form(form);
            }
            Action::Pseudonym { class, epoch } => {
                self.tag(2);
                self.text(class.as_str());
                self.text(epoch.as_str());
            }
            Action::Generalise(to) => {
                self.tag(3);
                self.text(to.as_str());
                if let Generalise::Bucket(width) = to {
                    self.number(*width);
                }
            }
            Action::Vocabulary(words) => {
                self.tag(4);
                self.words(words);
            }
            Action::Redact(redaction) => {
                self.tag(5);
                self.redaction(redaction);
            }
        }
    }

    fn form(&mut self, form: &Form) {
        match form {
            Form::Any { max_bytes } => {
                self.tag(0);
                self.number((*max_bytes).into());
            }
            Form::Version => self.tag(1),
            Form::Vocabulary(words) => {
                self.tag(2);
                self.words(words);
            }
            Form::Bucket(width) => {
                self.tag(3);
                self.number(*width);
            }
        }
    }

    fn redaction(&mut self, redaction: &Redaction) {
        self.number(redaction.max_bytes.into());
        self.number(redaction.cut.map_or(u64::MAX, u64::from));
        self.tag(u8::from(redaction.vocabulary.is_some()));
        if let Some(words) = &redaction.vocabulary {
            self.words(words);
        }
        self.length(redaction.found.len());
        for found in redaction.found.iter() {
            self.text(found.map_or("", |epoch| epoch.as_str()));
        }
    }
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;
