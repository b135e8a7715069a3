//! A notice: what a drainer is to delete of what it has received before, because it was erased.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::model::{ErasureId, IdentifierClass, ProgramName, Purpose, UnixMillis};
use crate::sanitize::Named;

/// Texts in one list of a notice.
const TEXTS: usize = 1_000;
/// Bytes of one text.
const TEXT_BYTES: usize = 256;

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Everything of the customer.
    Customer,
    /// Everything of one installation.
    Instance {
        /// The text forms of the tokens that may stand for it; and where its id was kept, that: as the erasure was asked
        /// for, and in its canonical form.
        tokens: Vec<String>,
    },
    /// Every event that holds an identifier.
    Identifier {
        /// Its class.
        class: IdentifierClass,
        /// The text forms of the tokens that may stand for it; and where the value was kept, that: as the erasure was
        /// asked for, and in its canonical form.
        tokens: Vec<String>,
    },
    /// Every event of a time.
    Times {
        /// The first time.
        from: UnixMillis,
        /// The end (excluded).
        until: UnixMillis,
    },
    /// Everything that the subscription has received until [`Notice::requested`], of every customer: there
    /// were more erasures than notices are kept.
    Everything,
}

impl Scope {
    fn tokens(&self) -> &[String] {
        match self {
            Self::Instance { tokens } | Self::Identifier { tokens, .. } => tokens,
            Self::Customer | Self::Times { .. } | Self::Everything => &[],
        }
    }
}

/// What a drainer is to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// The erasure; of several that were merged, the newest.
    pub erasure: ErasureId,
    /// What was erased.
    pub scope: Scope,
    /// How the customer was named in what was delivered: the text forms of its tokens, one per program and
    /// epoch, and its id where that was kept.
    pub customers: Vec<String>,
    /// When the erasure was asked for.
    pub requested: UnixMillis,
    /// Of which programs each of its tokens is, until it is addressed: then it has the texts of what the subscription
    /// has received, and this is empty, and so are the next three.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, BTreeSet<ProgramName>>,
    /// Of which programs each of the texts that are the value itself may have left, and for which purposes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, BTreeMap<ProgramName, BTreeSet<Purpose>>>,
    /// What each text of `customers` is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<CustomerName>>,
    /// The programs that the customer ever chose, and for which purposes the policy lets data leave at the levels that
    /// it chose; any, at a level that the policy does not have any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaves: BTreeMap<ProgramName, BTreeSet<Purpose>>,
}

/// How a customer may be named in data of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerName {
    /// The program.
    pub program: ProgramName,
    /// The form.
    pub named: Named,
    /// Whether some level that the customer chose names it so under today's policy, or the policy does not say how. It
    /// decides only where it is not known in which form the customer was named in what was delivered.
    pub is_likely: bool,
}

impl Notice {
    /// What of it is told to a subscription of this purpose that may have received data of the programs that `may`
    /// picks, in which the customer is named as `named` picks: no text of another, or it could join what it received with
    /// what it must not have.
    #[must_use]
    pub(super) fn addressed(
        &self,
        purpose: Purpose,
        may: impl Fn(&ProgramName) -> bool,
        named: impl Fn(&CustomerName) -> bool,
    ) -> Self {
        let is_told =
            |text: &&String| self.programs.get(*text).is_none_or(|programs| programs.iter().any(&may));
        let is_it = |text: &&String| match self.kept.get(*text) {
            Some(kept) => kept.iter().any(|(program, purposes)| purposes.contains(&purpose) && may(program)),
            None => is_told(text),
        };
        let told = |texts: &[String]| texts.iter().filter(is_it).cloned().collect();
        let scope = match &self.scope {
            Scope::Instance { tokens } => Scope::Instance { tokens: told(tokens) },
            Scope::Identifier { class, tokens } => Scope::Identifier { class: *class, tokens: told(tokens) },
            whole @ (Scope::Customer | Scope::Times { .. } | Scope::Everything) => whole.clone(),
        };
        let is_name = |text: &&String| match self.names.get(*text) {
            Some(names) => names.iter().any(&named),
            // Of an erasure that was asked for before names had forms.
            None => is_told(text),
        };
        let customers = self.customers.iter().filter(is_name).cloned().collect();
        let (erasure, requested) = (self.erasure, self.requested);
        let told = Self { scope, customers, ..Self::bare(erasure, requested) };
        let tokens = told.scope.tokens();
        // A value that was kept can be too long for a notice: then everything of the customer is to go.
        let is_long = told.customers.len() > TEXTS
            || tokens.len() > TEXTS
            || tokens.iter().any(|text| text.len() > TEXT_BYTES);
        let shorter = is_long.then(|| Self::merged(std::iter::once(&told), false)).flatten();
        shorter.unwrap_or(told)
    }

