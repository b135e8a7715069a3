//! After a backup was put back: what its rows know of deliveries is brought up to what the ledger tells of those that came
//! after it, before anybody drains. Pure.

use std::collections::{BTreeMap, HashMap};

use super::DrainError;
use super::addressee::EVERYBODY;
use super::programs::{Forms, Programs};
use super::received::Mark;
use super::table::{self, Found};
use super::totals::{self, TotalKey};
use crate::ledger::Fact;
use crate::model::{CommitNumber, CustomerKey, ProgramName, Purpose, SubscriptionName, UnixMillis};
use crate::store::MetaRow;

/// The subscriptions of a backup, and what of their deliveries the ledger had not been told when it was made.
#[derive(Debug)]
pub struct Redelivery {
    head: CommitNumber,
    subscriptions: HashMap<SubscriptionName, (u64, Purpose)>,
    /// By subscription, what each sum is of, and since when: the key of its row.
    totals: BTreeMap<(u64, TotalKey, UnixMillis), Vec<u8>>,
    told: Vec<Vec<u8>>,
    /// The programs of which data ever left, by purpose.
    ever: BTreeMap<Purpose, Programs>,
    /// The ledger goes on for a broken one: what left before it began is not known.
    is_cut: bool,
}

/// What is to be put into a row of `Received`, beside what it says already.
#[derive(Debug)]
pub struct Addition {
    key: Vec<u8>,
    mark: Mark,
}

impl Addition {
    /// The key of the row.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The row as it is to be, from what there is; nothing if it says that already.
    ///
    /// # Errors
    /// If the row is damaged.
    pub fn into_row(self, row: Option<&[u8]>) -> Result<Option<Vec<u8>>, DrainError> {
        let Some(row) = row else { return Ok(Some(self.mark.row())) };
        let before = Mark::read(row).map_err(table::fault)?;
        let mark = before.and(&self.mark);
        Ok((mark != before).then(|| mark.row()))
    }
}

impl Redelivery {
    /// From the rows of [`MetaTable::Subscriptions`](crate::store::MetaTable) and of `Totals`, and the last commit.
    ///
    /// # Errors
    /// If a row is damaged.
    pub fn read(
        subscriptions: Vec<MetaRow>,
        sums: Vec<MetaRow>,
        head: CommitNumber,
    ) -> Result<Self, DrainError> {
        let found = Found::read([subscriptions, vec![], vec![], vec![], vec![], sums])?;
        let (mut totals, mut ever) = (BTreeMap::new(), BTreeMap::new());
        let purposes: HashMap<u64, Purpose> =
            found.definitions.iter().map(|one| (one.nonce, one.subscription.purpose)).collect();
        for (nonce, rows) in found.totals {
            for (number, row) in rows {
                let total = totals::read(&row).map_err(table::fault)?;
                if let Some(purpose) = purposes.get(&nonce) {
                    left(&mut ever, *purpose, &total.key.under.program);
                }
                let key = [nonce.to_be_bytes(), number.to_be_bytes()].concat();
                totals.insert((nonce, total.key, total.from), key);
            }
        }
        let known = |one: table::Definition| (one.subscription.name, (one.nonce, one.subscription.purpose));
        let subscriptions = found.definitions.into_iter().map(known).collect();
        let told = Vec::new();
        Ok(Self { head, subscriptions, totals, told, ever, is_cut: false })
    }

    /// Looks at what the ledger tells, of before the backup or after it: of which programs data ever left for which
    /// purpose.
    pub fn look(&mut self, fact: &Fact) {
        if let Fact::Pulled { purpose, under, .. } = fact {
            left(&mut self.ever, *purpose, &under.program);
        } else if let Fact::LedgerBegun { after: Some(_), .. } = fact {
            self.is_cut = true;
        }
    }

    /// Takes in what the ledger was told after the backup. Gives what it tells of a delivery to a subscription
    /// that there is.
    pub fn take(&mut self, fact: &Fact) -> Option<Addition> {
        let Fact::Pulled { customer, period, subscription, under, .. } = fact else { return None };
        let (number, _) = *self.subscriptions.get(subscription)?;
        let programs = Programs::default().with(&under.program, Forms::UNKNOWN).unwrap_or_default();
        let key = TotalKey { customer: *customer, under: under.clone() };
        // The first sum that is told of the same since the same time is this one, grown.
        if let Some(row) = self.totals.remove(&(number, key, period.from)) {
            self.told.push(row);
        }
        let mark = Mark { first: self.head, last: self.head, programs };
        Some(Addition { key: Mark::key(number, *customer), mark })
    }

    /// The rows of `Totals` to take out: the ledger was told of them.
    #[must_use]
    pub fn told(&self) -> &[Vec<u8>] {
        &self.told
    }

