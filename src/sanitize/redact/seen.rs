//! What a redaction found: counts by kind, for whoever asks why a text looks as it does.

use std::fmt::Write as _;

use crate::model::IdentifierClass;
use crate::sanitize::detect::What;

const KINDS: usize = IdentifierClass::ALL.len() + What::CLASSLESS.len();

/// Counts of what was replaced in one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sanitize) struct Seen {
    /// For each kind, how many became a token and how many a marker.
    counts: [(u32, u32); KINDS],
    /// Whether the dictionary lists the text, so that it stays as it is.
    pub(in crate::sanitize) is_listed: bool,
    /// Whether the text was longer than the level takes.
    pub(in crate::sanitize) is_cut: bool,
    /// Whether it was not looked through, because the request has more identifiers than are looked for.
    pub(in crate::sanitize) is_over: bool,
}

/// What detectors found in the texts of one request, by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hits([u32; KINDS]);

impl Default for Hits {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Hits {
    /// The words for the classes, in the order of [`Self::iter`]: a closed list.
    pub fn classes() -> impl Iterator<Item = &'static str> {
        let classes = IdentifierClass::ALL.iter().map(|class| What::Class(*class));
        classes.chain(What::CLASSLESS).map(What::word)
    }

    /// How often each class was found.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u32)> {
        Self::classes().zip(self.0)
    }

    pub(super) fn count(&mut self, what: What) {
        if let Some(count) = self.0.get_mut(Seen::index(what)) {
            *count = count.saturating_add(1);
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { counts: [(0, 0); KINDS], is_listed: false, is_cut: false, is_over: false }
    }
}

impl Seen {
    fn index(what: What) -> usize {
        match what {
            What::Class(class) => class.index(),
            What::Known(_) => KINDS,
            What::NationalId | What::Iban | What::PaymentCard | What::Encoded | What::Token => {
                let at = What::CLASSLESS.iter().position(|known| *known == what);
                IdentifierClass::ALL.len() + at.unwrap_or(KINDS)
            }
        }
    }

    pub(super) fn count(&mut self, what: What, is_token: bool) {
        if let Some((tokens, markers)) = self.counts.get_mut(Self::index(what)) {
            let count = if is_token { tokens } else { markers };
            *count = count.saturating_add(1);
        }
    }

    /// What was found, in words, to stand after the rule that asked for it.
    pub(in crate::sanitize) fn told(&self) -> String {
        if self.is_listed {
            return "; the dictionary lists this value, so it is kept".to_owned();
        }
        if self.is_over {
            return "; the request has more identifiers than text is looked through for, so nothing of its text is \
                    kept: send it in smaller parts"
                .to_owned();
        }
        let classes = IdentifierClass::ALL.iter().map(|class| What::Class(*class));
        let mut told = String::new();
        let list = |tokens: bool| {
            let mut list = String::new();
            for what in classes.clone().chain(What::CLASSLESS) {
                let (token, marker) = self.counts.get(Self::index(what)).copied().unwrap_or_default();
                let count = if tokens { token } else { marker };
                if count > 0 {
                    let comma = if list.is_empty() { "" } else { ", " };
                    // Writing to a `String` has no error to give.
                    _ = write!(list, "{comma}{count} {}", what.word());
                }
            }
            list
        };
        let (tokens, markers) = (list(true), list(false));
        if tokens.is_empty() && markers.is_empty() {
            told.push_str("; nothing was found in it");
        }
        if !tokens.is_empty() {
            _ = write!(told, "; replaced by pseudonyms: {tokens}");
        }
        if !markers.is_empty() {
            _ = write!(told, "; replaced by markers: {markers}");
        }
        if self.is_cut {
            told.push_str("; what was too long was cut");
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::{Hits, Seen};
    use crate::model::IdentifierClass;
    use crate::sanitize::detect::What;

    #[test]
    fn hits_are_counted_under_their_own_word() {
        let mut hits = Hits::default();
        for what in [What::Class(IdentifierClass::Email), What::Iban, What::Iban] {
            hits.count(what);
        }
        let found: Vec<_> = hits.iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(found, [("email", 1), ("iban", 2)]);
    }

    #[test]
    fn what_was_found_is_told_by_kind() {
        let mut seen = Seen::default();
        assert_eq!(seen.told(), "; nothing was found in it");
        seen.count(What::Class(IdentifierClass::HostName), true);
        seen.count(What::Class(IdentifierClass::HostName), true);
        seen.count(What::Class(IdentifierClass::Email), false);
        seen.count(What::PaymentCard, false);
        seen.is_cut = true;
        let listed = Seen { is_listed: true, ..Seen::default() };
        let over = Seen { is_over: true, ..Seen::default() };
        assert!(over.told().contains("more identifiers than text is looked through for"));
        assert_eq!(listed.told(), "; the dictionary lists this value, so it is kept");
        assert_eq!(
            seen.told(),
            "; replaced by pseudonyms: 2 host_name; replaced by markers: 1 email, 1 payment_card; what was too long was cut"
        );
    }
}