    /// One for everything, with no texts.
    fn bare(erasure: ErasureId, requested: UnixMillis) -> Self {
        let (scope, customers, programs) = (Scope::Everything, Vec::new(), BTreeMap::new());
        Self {
            erasure,
            scope,
            customers,
            requested,
            programs,
            kept: BTreeMap::new(),
            names: BTreeMap::new(),
            leaves: BTreeMap::new(),
        }
    }

    /// Why it cannot be given: what is too long. Where it has too many texts, or one of its tokens is too long, it asks
    /// for more to be deleted instead.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_long = self.customers.iter().any(|text| text.len() > TEXT_BYTES);
        is_long.then_some(("customers", "a text of a notice has at most 256 bytes"))
    }

    /// About how many bytes it takes in an answer.
    pub(super) fn bytes(&self) -> usize {
        self.customers.iter().chain(self.scope.tokens()).map(|text| text.len() + 4).sum::<usize>() + 128
    }

    /// One notice for all of `parts`: everything of their customers; or simply everything, if that is asked for
    /// or needs more texts than a notice has. The newest names the erasure.
    pub(super) fn merged<'a>(
        parts: impl Iterator<Item = &'a Self> + Clone,
        everything: bool,
    ) -> Option<Self> {
        let newest = parts.clone().max_by_key(|notice| notice.requested)?;
        let mut customers: Vec<String> = parts.clone().flat_map(|notice| notice.customers.clone()).collect();
        customers.sort_unstable();
        customers.dedup();
        let mut scopes = parts.map(|notice| &notice.scope);
        let is_everything =
            everything || customers.len() > TEXTS || scopes.any(|scope| *scope == Scope::Everything);
        let (scope, customers) =
            if is_everything { (Scope::Everything, Vec::new()) } else { (Scope::Customer, customers) };
        Some(Self { scope, customers, ..Self::bare(newest.erasure, newest.requested) })
    }
}

/// A notice on its way to a drainer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeDelivery {
    /// Names it, for the acknowledgement.
    pub ack_id: String,
    /// Its place in the order of the subscription's notices.
    pub number: u64,
    /// What it says.
    pub notice: std::sync::Arc<Notice>,
}

/// The name of a notice to a subscription: `n-` and 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoticeId {
    /// The number of the subscription.
    pub(super) subscription: u64,
    /// The number of the notice.
    pub(super) number: u64,
}

impl NoticeId {
    pub(super) fn text(self) -> String {
        let bytes = [self.subscription.to_be_bytes(), self.number.to_be_bytes()].concat();
        format!("n-{}", HEXLOWER.encode(&bytes))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.strip_prefix("n-")?.as_bytes()).ok()?;
        let (subscription, number) = bytes.split_first_chunk()?;
        let number = number.try_into().ok()?;
        Some(Self { subscription: u64::from_be_bytes(*subscription), number: u64::from_be_bytes(number) })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn notice(scope: Scope, customers: &[&str], requested: i64) -> Notice {
        let erasure = ErasureId::parse(&format!("00000000-0000-4000-8000-{requested:012x}")).unwrap();
        let customers = customers.iter().map(|text| (*text).to_owned()).collect();
        Notice { scope, customers, ..Notice::bare(erasure, UnixMillis(requested)) }
    }

    // covers: P7
    #[test]
    fn a_subscription_is_told_no_text_of_a_program_that_it_cannot_have_received() {
        let [ceip, operational] = ["ceip", "operational"].map(|name| ProgramName::new(name).unwrap());
        let tokens = vec!["t-ceip".to_owned(), "t-operational".to_owned()];
        let whole = Scope::Identifier { class: IdentifierClass::HostName, tokens };
        let mut wide = notice(whole, &["acme", "c-ceip"], 3);
        for (text, programs) in [("t-ceip", &ceip), ("t-operational", &operational)] {
            wide.programs.insert(text.to_owned(), BTreeSet::from([programs.clone()]));
        }
        for (text, program, named) in
            [("acme", &operational, Named::Id), ("acme", &ceip, Named::Id), ("c-ceip", &ceip, Named::Stable)]
        {
            let name = CustomerName { program: program.clone(), named, is_likely: false };
            wide.names.entry(text.to_owned()).or_default().push(name);
        }
        // The customer was named by a pseudonym in what was received: its id is not told, though it may be of the program.
        let pseudonym = |name: &CustomerName| name.program == ceip && name.named == Named::Stable;
        let improve = wide.addressed(Purpose::Improve, |program| *program == ceip, pseudonym);
        assert_eq!(improve.customers, ["c-ceip"]);
        assert_eq!(improve.scope.tokens(), ["t-ceip"]);
        let deliver = wide.addressed(
            Purpose::Deliver,
            |program| *program == operational,
            |name| name.program == operational,
        );
        assert_eq!(deliver.customers, ["acme"]);
        assert_eq!(deliver.scope.tokens(), ["t-operational"]);
        for told in [improve, deliver] {
            assert!(told.programs.is_empty() && told.names.is_empty() && told.leaves.is_empty());
        }
        // As an erasure that was asked for before has it.
        wide.names.clear();
        wide.programs.insert("acme".to_owned(), BTreeSet::from([operational]));
        wide.programs.insert("c-ceip".to_owned(), BTreeSet::from([ceip.clone()]));
        assert_eq!(
            wide.addressed(Purpose::Improve, |program| *program == ceip, |_| false).customers,
            ["c-ceip"]
        );
    }

