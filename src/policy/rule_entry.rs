//! The treatments of a program file: `host_name = "pseudonym"`, or
//! `host_name = { treatment = "pseudonym", epoch = "rotating" }`.

use std::collections::BTreeMap;

use super::document::{Entry, Section, parse_word};
use super::nearest::remedy;
use super::problem::{Place, Problems};
use super::treatment::{Epoch, Generalise, Rule, Treatment};
use crate::model::{IdentifierClass, limits};

/// A rule and where it stands.
#[derive(Debug, Clone)]
pub(super) struct PlacedRule {
    pub(super) rule: Rule,
    pub(super) place: Place,
}

/// The rules of one level or overlay.
pub(super) type Rules = BTreeMap<IdentifierClass, PlacedRule>;

/// Reads a table of rules. Classes that no file may speak of are refused here.
pub(super) fn read(section: &Section<'_, '_>, problems: &mut Problems) -> Rules {
    let mut rules = Rules::new();
    for entry in section.entries() {
        let Some(class) = parse_word::<IdentifierClass>(entry.name, &entry.place, problems) else { continue };
        if class.is_forbidden() {
            problems.error(
                &entry.place,
                format!("`{class}` is dropped at every level, and no file can say otherwise"),
                "remove this line",
            );
        } else if class == IdentifierClass::NotIdentifying {
            problems.error(
                &entry.place,
                "what identifies nobody has no treatment: it is kept in the form that the dictionary declares",
                "remove this line, and coarsen single fields with `bucket` in the dictionary",
            );
        } else if let Some(rule) = rule(&entry, class, problems) {
            rules.insert(class, PlacedRule { rule, place: entry.place });
        }
    }
    rules
}

/// Every word for a treatment.
const TREATMENTS: [&str; 7] =
    ["drop", "pseudonym", "pseudonym_if_asked", "generalise", "vocabulary", "redact", "keep"];

/// What the table form of a rule says besides its treatment.
#[derive(Debug, Default)]
struct Details<'d, 't> {
    epoch: Option<Entry<'d, 't>>,
    to: Option<Entry<'d, 't>>,
    max_bytes: Option<Entry<'d, 't>>,
}

fn rule(entry: &Entry<'_, '_>, class: IdentifierClass, problems: &mut Problems) -> Option<Rule> {
    if let Some(word) = entry.as_text() {
        return from_word(word, &entry.place, class, &Details::default(), problems);
    }
    let section = entry.section(problems)?;
    let treatment = section.require("treatment", problems)?;
    let word = treatment.text(problems)?;
    section.only(keys(word), problems);
    let details =
        Details { epoch: section.get("epoch"), to: section.get("to"), max_bytes: section.get("max_bytes") };
    from_word(word, &treatment.place, class, &details, problems)
}

/// The keys that a treatment understands.
fn keys(treatment: &str) -> &'static [&'static str] {
    match treatment {
        "pseudonym" | "pseudonym_if_asked" => &["treatment", "epoch"],
        "generalise" => &["treatment", "to"],
        "redact" => &["treatment", "max_bytes"],
        "drop" | "vocabulary" | "keep" => &["treatment"],
        // The word itself is the mistake, and is reported.
        _ => &["treatment", "epoch", "to", "max_bytes"],
    }
}

fn from_word(
    word: &str,
    place: &Place,
    class: IdentifierClass,
    details: &Details<'_, '_>,
    problems: &mut Problems,
) -> Option<Rule> {
    match word {
        "drop" => Some(Rule::Always(Treatment::Drop)),
        "keep" => Some(Rule::Always(Treatment::Keep)),
        "vocabulary" => Some(Rule::Always(Treatment::Vocabulary)),
        "pseudonym" => epoch(details, problems).map(|epoch| Rule::Always(Treatment::Pseudonym(epoch))),
        "pseudonym_if_asked" => epoch(details, problems).map(Rule::PseudonymIfAsked),
        "generalise" => {
            generalise(place, class, details, problems).map(|to| Rule::Always(Treatment::Generalise(to)))
        }
        "redact" => {
            let max_bytes = match &details.max_bytes {
                None => None,
                Some(entry) => {
                    let most = u32::try_from(limits::VALUE_BYTES).unwrap_or(u32::MAX - 1);
                    Some(entry.number32(1, most, problems)?)
                }
            };
            Some(Rule::Always(Treatment::Redact { max_bytes }))
        }
        unknown => {
            problems.error(place, format!("unknown treatment `{unknown}`"), remedy(unknown, TREATMENTS));
            None
        }
    }
}

fn epoch(details: &Details<'_, '_>, problems: &mut Problems) -> Option<Epoch> {
    let Some(entry) = &details.epoch else { return Some(Epoch::Stable) };
    let word = entry.text(problems)?;
    let epoch = Epoch::ALL.iter().copied().find(|epoch| epoch.as_str() == word);
    if epoch.is_none() {
        let known = Epoch::ALL.iter().map(|epoch| epoch.as_str());
        problems.error(&entry.place, format!("unknown epoch `{word}`"), remedy(word, known));
    }
    epoch
}

/// What a level can coarsen a class to.
const GENERALISATIONS: [Generalise; 6] = [
    Generalise::IpNetwork,
    Generalise::MacVendor,
    Generalise::EmailDomain,
    Generalise::UrlOrigin,
    Generalise::LocationCountry,
    Generalise::LocationRegion,
];

fn generalise(
    place: &Place,
    class: IdentifierClass,
    details: &Details<'_, '_>,
    problems: &mut Problems,
) -> Option<Generalise> {
    let fitting = || GENERALISATIONS.iter().filter(|to| to.class() == Some(class)).map(|to| to.as_str());
    let all = || GENERALISATIONS.iter().map(|to| to.as_str());
    let advice = || match fitting().next() {
        Some(_) => format!("use `to` with one of {}", fitting().collect::<Vec<_>>().join(", ")),
        None => format!("`{class}` cannot be coarsened: use another treatment"),
    };
    let Some(entry) = &details.to else {
        problems.error(place, "`generalise` does not say to what", advice());
        return None;
    };
    let word = entry.text(problems)?;
    match GENERALISATIONS.iter().copied().find(|to| to.as_str() == word) {
        Some(to) if to.class() == Some(class) => Some(to),
        Some(_) => {
            problems.error(&entry.place, format!("`{word}` cannot be made of `{class}`"), advice());
            None
        }
        None if word == "bucket" || word == "time_hour" => {
            let what = format!("`{word}` is made of numbers, and `{class}` is not one");
            problems.error(&entry.place, what, "coarsen single fields with `bucket` in the dictionary");
            None
        }
        None => {
            problems.error(&entry.place, format!("unknown generalisation `{word}`"), remedy(word, all()));
            None
        }
    }
}