    /// That every subscription may have received data of each customer below `below`: what left
    /// last before the data was lost, no ledger was told of.
    #[must_use]
    pub fn perhaps(&self, below: CustomerKey) -> Vec<Addition> {
        let of = |(number, purpose): &(u64, Purpose)| {
            let ever = self.ever.get(purpose).cloned().unwrap_or_default();
            let programs = if self.is_cut { ever.and(&Programs::any()) } else { ever };
            let mark = Mark { first: CommitNumber(0), last: CommitNumber(below.0), programs };
            Addition { key: Mark::key(*number, EVERYBODY), mark }
        };
        self.subscriptions.values().map(of).collect()
    }
}

/// Takes note that data of a program left for a purpose.
fn left(ever: &mut BTreeMap<Purpose, Programs>, purpose: Purpose, program: &ProgramName) {
    let ever = ever.entry(purpose).or_default();
    if let Some(more) = ever.with(program, Forms::UNKNOWN) {
        *ever = more;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::ledger::{OldLedger, Period};
    use crate::model::{ClassCounts, LevelName, ProductName, Under};
    use crate::sanitize::Named;

    const ACME: CustomerKey = CustomerKey(3);

    fn pulled(program: &str, purpose: Purpose) -> Fact {
        Fact::Pulled {
            customer: ACME,
            period: Period { from: UnixMillis(1), until: UnixMillis(2) },
            subscription: SubscriptionName::new("jobs").unwrap(),
            purpose,
            recipient: "tests".to_owned(),
            under: Under {
                program: ProgramName::new(program).unwrap(),
                product: ProductName::new("vcenter").unwrap(),
                level: LevelName::new("standard").unwrap(),
                region: None,
                dictionary: 1,
            },
            batches: 1,
            events: 1,
            deliveries: 1,
            fields: ClassCounts::default(),
        }
    }

    fn redelivery() -> Redelivery {
        let (totals, told, ever) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let name = SubscriptionName::new("jobs").unwrap();
        let subscriptions = HashMap::from([(name, (9, Purpose::Improve))]);
        Redelivery { head: CommitNumber(70), subscriptions, totals, told, ever, is_cut: false }
    }

    #[test]
    fn what_the_ledger_tells_comes_to_what_the_backup_knows() {
        let [ceip, operational] = ["ceip", "operational"].map(|name| ProgramName::new(name).unwrap());
        let mut redelivery = redelivery();
        let addition = redelivery.take(&pulled("ceip", Purpose::Improve)).unwrap();
        assert_eq!(addition.key(), Mark::key(9, ACME));
        let row = addition.into_row(None).unwrap().unwrap();
        let mark = Mark::read(&row).unwrap();
        assert!(mark.programs.forms(&ceip).unwrap().are_unknown() && mark.first == CommitNumber(70));

        // In the backup there is one of another program, and of this one in a form that was known.
        let programs = Programs::default().with(&ceip, Forms::from(Some(Named::Stable))).unwrap();
        let before = Mark { first: CommitNumber(2), last: CommitNumber(5), programs };
        let addition = redelivery.take(&pulled("operational", Purpose::Improve)).unwrap();
        let row = addition.into_row(Some(&before.row())).unwrap().unwrap();
        let both = Mark::read(&row).unwrap();
        assert_eq!((both.first, both.last), (CommitNumber(2), CommitNumber(70)));
        assert_eq!(both.programs.forms(&ceip), before.programs.forms(&ceip));
        assert!(both.programs.forms(&operational).unwrap().are_unknown());
        let again = redelivery.take(&pulled("operational", Purpose::Improve)).unwrap();
        assert_eq!(again.into_row(Some(&row)).unwrap(), None);
        assert!(redelivery.take(&pulled("ceip", Purpose::Improve)).unwrap().into_row(Some(&[9])).is_err());
    }

    #[test]
    fn what_ever_left_for_a_purpose_may_have_left_last() {
        let perhaps = |redelivery: &Redelivery| {
            let addition = redelivery.perhaps(CustomerKey(40)).remove(0);
            assert_eq!(addition.key(), Mark::key(9, CustomerKey(0)));
            Mark::read(&addition.into_row(None).unwrap().unwrap()).unwrap()
        };
        let [ceip, operational] = ["ceip", "operational"].map(|name| ProgramName::new(name).unwrap());
        let mut redelivery = redelivery();
        assert_eq!(perhaps(&redelivery).programs, Programs::default());
        redelivery.look(&pulled("ceip", Purpose::Improve));
        redelivery.look(&pulled("operational", Purpose::Deliver));
        let mark = perhaps(&redelivery);
        assert_eq!(mark.last, CommitNumber(40));
        assert!(mark.programs.forms(&ceip).is_some() && mark.programs.forms(&operational).is_none());
        assert!(!mark.programs.or_others);
        let old = OldLedger {
            origin: String::new(),
            checkpoint: String::new(),
            fault: String::new(),
            kept_in: String::new(),
        };
        let (origin, store, after) = (String::new(), String::new(), Some(old));
        redelivery.look(&Fact::LedgerBegun { origin, store, next: 4, after });
        assert!(perhaps(&redelivery).programs.or_others, "what a broken ledger told is not known");
    }
}
