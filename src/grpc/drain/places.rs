//! Places for calls that hold batches in memory, and who gets them: a subscription may hold at most as many as
//! it leaves free, so one that has many drainers gets half, and leaves the other half to whoever comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::SubscriptionName;

/// The places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    held: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of: HashMap<SubscriptionName, usize>,
}

/// One of them; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    subscription: SubscriptionName,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most: most.max(1), held: Mutex::default() }))
    }

    fn held(&self) -> MutexGuard<'_, Counts> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a drainer of `subscription`, if it may have one now.
    pub(super) fn take(&self, subscription: &SubscriptionName) -> Option<Place> {
        let mut held = self.held();
        let own = held.of.get(subscription).copied().unwrap_or_default();
        let left = self.0.most.saturating_sub(held.all).checked_sub(1)?;
        // Everybody gets the first one as long as there is any.
        if own > 0 && own.saturating_add(1) > left {
            return None;
        }
        held.all = held.all.saturating_add(1);
        held.of.insert(subscription.clone(), own.saturating_add(1));
        Some(Place { places: self.clone(), subscription: subscription.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all = held.all.saturating_sub(1);
        let left = held.of.get(&self.subscription).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            held.of.remove(&self.subscription);
        } else if let Some(own) = held.of.get_mut(&self.subscription) {
            *own = left;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn name(text: &str) -> SubscriptionName {
        SubscriptionName::new(text).unwrap()
    }

    fn all(places: &Places, who: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(&name(who))).collect()
    }

    // covers: B1
    #[test]
    fn one_subscription_with_any_number_of_drainers_leaves_places_to_others() {
        let places = Places::new(32);
        let greedy = all(&places, "greedy");
        let (second, third) = (all(&places, "second"), all(&places, "third"));
        assert_eq!((greedy.len(), second.len(), third.len()), (16, 8, 4));
        let rest: Vec<Vec<Place>> = ["a", "b", "c", "d"].iter().map(|who| all(&places, who)).collect();
        assert_eq!(rest.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 0], "32 in all and no more");
        drop(greedy);
        assert_eq!(all(&places, "d").len(), 8);
        drop((second, third, rest));
        assert!(places.held().of.is_empty() && places.held().all == 0, "nothing is left of those who went");
    }

    #[test]
    fn the_only_place_goes_to_whoever_comes_first() {
        let places = Places::new(1);
        let one = places.take(&name("a")).unwrap();
        assert!(places.take(&name("b")).is_none());
        drop(one);
        assert!(places.take(&name("b")).is_some());
    }
}
