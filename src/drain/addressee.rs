//! Whom a notice of an erasure addresses, and by which of its texts: as the marks of what was delivered say, and not by
//! what the policy allows today, which may be less than it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::drainer::Drainer;
use super::notice::{CustomerName, Notice};
use super::programs::{Forms, Programs};
use super::received::Mark;
use super::{Drain, DrainError, Shared, blocking, table};
use crate::model::{CustomerKey, ProgramName, Subscription};
use crate::sanitize::Named;
use crate::store::MetaTable;

/// The number that stands for every customer of before a restore: those below the last commit of its mark.
pub(super) const EVERYBODY: CustomerKey = CustomerKey(0);

/// What is known of what a subscription has received of one customer.
#[derive(Debug, Default)]
pub(super) struct Had {
    /// The programs of what was delivered, if something was.
    delivered: Option<Programs>,
    /// A backup was put back, and of what left last nobody knows. The programs of which data ever left for the
    /// purpose of the subscription, of whichever customer.
    perhaps: Option<Programs>,
}

impl Had {
    /// The notice as `subscription` is told it; nothing if it cannot have received anything of the customer.
    pub(super) fn address(&self, notice: &Notice, subscription: &Subscription) -> Option<Notice> {
        let of = |program: &ProgramName| self.forms(notice, subscription, program);
        // It is told what it can have received, and no more: it may have received nothing.
        if self.delivered.is_none() && !notice.leaves.keys().any(|program| of(program).is_some()) {
            return None;
        }
        let named = |name: &CustomerName| {
            of(&name.program)
                .is_some_and(|forms| forms.has(name.named) || (forms.are_unknown() && name.is_likely))
        };
        Some(notice.addressed(subscription.purpose, |program| of(program).is_some(), named))
    }

    /// In which forms it may have received the customer's name with data of a program; nothing if it cannot have
    /// received any.
    fn forms(&self, notice: &Notice, subscription: &Subscription, program: &ProgramName) -> Option<Forms> {
        let delivered = self.delivered.as_ref().and_then(|programs| programs.forms(program));
        let may_be_more =
            subscription.wants_program(program.as_str()) && self.may_be(notice, subscription, program);
        let more = may_be_more.then_some(Forms::UNKNOWN);
        match (delivered, more) {
            (None, None) => None,
            (delivered, more) => Some(delivered.unwrap_or_default().and(more.unwrap_or_default())),
        }
    }

    /// Whether it may have received data of a program without a mark that says so. A text too many lets it join data
    /// with a program that it never had, which is bad; one too few lets it keep what was erased, which is worse. So
    /// what is not known counts as received, as far as the customer ever chose the program:
    ///
    /// - By a mark of before programs were noted, it may have received any.
    /// - After a restore, any of which data ever left for its purpose, as the ledger tells, or may leave today: a
    ///   policy that has become narrower since does not make less of it.
    fn may_be(&self, notice: &Notice, subscription: &Subscription, program: &ProgramName) -> bool {
        let Some(leaves) = notice.leaves.get(program) else { return false };
        let is_unsaid = self.delivered.as_ref().is_some_and(|programs| programs.or_others);
        let ever = |ever: &Programs| ever.or_others || ever.forms(program).is_some();
        let left = |programs| ever(programs) || leaves.contains(&subscription.purpose);
        is_unsaid || self.perhaps.as_ref().is_some_and(left)
    }
}

impl Drain {
    /// How a customer was named in what was delivered, to whichever subscription: by programs. Reads the store.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn named(&self, customer: CustomerKey) -> Result<BTreeSet<(ProgramName, Named)>, DrainError> {
        let mut named = BTreeSet::new();
        for drainer in self.shared.all_drainers() {
            let at_hand = drainer.look_books(|books| books.marks.get(customer));
            let mark =
                at_hand.map_or_else(|| self.shared.mark(drainer.nonce, customer), |mark| Ok(Some(mark)))?;
            named.extend(mark.iter().flat_map(|mark| mark.programs.named()));
        }
        Ok(named)
    }
}

impl Shared {
    /// What a subscription has received of a customer, or may have.
    pub(super) async fn had(
        self: &Arc<Self>,
        drainer: &Arc<Drainer>,
        customer: CustomerKey,
    ) -> Result<Had, DrainError> {
        // After this, every delivery that was chosen before is either marked or not handed out yet.
        let at_hand = drainer.look_settled(|books| books.marks.get(customer)).await;
        let (shared, number) = (Arc::clone(self), drainer.nonce);
        let read = blocking(move || {
            let mark = at_hand.map_or_else(|| shared.mark(number, customer), |mark| Ok(Some(mark)))?;
            Ok::<_, DrainError>((mark, shared.mark(number, EVERYBODY)?))
        });
        let (mark, everybody) = read.await??;
        let perhaps = everybody.filter(|below| customer.0 < below.last.0).map(|below| below.programs);
        Ok(Had { delivered: mark.map(|mark| mark.programs), perhaps })
    }