    // covers: B1
    #[test]
    fn with_too_many_texts_it_asks_for_more_and_is_never_refused() {
        let many = |what: &str| (0..=TEXTS).map(|n| format!("{what}{n}")).collect::<Vec<_>>();
        let scope = Scope::Identifier { class: IdentifierClass::HostName, tokens: many("t") };
        let of_tokens = notice(scope, &["acme"], 3);
        assert_eq!(of_tokens.fault(), None);
        let [improve, deliver] = [Purpose::Improve, Purpose::Deliver];
        assert_eq!(of_tokens.addressed(improve, |_| true, |_| true), notice(Scope::Customer, &["acme"], 3));
        // A value that was kept is as long as it is; who did not receive it is told by what it has received.
        let (kept, token) = ("k".repeat(TEXT_BYTES + 1), "t-ceip".to_owned());
        let tokens = vec![token.clone(), kept.clone()];
        let mut long = notice(Scope::Identifier { class: IdentifierClass::Url, tokens }, &["acme"], 3);
        let ceip = ProgramName::new("ceip").unwrap();
        long.programs.insert(token.clone(), BTreeSet::from([ceip.clone()]));
        long.kept.insert(kept, BTreeMap::from([(ceip.clone(), BTreeSet::from([deliver]))]));
        assert_eq!(long.fault(), None);
        assert_eq!(long.addressed(deliver, |_| true, |_| true), notice(Scope::Customer, &["acme"], 3));
        let scope = Scope::Identifier { class: IdentifierClass::Url, tokens: vec![token] };
        assert_eq!(long.addressed(improve, |_| true, |_| true), notice(scope, &["acme"], 3));
        let none = Scope::Identifier { class: IdentifierClass::Url, tokens: Vec::new() };
        assert_eq!(long.addressed(deliver, |program| *program != ceip, |_| true), notice(none, &["acme"], 3));
        let of_names = Notice { customers: many("c"), ..notice(Scope::Customer, &[], 3) };
        assert_eq!(of_names.addressed(improve, |_| true, |_| true), notice(Scope::Everything, &[], 3));
    }

    #[test]
    fn only_its_own_text_names_a_notice() {
        let id = NoticeId { subscription: u64::MAX, number: 7 };
        let text = id.text();
        assert_eq!(NoticeId::parse(&text), Some(id));
        let lease =
            super::super::ack_id::AckId { subscription: 1, commit: crate::model::CommitNumber(1), nonce: 1 };
        for other in ["", "n-", &text[2..], &text[..33], &format!("{text}00"), &lease.text()] {
            assert_eq!(NoticeId::parse(other), None, "{other}");
        }
        assert_eq!(super::super::ack_id::AckId::parse(&text), None);
    }

    #[test]
    fn notices_that_are_merged_ask_for_no_less() {
        let times = Scope::Times { from: UnixMillis(1), until: UnixMillis(2) };
        let parts = [notice(times, &["a", "b"], 5), notice(Scope::Customer, &["b", "c"], 4)];
        assert_eq!(Notice::merged(parts.iter(), false), Some(notice(Scope::Customer, &["a", "b", "c"], 5)));
        let all = [notice(Scope::Everything, &[], 3), notice(Scope::Customer, &["b"], 9)];
        assert_eq!(Notice::merged(all.iter(), false), Some(notice(Scope::Everything, &[], 9)));
        let names: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
        let many = Notice { customers: names, ..notice(Scope::Customer, &[], 1) };
        assert_eq!(many.fault(), None);
        assert_eq!(Notice::merged([many].iter(), false).unwrap().scope, Scope::Everything);
    }
}
