//! Each fact in one line of plain words.

use crate::cli::batch_text::millis_text;
use crate::cli::output::grouped;
use crate::ledger::{Fact, Leaf, Terms, Under, number};
use crate::model::{ClassCounts, CustomerKey, Delivery, Handling};

/// A level as one reads it: `ceip standard, eea`.
pub(super) fn under(under: &Under) -> String {
    let region = under.region.as_ref().map(|region| format!(", {region}")).unwrap_or_default();
    format!("{} {}{region}", under.program, under.level)
}

/// What was chosen, in one line.
pub(super) fn terms(terms: &Terms) -> String {
    let mut parts: Vec<String> =
        terms.levels.iter().map(|(program, level)| format!("{program} {level}")).collect();
    if parts.is_empty() {
        parts.push("takes part in nothing".to_owned());
    }
    let stricter = terms.product_levels.iter();
    parts.extend(stricter.map(|one| format!("{} only {} {}", one.product, one.program, one.level)));
    parts.extend(terms.region.iter().map(|region| format!("region {region}")));
    parts.extend(terms.purposes_off.iter().map(|purpose| format!("not to {purpose}")));
    match terms.delivery {
        Delivery::Deliver => {}
        Delivery::Audit => parts.push("kept for inspection, given to nobody".to_owned()),
        Delivery::Paused => parts.push("paused".to_owned()),
    }
    let accepted = terms.accepted.iter();
    parts.extend(accepted.map(|(product, version)| format!("{product} dictionary {version}")));
    parts.join(", ")
}

/// `1 batch`, `2 batches`.
pub(super) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// Counts of fields in words.
pub(super) fn fields(counts: &ClassCounts) -> String {
    let parts: Vec<_> = Handling::ALL
        .iter()
        .filter_map(|handling| {
            let n = counts.total(*handling);
            (n > 0).then(|| format!("{} {handling}", grouped(n)))
        })
        .collect();
    if parts.is_empty() { "no fields".to_owned() } else { format!("fields: {}", parts.join(", ")) }
}