    pub(super) fn mark(&self, subscription: u64, customer: CustomerKey) -> Result<Option<Mark>, DrainError> {
        let row = self.store.meta(MetaTable::Received, &Mark::key(subscription, customer))?;
        row.map(|row| Mark::read(&row).map_err(table::fault)).transpose()
    }

    /// Reads who received what, as far as it is not at hand.
    pub(super) fn learn_marks(
        &self,
        drainer: &Drainer,
        customers: &BTreeSet<CustomerKey>,
    ) -> Result<(), DrainError> {
        loop {
            let (unknown, generation) =
                drainer.look_books(|books| books.marks.unknown(customers.iter().copied()));
            if unknown.is_empty() {
                return Ok(());
            }
            let mut found = Vec::new();
            for customer in unknown {
                found.extend(self.mark(drainer.nonce, customer)?.map(|mark| (customer, mark)));
            }
            // These reads are no change that anybody has to wait for.
            let (learned, _) = drainer.change_books(|books| books.marks.learn(&found, generation))?;
            if learned {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Purpose, SubscriptionName, UnixMillis};

    fn program(name: &str) -> ProgramName {
        ProgramName::new(name).unwrap()
    }

    fn of(programs: &[(&str, Option<Named>)]) -> Programs {
        programs.iter().fold(Programs::default(), |all, (name, named)| {
            let forms = named.map_or(Forms::UNKNOWN, |named| Forms::from(Some(named)));
            all.with(&program(name), forms).unwrap()
        })
    }

    /// Of a customer who ever chose `a` and `b`; today's policy lets data of `a` leave to improve.
    fn notice() -> Notice {
        let mut notice: Notice = serde_json::from_str(
            r#"{"erasure":"00000000-0000-4000-8000-000000000001","scope":"customer","customers":[],"requested":1}"#,
        )
        .unwrap();
        for (name, purposes) in [("a", vec![Purpose::Improve]), ("b", vec![])] {
            for (named, is_likely) in [(Named::Id, false), (Named::Stable, true)] {
                let text = format!("{name}-{}", if is_likely { "likely" } else { "id" });
                let name = CustomerName { program: program(name), named, is_likely };
                notice.names.insert(text.clone(), vec![name]);
                notice.customers.push(text);
            }
            notice.leaves.insert(program(name), purposes.into_iter().collect());
        }
        notice
    }

    fn told(had: &Had, programs: &[&str]) -> Option<Vec<String>> {
        let subscription = Subscription {
            name: SubscriptionName::new("jobs").unwrap(),
            purpose: Purpose::Improve,
            recipient: String::new(),
            programs: programs.iter().map(|name| program(name)).collect(),
            products: Vec::new(),
            ack_deadline: Duration::from_secs(10),
            max_delivery_attempts: 3,
            created: UnixMillis(0),
        };
        had.address(&notice(), &subscription).map(|notice| notice.customers)
    }

    // covers: P7 P8
    #[test]
    fn what_is_known_is_told_as_it_was_and_what_is_not_known_as_it_is_likely() {
        let any = || Some(Programs::any());
        let b_by_id = || Some(of(&[("b", Some(Named::Id))]));
        let nothing = || Some(Programs::default());
        for (why, delivered, perhaps, filter, expected) in [
            ("nothing left", None, None, &[][..], None),
            ("what today's policy does not allow", b_by_id(), None, &[], Some(&["b-id"][..])),
            ("nor the filter", b_by_id(), None, &["a"], Some(&["b-id"])),
            ("a form that nobody knows", Some(of(&[("b", None)])), None, &[], Some(&["b-likely"])),
            ("before programs were noted", any(), None, &[], Some(&["a-likely", "b-likely"])),
            ("of these only what it wants", any(), None, &["b"], Some(&["b-likely"])),
            ("after a restore, what may leave", None, nothing(), &[], Some(&["a-likely"])),
            ("beside what is known", b_by_id(), nothing(), &[], Some(&["a-likely", "b-id"])),
            ("or ever left", None, Some(of(&[("b", None)])), &["b"], Some(&["b-likely"])),
            ("but nothing that it does not want", None, nothing(), &["b"], None),
            ("nor of what the customer never chose", None, Some(of(&[("c", None)])), &["c"], None),
            ("after a broken ledger, anything", None, any(), &[], Some(&["a-likely", "b-likely"])),
        ] {
            let expected = expected.map(|texts| texts.iter().map(ToString::to_string).collect());
            assert_eq!(told(&Had { delivered, perhaps }, filter), expected, "{why}");
        }
    }
}
