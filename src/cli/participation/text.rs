//! A participation as JSON, as rows for people, and as it comes from a file.

use serde_json::{Value as Json, json};

use crate::cli::batch_text::time_text;
use crate::grpc::proto::admin::{AcceptedDictionary, Participation, ProductLevel, ProgramLevel};
use crate::model;

/// As `--json` shows it: what `import` reads, with the change beside it.
pub(super) fn json(participation: &Participation) -> Json {
    let levels: serde_json::Map<_, _> =
        participation.levels.iter().map(|one| (one.program.clone(), json!(one.level))).collect();
    let products: Vec<_> = participation
        .product_levels
        .iter()
        .map(|one| json!({ "product": one.product, "program": one.program, "level": one.level }))
        .collect();
    let accepted: serde_json::Map<_, _> = participation
        .accepted_dictionaries
        .iter()
        .map(|one| (one.product.clone(), json!(one.version)))
        .collect();
    let region = Some(&participation.region).filter(|region| !region.is_empty());
    json!({
        "customer": participation.customer,
        "levels": levels,
        "product_levels": products,
        "region": region,
        "purposes_off": participation.purposes_off,
        "delivery": participation.delivery,
        "accepted_dictionaries": accepted,
        "changed_by": participation.changed_by,
        "change_reason": participation.change_reason,
        "change_time": participation.change_time.as_ref().map(time_text),
        "revision": participation.revision,
    })
}

/// The levels in one line.
pub(super) fn levels(participation: &Participation) -> String {
    let each = participation.levels.iter().map(|one| format!("{}={}", one.program, one.level));
    let levels: Vec<_> = each.collect();
    if levels.is_empty() { "none".to_owned() } else { levels.join(" ") }
}

/// Names and values for people.
pub(super) fn rows(participation: &Participation) -> Vec<(&'static str, String)> {
    let products = participation.product_levels.iter();
    let products: Vec<_> =
        products.map(|one| format!("{}:{}={}", one.product, one.program, one.level)).collect();
    let accepted = participation.accepted_dictionaries.iter();
    let accepted: Vec<_> = accepted.map(|one| format!("{}={}", one.product, one.version)).collect();
    let mut rows = vec![
        ("customer", participation.customer.clone()),
        ("levels", levels(participation)),
        ("product levels", products.join(" ")),
        ("region", participation.region.clone()),
        ("purposes off", participation.purposes_off.join(" ")),
        ("delivery", participation.delivery.clone()),
        ("accepted dictionaries", accepted.join(" ")),
        ("revision", participation.revision.to_string()),
        ("changed", participation.change_time.as_ref().map(time_text).unwrap_or_default()),
        ("by", participation.changed_by.clone()),
        ("reason", participation.change_reason.clone()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

/// From a file to the wire.
pub(super) fn to_wire(participation: model::Participation) -> Participation {
    let level = |(program, level): (model::ProgramName, model::LevelName)| ProgramLevel {
        program: program.to_string(),
        level: level.to_string(),
    };
    let product_level = |one: model::ProductLevel| ProductLevel {
        product: one.product.to_string(),
        program: one.program.to_string(),
        level: one.level.to_string(),
    };
    let accepted = |(product, version): (model::ProductName, u32)| AcceptedDictionary {
        product: product.to_string(),
        version,
    };
    Participation {
        customer: participation.customer.to_string(),
        levels: participation.levels.into_iter().map(level).collect(),
        product_levels: participation.product_levels.into_iter().map(product_level).collect(),
        region: participation.region.map(|region| region.to_string()).unwrap_or_default(),
        purposes_off: participation.purposes_off.iter().map(ToString::to_string).collect(),
        delivery: participation.delivery.to_string(),
        accepted_dictionaries: participation.accepted_dictionaries.into_iter().map(accepted).collect(),
        ..Participation::default()
    }
}
