//! What a caller can be: a closed list, each with the data that it reaches.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{CustomerId, SubscriptionName};

/// A role without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleKind {
    /// Sends the data of one customer.
    Sender,
    /// Sends the data of a stated set of customers, and names one with each call.
    Relay,
    /// Drains stated subscriptions, hence for stated purposes.
    Drainer,
    /// Administers: levels, policy, keys, erasures, subscriptions, tokens.
    Operator,
    /// Reads the ledger and the dictionary.
    Auditor,
}

impl RoleKind {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Sender, Self::Relay, Self::Drainer, Self::Operator, Self::Auditor];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Relay => "relay",
            Self::Drainer => "drainer",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

impl std::fmt::Display for RoleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role with the data that it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends the data of this customer.
    Sender(CustomerId),
    /// Sends the data of these customers.
    Relay(BTreeSet<CustomerId>),
    /// Drains these subscriptions.
    Drainer(BTreeSet<SubscriptionName>),
    /// Administers.
    Operator,
    /// Reads the ledger and the dictionary.
    Auditor,
}

/// Customers or subscriptions that one role may name.
const MOST_NAMED: usize = 1_000;

impl Role {
    /// Puts a role together. What does not belong to the role, or is missing, is said.
    ///
    /// # Errors
    /// What to give in place of it.
    pub fn new(
        kind: RoleKind,
        customers: BTreeSet<CustomerId>,
        subscriptions: BTreeSet<SubscriptionName>,
    ) -> Result<Self, &'static str> {
        if customers.len() > MOST_NAMED || subscriptions.len() > MOST_NAMED {
            return Err("at most 1000 customers or subscriptions are for one role; make several");
        }
        let (has_customers, has_subscriptions) = (!customers.is_empty(), !subscriptions.is_empty());
        match kind {
            RoleKind::Sender if has_subscriptions => Err("a sender has no subscriptions"),
            RoleKind::Sender if customers.len() > 1 => {
                Err("a sender has one customer; several make a relay, which names one with each call")
            }
            RoleKind::Sender => {
                customers.into_iter().next().map(Self::Sender).ok_or("a sender needs its customer")
            }
            RoleKind::Relay if has_subscriptions => Err("a relay has no subscriptions"),
            RoleKind::Relay if has_customers => Ok(Self::Relay(customers)),
            RoleKind::Relay => Err("a relay needs the customers that it may name"),
            RoleKind::Drainer if has_customers => Err("a drainer has no customers"),
            RoleKind::Drainer if has_subscriptions => Ok(Self::Drainer(subscriptions)),
            RoleKind::Drainer => Err("a drainer needs the subscriptions that it may drain"),
            RoleKind::Operator | RoleKind::Auditor if has_customers || has_subscriptions => {
                Err("operators and auditors have no customers and no subscriptions")
            }
            RoleKind::Operator => Ok(Self::Operator),
            RoleKind::Auditor => Ok(Self::Auditor),
        }
    }

    /// The role without its data.
    #[must_use]
    pub const fn kind(&self) -> RoleKind {
        match self {
            Self::Sender(_) => RoleKind::Sender,
            Self::Relay(_) => RoleKind::Relay,
            Self::Drainer(_) => RoleKind::Drainer,
            Self::Operator => RoleKind::Operator,
            Self::Auditor => RoleKind::Auditor,
        }
    }

    /// What both let their holder do; `None` if that is nothing.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (same, other) if same == other => Some(same.clone()),
            (Self::Sender(customer), Self::Relay(customers))
            | (Self::Relay(customers), Self::Sender(customer)) => {
                customers.contains(customer).then(|| Self::Sender(customer.clone()))
            }
            (Self::Relay(some), Self::Relay(others)) => {
                let both = some & others;
                (!both.is_empty()).then_some(Self::Relay(both))
            }
            (Self::Drainer(some), Self::Drainer(others)) => {
                let both = some & others;
                (!both.is_empty()).then_some(Self::Drainer(both))
            }
            (
                Self::Sender(_) | Self::Relay(_) | Self::Drainer(_) | Self::Operator | Self::Auditor,
                Self::Sender(_) | Self::Relay(_) | Self::Drainer(_) | Self::Operator | Self::Auditor,
            ) => None,
        }
    }

    /// Whether it lets the data of a customer in.
    #[must_use]
    pub fn customers(&self) -> Vec<&CustomerId> {
        match self {
            Self::Sender(customer) => vec![customer],
            Self::Relay(customers) => customers.iter().collect(),
            Self::Drainer(_) | Self::Operator | Self::Auditor => Vec::new(),
        }
    }

    /// The subscriptions that it may drain.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<&SubscriptionName> {
        match self {
            Self::Drainer(subscriptions) => subscriptions.iter().collect(),
            Self::Sender(_) | Self::Relay(_) | Self::Operator | Self::Auditor => Vec::new(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn customers(names: &[&str]) -> BTreeSet<CustomerId> {
        names.iter().map(|name| CustomerId::new(name).unwrap()).collect()
    }

    fn subscriptions(names: &[&str]) -> BTreeSet<SubscriptionName> {
        names.iter().map(|name| SubscriptionName::new(name).unwrap()).collect()
    }

    #[test]
    fn what_two_roles_have_in_common_is_in_both_and_of_one_kind() {
        let relay = |names: &[&str]| Role::Relay(customers(names));
        let drainer = |names: &[&str]| Role::Drainer(subscriptions(names));
        let sender = |name: &str| Role::Sender(CustomerId::new(name).unwrap());
        let table = [
            (relay(&["a", "b"]), relay(&["b", "c"]), Some(relay(&["b"]))),
            (relay(&["a"]), relay(&["a", "b"]), Some(relay(&["a"]))),
            (relay(&["a"]), relay(&["b"]), None),
            (relay(&["a", "b"]), sender("a"), Some(sender("a"))),
            (relay(&["a", "b"]), sender("c"), None),
            (sender("a"), sender("b"), None),
            (drainer(&["x", "y"]), drainer(&["y"]), Some(drainer(&["y"]))),
            (drainer(&["x"]), drainer(&["y"]), None),
            (drainer(&["x"]), relay(&["x"]), None),
            (Role::Operator, Role::Operator, Some(Role::Operator)),
            (Role::Operator, Role::Auditor, None),
        ];
        for (one, other, both) in table {
            assert_eq!(one.common(&other), both, "{one:?} {other:?}");
            assert_eq!(other.common(&one), both, "{other:?} {one:?}");
        }
    }

    #[test]
    fn a_role_has_what_it_needs_and_nothing_else() {
        use RoleKind::{Auditor, Drainer, Operator, Relay, Sender};
        let good = [(Sender, 1, 0), (Relay, 2, 0), (Drainer, 0, 2), (Operator, 0, 0), (Auditor, 0, 0)];
        for (kind, of_customers, of_subscriptions) in good {
            for (c, s) in (0..3).flat_map(|c| (0..3).map(move |s| (c, s))) {
                let (named, drained) = (["a", "b"].get(..c).unwrap(), ["x", "y"].get(..s).unwrap());
                let made = Role::new(kind, customers(named), subscriptions(drained));
                let fits = match kind {
                    Sender => c == 1 && s == 0,
                    Relay => c > 0 && s == 0,
                    Drainer => c == 0 && s > 0,
                    Operator | Auditor => c == 0 && s == 0,
                };
                assert_eq!(made.is_ok(), fits, "{kind} {c} {s}");
                if (c, s) == (of_customers, of_subscriptions) {
                    assert_eq!(made.unwrap().kind(), kind);
                }
            }
        }
    }
}