fn of(customer: Option<CustomerKey>) -> String {
    customer.map(|customer| format!(" of {}", number::text(customer))).unwrap_or_default()
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An entry in one line.
pub(super) fn line(leaf: &Leaf) -> String {
    leaf.fact().map_or_else(|| format!("{}, written by a later version", leaf.kind()), fact)
}

/// What a fact says.
pub(super) fn fact(fact: &Fact) -> String {
    match fact {
        Fact::LedgerBegun { after: None, origin, .. } => format!("ledger {origin} begun"),
        Fact::LedgerBegun { after: Some(old), .. } => {
            format!("a new ledger begun, because the one before did not add up: {}", old.fault)
        }
        Fact::CollectorStarted { version } => format!("collector {version} started"),
        Fact::CollectorStopped { version } => format!("collector {version} stopped"),
        Fact::PolicyInForce { version, dictionaries, level_caps } => {
            let all = dictionaries.iter().map(|(product, version)| format!("{product} {version}"));
            let all = all.collect::<Vec<_>>().join(", ");
            let caps = level_caps.iter().map(|(program, level)| format!("{program} {level}"));
            let caps = caps.collect::<Vec<_>>().join(", ");
            let caps = if caps.is_empty() { caps } else { format!("; levels are capped at: {caps}") };
            format!("policy {version} in force; dictionaries: {all}{caps}")
        }
        Fact::SubscriptionCreated { subscription, purpose, recipient, programs, products } => {
            let only: Vec<_> =
                [list(programs), list(products)].into_iter().filter(|list| !list.is_empty()).collect();
            let only = if only.is_empty() { String::new() } else { format!(", only {}", only.join(", ")) };
            format!("subscription {subscription} created: {recipient} may receive data to {purpose}{only}")
        }
        Fact::SubscriptionDeleted { subscription, purpose, recipient } => {
            format!("subscription {subscription} deleted: {recipient} receives nothing more to {purpose}")
        }
        Fact::RootKeyRotated { .. } => "root key changed; no pseudonym changes with it".to_owned(),
        Fact::DataLossAccepted { last, acknowledged } => {
            if last < acknowledged {
                format!("started although batches {} to {acknowledged} are missing", last.saturating_add(1))
            } else {
                "started although acknowledged data is missing".to_owned()
            }
        }
        Fact::BackupMade { last: Some(last), .. } => format!("backup made, up to batch {last}"),
        Fact::BackupMade { last: None, .. } => "file of personal rows made, for backups".to_owned(),
        Fact::StoreRestored { last, next, made, erased_again } => format!(
            "store restored from the backup of {}, up to batch {last}; numbers go on with {next}; {} carried out again",
            millis_text(made.0),
            count(*erased_again, "erasure", "erasures")
        ),
        Fact::TokenIssued { token, role, until, by } => {
            format!("token {token} of a role {role} issued until {}, by {by}", millis_text(until.0))
        }
        Fact::TokenRevoked { token, role, by } => {
            format!("token {token} of a role {role} revoked{}", by_whom(by.as_deref()))
        }
        Fact::RatchetsMoved { first, last, customers, oldest_epoch } => format!(
            "keys of {} from {} to {} from before epoch {oldest_epoch} destroyed",
            count(*customers, "customer", "customers"),
            number::text(*first),
            number::text(*last)
        ),
        Fact::Refused { what, customer, times, .. } => {
            let what = what.as_str().replace('_', " ");
            format!("refused{}: {what}, {}", of(*customer), count(*times, "time", "times"))
        }
        Fact::ParticipationChanged { .. }
        | Fact::CustomerErased { .. }
        | Fact::Collected { .. }
        | Fact::Pulled { .. }
        | Fact::ErasureStepped { .. }
        | Fact::ErasureDone { .. }
        | Fact::LevelBound { .. }
        | Fact::PseudonymLookedUp { .. }
        | Fact::EventsExplained { .. }
        | Fact::KeysRatcheted { .. }
        | Fact::BridgeMade { .. }
        | Fact::BridgeErased { .. }
        | Fact::Exported { .. } => of_customer(fact),
    }
}

/// What a fact about a customer says.
fn of_customer(fact: &Fact) -> String {
    match fact {
        Fact::ParticipationChanged { customer, revision, after, .. } => {
            format!("{} chose, revision {revision}: {}", number::text(*customer), terms(after))
        }
        Fact::CustomerErased { customer, .. } => format!("{} erased", number::text(*customer)),
        Fact::Collected { customer, under: decided, events, withheld, fields: counts, .. } => {
            let refused = withheld.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
            let refused =
                if refused > 0 { format!(", {} withheld", grouped(refused)) } else { String::new() };
            let place =
                decided.as_ref().map(|d| format!(" under {}, {}", under(d), d.product)).unwrap_or_default();
            let events = count(*events, "event", "events");
            format!("{}: {events} stored{place}{refused}; {}", number::text(*customer), fields(counts))
        }
        Fact::Pulled { customer, recipient, purpose, under: decided, batches, events, .. } => format!(
            "{recipient} received {} with {}{} to {purpose}, under {}, {} dictionary {}",
            count(*batches, "batch", "batches"),
            count(*events, "event", "events"),
            of(Some(*customer)),
            under(decided),
            decided.product,
            decided.dictionary
        ),
        Fact::ErasureStepped { .. } | Fact::ErasureDone { .. } => of_erasure(fact),
        Fact::LevelBound { customer, revision, records, lowered, removed, fields: counts, .. } => {
            let fields = if counts.is_empty() { String::new() } else { format!("; {}", fields(counts)) };
            format!(
                "revision {revision} of {} bound what was queued: of {}, {} lowered and {} removed{fields}",
                number::text(*customer),
                count(*records, "batch", "batches"),
                grouped(*lowered),
                grouped(*removed)
            )
        }
        Fact::PseudonymLookedUp { customer, class, programs } => {
            let class = class.as_str().replace('_', " ");
            format!("{class}{}: pseudonyms looked up in {}", of(Some(*customer)), list(programs))
        }
        Fact::EventsExplained { customer, programs } => {
            format!("events{} explained, with their pseudonyms in {}", of(Some(*customer)), list(programs))
        }
        Fact::KeysRatcheted { customer, oldest_epoch } => {
            format!("keys{} from before epoch {oldest_epoch} destroyed", of(Some(*customer)))
        }
        Fact::BridgeMade { customer, from_epoch, until } => {
            let until = until.map(|until| format!(" until {}", millis_text(until.0))).unwrap_or_default();
            format!("keys{} of epoch {from_epoch} kept{until} for a permitted join", of(Some(*customer)))
        }
        Fact::BridgeErased { customer, from_epoch } => {
            format!("kept keys{} of epoch {from_epoch} destroyed", of(Some(*customer)))
        }
        Fact::Exported { customer } => format!("record{} given out", of(Some(*customer))),
        Fact::LedgerBegun { .. }
        | Fact::CollectorStarted { .. }
        | Fact::CollectorStopped { .. }
        | Fact::PolicyInForce { .. }
        | Fact::SubscriptionCreated { .. }
        | Fact::SubscriptionDeleted { .. }
        | Fact::RootKeyRotated { .. }
        | Fact::DataLossAccepted { .. }
        | Fact::BackupMade { .. }
        | Fact::StoreRestored { .. }
        | Fact::TokenIssued { .. }
        | Fact::TokenRevoked { .. }
        | Fact::RatchetsMoved { .. }
        | Fact::Refused { .. } => String::new(),
    }
}

fn by_whom(by: Option<&str>) -> String {
    by.map(|by| format!(", by {by}")).unwrap_or_default()
}

/// What a fact about an erasure says.
fn of_erasure(fact: &Fact) -> String {
    if let Fact::ErasureStepped { erasure, customer, scope, step, records, by } = fact {
        let records = count(*records, "batch", "batches");
        let (scope, step) = (scope.as_str().replace('_', " "), step.as_str().replace('_', " "));
        let asked = by.as_deref().map(|by| format!(", asked for by {by}")).unwrap_or_default();
        return format!("erasure {erasure}{} by {scope}: {step}, {records}{asked}", of(*customer));
    }
    let Fact::ErasureDone { erasure, customer, scope, class, events, rewritten, removed, notified, .. } =
        fact
    else {
        return String::new();
    };
    let class = class.map(|class| format!(" ({class})")).unwrap_or_default();
    format!(
        "erasure {erasure}{} by {scope}{class} done: {} gone, {} rewritten, {} removed, {} told",
        of(*customer),
        count(*events, "event", "events"),
        count(*rewritten, "batch", "batches"),
        count(*removed, "batch", "batches"),
        count(*notified, "subscription", "subscriptions")
    )
}
