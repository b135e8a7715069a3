//! What a plan lets be seen of a value, and which of two lets more be seen. For comparing policies,
//! and what a customer sees of one before and after a choice.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::dictionary::{DeclaredForm, Event, Field};
use super::planner::{self, Judgement, Terms};
use super::treatment::{Epoch, Generalise, Treatment};
use super::{Kind, field_type};
use crate::model::{IdentifierClass, Purpose, Purposes};

/// What is stored of a value, and for what.
#[derive(Debug, Clone)]
pub(super) struct Sight<'p> {
    /// `None` if nothing is.
    seen: Option<Seen<'p>>,
    purposes: Purposes,
    /// Why nothing is stored, in a few words.
    why: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen<'p> {
    class: IdentifierClass,
    kind: Kind,
    form: Form<'p>,
}

/// The form in which a value is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form<'p> {
    /// That there is one: of an event.
    Presence,
    Token(Epoch),
    Coarse(Generalise),
    Listed(BTreeSet<&'p str>),
    Redacted {
        bytes: (u32, u32),
        words: BTreeSet<&'p str>,
        found: Vec<Option<Epoch>>,
    },
    Version,
    /// As it came, up to so many bytes.
    Whole(u32),
}

impl<'p> Sight<'p> {
    /// What is seen of an event itself: that it happened, and when.
    pub(super) fn of_event(terms: &Terms<'p>, event: &Event) -> Self {
        if terms.withhold_event(event).is_some() {
            return Self::hidden("no field of it may be stored");
        }
        Self {
            seen: Some(Seen {
                class: IdentifierClass::NotIdentifying,
                kind: Kind::Bool,
                form: Form::Presence,
            }),
            purposes: terms.event_purposes(event),
            why: "",
        }
    }

    /// What is seen of the id of the customer or the instance.
    pub(super) fn of_id(terms: &Terms<'p>, class: IdentifierClass) -> Self {
        let form = match terms.treatment(class, false) {
            Treatment::Pseudonym(epoch) => Form::Token(epoch),
            Treatment::Keep => Form::Whole(u32::MAX),
            Treatment::Generalise(to) => Form::Coarse(to),
            Treatment::Vocabulary => Form::Listed(BTreeSet::new()),
            Treatment::Drop | Treatment::Redact { .. } => return Self::hidden("drop"),
        };
        let seen = Some(Seen { class, kind: Kind::Text, form });
        Self { seen, purposes: terms.level.purposes.without(terms.purposes_off), why: "" }
    }

    /// What is seen of every field of an event, by its path.
    pub(super) fn of_fields(terms: &Terms<'p>, event: &'p Event) -> BTreeMap<&'p str, (&'p Field, Self)> {
        let fields = terms.product.fields(event);
        let mut sights: BTreeMap<&str, (&Field, Self)> = fields
            .map(|(at, field)| (field.path.as_str(), (field, Self::of_field(terms, at, field))))
            .collect();
        let is_hidden = |sight: &Self| sight.seen.is_none();
        let mut hidden: BTreeSet<&str> =
            sights.iter().filter(|(_, (_, sight))| is_hidden(sight)).map(|(path, _)| *path).collect();
        // A pair of a map is stored whole or not at all; what hides one may hide the pair that it is in.
        loop {
            let without_its_other_half = |path: &str| {
                let mut keys = path.match_indices("{}").filter_map(|(at, _)| path.get(..at));
                let key_is_hidden = keys.any(|map| hidden.contains(format!("{map}{{key}}").as_str()));
                // A value that has parts is stored if one of them is.
                let value_is_hidden = path.strip_suffix("{key}").is_some_and(|map| {
                    let value = format!("{map}{{}}");
                    sights.keys().filter(|part| part.starts_with(&value)).all(|part| hidden.contains(part))
                });
                key_is_hidden || value_is_hidden
            };
            let more = sights.keys().filter(|path| !hidden.contains(*path) && without_its_other_half(path));
            let more: Vec<&str> = more.copied().collect();
            if more.is_empty() {
                break;
            }
            hidden.extend(more);
        }
        for (path, (_, sight)) in &mut sights {
            if !is_hidden(sight) && hidden.contains(path) {
                *sight = Self::hidden("the other half of its pair is not stored");
            }
        }
        sights
    }

    fn of_field(terms: &Terms<'p>, number: u32, field: &'p Field) -> Self {
        let treatment = match terms.judge(number, field) {
            Judgement::Forbidden => return Self::hidden("never stored"),
            Judgement::Category => return Self::hidden("drop: category"),
            Judgement::PurposeOfLevel => return Self::hidden("drop: purpose"),
            Judgement::PurposeOff => return Self::hidden("drop: purpose switched off"),
            Judgement::PurposeOfPair => {
                return Self::hidden("drop: no purpose in common with the other half of its pair");
            }
            Judgement::TooNew => return Self::hidden("withheld until accepted"),
            Judgement::Treat(Treatment::Drop) => return Self::hidden("drop"),
            Judgement::Treat(treatment) => treatment,
        };
        let words = || field.words.iter().map(String::as_str).collect();
        let form = match treatment {
            Treatment::Drop => return Self::hidden("drop"),
            Treatment::Pseudonym(epoch) => Form::Token(epoch),
            Treatment::Generalise(to) => Form::Coarse(to),
            Treatment::Vocabulary => Form::Listed(words()),
            Treatment::Redact { max_bytes } => Form::Redacted {
                bytes: (max_bytes.unwrap_or(u32::MAX), field.max_bytes),
                words: words(),
                found: planner::found(terms).to_vec(),
            },
            Treatment::Keep => match field.form {
                DeclaredForm::Any => Form::Whole(field.max_bytes),
                DeclaredForm::Version => Form::Version,
                DeclaredForm::Vocabulary => Form::Listed(words()),
                DeclaredForm::Bucket(width) => Form::Coarse(Generalise::Bucket(width)),
            },
        };
        let seen = Some(Seen { class: field.class, kind: field.kind, form });
        Self { seen, purposes: terms.purposes(number, field), why: "" }
    }

    /// What is seen of what is not there.
    pub(super) const fn absent() -> Self {
        Self::hidden("not in the dictionary")
    }

    const fn hidden(why: &'static str) -> Self {
        Self { seen: None, purposes: Purposes::NONE, why }
    }

    /// What is seen, in words; `beside` is what it is compared with, and only what differs is told of the
    /// class and the purposes.
    pub(super) fn told(&self, beside: &Self) -> String {
        let Some(seen) = &self.seen else { return self.why.to_owned() };
        let mut told = seen.form.to_string();
        if let Some(other) = &beside.seen {
            if other.class != seen.class {
                told = format!("{told} of {}", seen.class);
            }
            if other.kind != seen.kind {
                told = format!("{told} ({})", field_type::type_word(seen.kind));
            }
            if other.form != seen.form
                && let Some(detail) = seen.form.detail().filter(|_| other.form.to_string() == told)
            {
                told = format!("{told} ({detail})");
            }
            if self.purposes != beside.purposes {
                let words: Vec<&str> = self.purposes.iter().map(Purpose::as_str).collect();
                told = format!("{told}, for {}", words.join(" and "));
            }
        }
        told
    }
}

