//! What a change of participation changes, setting by setting: each with what holds before and after it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};
use crate::grpc::proto::admin::Participation;

/// A setting that changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Its name, as the row of a participation has it.
    setting: String,
    /// What holds before; empty if it was not set.
    from: String,
    /// What holds after; empty if it is not set any more.
    to: String,
}

/// Every setting of a participation, by name. What says nothing is not in it.
fn settings(of: &Participation) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for one in &of.levels {
        all.insert(format!("level of {}", one.program), one.level.clone());
    }
    for one in &of.product_levels {
        all.insert(format!("level of {}, product {}", one.program, one.product), one.level.clone());
    }
    for one in &of.accepted_dictionaries {
        all.insert(format!("accepted dictionary of {}", one.product), one.version.to_string());
    }
    let mut purposes = of.purposes_off.clone();
    purposes.sort_unstable();
    all.insert("purposes off".to_owned(), purposes.join(" "));
    all.insert("region".to_owned(), of.region.clone());
    all.insert("delivery".to_owned(), of.delivery.clone());
    all.retain(|_, value| !value.is_empty());
    all
}

/// What changes from one participation to another, in the order of the names. No participation has no settings.
pub(super) fn changes(before: &Participation, after: &Participation) -> Vec<Change> {
    let (before, after) = (settings(before), settings(after));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let value = |of: &BTreeMap<String, String>, name: &str| of.get(name).cloned().unwrap_or_default();
    let all = names.into_iter().map(|name| Change {
        setting: name.clone(),
        from: value(&before, name),
        to: value(&after, name),
    });
    all.filter(|change| change.from != change.to).collect()
}

/// The changes as `--json` shows them.
pub(super) fn json(changes: &[Change]) -> Value {
    let each = changes.iter().map(|one| json!({ "setting": one.setting, "from": one.from, "to": one.to }));
    each.collect()
}

/// Shows the changes to a person.
pub(super) fn show(changes: &[Change], out: Output) -> Result<(), Failure> {
    if changes.is_empty() {
        return out.line("no setting changes");
    }
    let told = |value: &str| if value.is_empty() { "(not set)".to_owned() } else { value.to_owned() };
    let mut shown = table(&["setting", "before", "after"]);
    for one in changes {
        shown.add_row([one.setting.clone(), told(&one.from), told(&one.to)]);
    }
    out.table(&shown)
}

#[cfg(test)]
mod tests {
    use super::changes;
    use crate::grpc::proto::admin::{AcceptedDictionary, Participation, ProductLevel, ProgramLevel};

    #[test]
    fn every_setting_that_changes_is_told_and_no_other() {
        let level = |level: &str| ProgramLevel { program: "ceip".into(), level: level.into() };
        let product =
            ProductLevel { product: "horizon".into(), program: "ceip".into(), level: "none".into() };
        let accepted = |version| AcceptedDictionary { product: "vcenter".into(), version };
        let before = Participation {
            levels: vec![level("enhanced")],
            region: "eea".into(),
            delivery: "deliver".into(),
            purposes_off: vec!["improve".into(), "recommend".into()],
            accepted_dictionaries: vec![accepted(1)],
            ..Participation::default()
        };
        let after = Participation {
            levels: vec![level("standard")],
            product_levels: vec![product],
            delivery: "paused".into(),
            purposes_off: vec!["recommend".into()],
            accepted_dictionaries: vec![accepted(2)],
            ..Participation::default()
        };
        let told = changes(&before, &after);
        let told: Vec<_> =
            told.iter().map(|one| (one.setting.as_str(), one.from.as_str(), one.to.as_str())).collect();
        assert_eq!(
            told,
            [
                ("accepted dictionary of vcenter", "1", "2"),
                ("delivery", "deliver", "paused"),
                ("level of ceip", "enhanced", "standard"),
                ("level of ceip, product horizon", "", "none"),
                ("purposes off", "improve recommend", "recommend"),
                ("region", "eea", ""),
            ]
        );
        let turned = Participation {
            purposes_off: before.purposes_off.iter().rev().cloned().collect(),
            ..before.clone()
        };
        assert_eq!(changes(&before, &turned), [], "the order says nothing");
    }
}