impl PartialEq for Sight<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

/// Less is what lets less be seen, by fewer. What cannot be compared has no order.
impl PartialOrd for Sight<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (&self.seen, &other.seen) {
            (None, None) => Some(Ordering::Equal),
            (None, Some(_)) => Some(Ordering::Less),
            (Some(_), None) => Some(Ordering::Greater),
            (Some(a), Some(b)) => both(a.partial_cmp(b), subset(self.purposes, other.purposes)),
        }
    }
}

impl PartialOrd for Seen<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        // Tokens of two classes have two keys: neither can be computed from the other.
        let tokens = matches!((&self.form, &other.form), (Form::Token(_), Form::Token(_)));
        if self.kind != other.kind || (tokens && self.class != other.class) {
            return None;
        }
        self.form.partial_cmp(&other.form)
    }
}

impl PartialOrd for Form<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Token(a), Self::Token(b)) => Some(a.cmp(b)),
            (Self::Coarse(a), Self::Coarse(b)) => a.partial_cmp(b),
            (Self::Listed(a), Self::Listed(b)) => contained(a, b),
            (
                Self::Redacted { bytes: a, words: a_words, found: a_found },
                Self::Redacted { bytes: b, words: b_words, found: b_found },
            ) => {
                let bytes = both(Some(a.0.cmp(&b.0)), Some(a.1.cmp(&b.1)));
                let mut pairs = a_found.iter().zip(b_found);
                let found = pairs.try_fold(Ordering::Equal, |all, (a, b)| both(Some(all), Some(a.cmp(b))));
                both(both(bytes, contained(a_words, b_words)), found)
            }
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(b)),
            (Self::Presence, Self::Presence) | (Self::Version, Self::Version) => Some(Ordering::Equal),
            (Self::Listed(_), Self::Redacted { .. }) | (_, Self::Whole(_)) => Some(Ordering::Less),
            (Self::Redacted { .. }, Self::Listed(_)) | (Self::Whole(_), _) => Some(Ordering::Greater),
            (
                Self::Presence
                | Self::Token(_)
                | Self::Coarse(_)
                | Self::Listed(_)
                | Self::Redacted { .. }
                | Self::Version,
                _,
            ) => None,
        }
    }
}

/// The order of two things of which each part has one.
fn both(a: Option<Ordering>, b: Option<Ordering>) -> Option<Ordering> {
    match (a?, b?) {
        (Ordering::Equal, order) | (order, Ordering::Equal) => Some(order),
        (a, b) => (a == b).then_some(a),
    }
}

fn subset(a: Purposes, b: Purposes) -> Option<Ordering> {
    match (a.without(b).is_empty(), b.without(a).is_empty()) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

fn contained(a: &BTreeSet<&str>, b: &BTreeSet<&str>) -> Option<Ordering> {
    match (a.is_subset(b), b.is_subset(a)) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

impl Form<'_> {
    /// What tells two of the same name apart.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Listed(words) => Some(format!("{} words: {}", words.len(), listed(words))),
            Self::Redacted { bytes, words, found } => {
                let tokens = found.iter().flatten().count();
                Some(format!(
                    "texts up to {} bytes, {} words kept, {tokens} classes as pseudonyms",
                    bytes.1,
                    words.len()
                ))
            }
            Self::Whole(bytes) => Some(format!("up to {bytes} bytes")),
            Self::Presence | Self::Token(_) | Self::Coarse(_) | Self::Version => None,
        }
    }
}

/// The first words of a list.
fn listed(words: &BTreeSet<&str>) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<&str> = words.iter().take(SHOWN).copied().collect();
    if words.len() > SHOWN {
        shown.push("…");
    }
    shown.join(", ")
}

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence => f.write_str("stored"),
            Self::Token(epoch) => Treatment::Pseudonym(*epoch).fmt(f),
            Self::Coarse(to) => Treatment::Generalise(*to).fmt(f),
            Self::Listed(_) => Treatment::Vocabulary.fmt(f),
            Self::Redacted { bytes: (most, _), .. } => {
                Treatment::Redact { max_bytes: Some(*most).filter(|most| *most != u32::MAX) }.fmt(f)
            }
            Self::Version => f.write_str("keep, as a version"),
            Self::Whole(_) => Treatment::Keep.fmt(f),
        }
    }
}
