//! Participations of the API, from and to those of the model.

use std::collections::BTreeMap;

use crate::grpc::proto::admin as pb;
use crate::grpc::status::Fault;
use crate::grpc::times::timestamp;
use crate::model::{
    Change, CustomerId, Delivery, InvalidId, LevelName, Participation, ProductLevel, ProductName,
    ProgramName, Purpose, RegionName,
};

/// Levels, product levels or accepted dictionaries that one participation may list.
const ENTRIES: usize = 256;

/// The customer id in `field`.
pub(in crate::grpc) fn customer(field: &'static str, given: &str) -> Result<CustomerId, Fault> {
    CustomerId::new(given).map_err(|invalid| Fault::field(field, invalid.rule))
}

/// A text that an operator wrote, of 1 to `most` bytes.
pub(in crate::grpc) fn written(field: &'static str, given: &str, most: usize) -> Result<String, Fault> {
    let text = given.trim();
    if text.is_empty() || text.len() > most || text.contains(char::is_control) {
        return Err(Fault::field(
            field,
            format!("is required: 1 to {most} bytes without control characters"),
        ));
    }
    Ok(text.to_owned())
}

/// Makes an id, or names the field that is wrong.
fn id<T>(field: &'static str, made: Result<T, InvalidId>) -> Result<T, Fault> {
    made.map_err(|invalid| Fault::field(field, invalid.rule))
}

/// The participation that a caller describes.
pub(in crate::grpc) fn participation(given: &pb::Participation) -> Result<Participation, Fault> {
    let mut participation = Participation::none(customer("participation.customer", &given.customer)?);
    let lists = [given.levels.len(), given.product_levels.len(), given.accepted_dictionaries.len()];
    if lists.iter().any(|len| *len > ENTRIES) || given.purposes_off.len() > Purpose::ALL.len() {
        return Err(Fault::field("participation", "lists too much: at most 256 entries of a kind"));
    }
    participation.levels = levels(&given.levels)?;
    participation.product_levels = product_levels(&given.product_levels)?;
    if !given.region.is_empty() {
        participation.region = Some(id("participation.region", RegionName::new(&given.region))?);
    }
    for word in &given.purposes_off {
        let purpose = word.parse::<Purpose>();
        let purpose = purpose.map_err(|e| Fault::field("participation.purposes_off", e.to_string()))?;
        if !participation.purposes_off.contains(&purpose) {
            participation.purposes_off.push(purpose);
        }
    }
    participation.purposes_off.sort_unstable();
    if !given.delivery.is_empty() {
        let delivery = given.delivery.parse::<Delivery>();
        participation.delivery =
            delivery.map_err(|e| Fault::field("participation.delivery", e.to_string()))?;
    }
    for accepted in &given.accepted_dictionaries {
        let product = id("participation.accepted_dictionaries", ProductName::new(&accepted.product))?;
        if participation.accepted_dictionaries.insert(product, accepted.version).is_some() {
            return Err(Fault::field("participation.accepted_dictionaries", "names a product twice"));
        }
    }
    Ok(participation)
}

fn levels(given: &[pb::ProgramLevel]) -> Result<BTreeMap<ProgramName, LevelName>, Fault> {
    const FIELD: &str = "participation.levels";
    let mut levels = BTreeMap::new();
    for pb::ProgramLevel { program, level } in given {
        let program = id(FIELD, ProgramName::new(program))?;
        if levels.insert(program, id(FIELD, LevelName::new(level))?).is_some() {
            return Err(Fault::field(FIELD, "names a program twice"));
        }
    }
    Ok(levels)
}

fn product_levels(given: &[pb::ProductLevel]) -> Result<Vec<ProductLevel>, Fault> {
    const FIELD: &str = "participation.product_levels";
    let mut levels: Vec<ProductLevel> = Vec::with_capacity(given.len());
    for pb::ProductLevel { product, program, level } in given {
        let product = id(FIELD, ProductName::new(product))?;
        let program = id(FIELD, ProgramName::new(program))?;
        if levels.iter().any(|l| l.product == product && l.program == program) {
            return Err(Fault::field(FIELD, "names a product and program twice"));
        }
        levels.push(ProductLevel { product, program, level: id(FIELD, LevelName::new(level))? });
    }
    levels.sort_by(|a, b| (&a.product, &a.program).cmp(&(&b.product, &b.program)));
    Ok(levels)
}

/// A participation after a change, as the API says it.
pub(super) fn api_participation(change: &Change) -> pb::Participation {
    pb::Participation {
        changed_by: change.by.clone(),
        change_reason: change.reason.clone(),
        change_time: Some(timestamp(change.at)),
        revision: change.revision,
        ..api_choice(&change.participation)
    }
}

/// Levels by program, as the API says them.
pub(super) fn api_levels(levels: &BTreeMap<ProgramName, LevelName>) -> Vec<pb::ProgramLevel> {
    let level = |(program, level): (&ProgramName, &LevelName)| pb::ProgramLevel {
        program: program.to_string(),
        level: level.to_string(),
    };
    levels.iter().map(level).collect()
}

/// What a customer chose, as the API says it.
pub(super) fn api_choice(participation: &Participation) -> pb::Participation {
    pb::Participation {
        customer: participation.customer.to_string(),
        levels: api_levels(&participation.levels),
        product_levels: participation
            .product_levels
            .iter()
            .map(|l| pb::ProductLevel {
                product: l.product.to_string(),
                program: l.program.to_string(),
                level: l.level.to_string(),
            })
            .collect(),
        region: participation.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        purposes_off: participation.purposes_off.iter().map(ToString::to_string).collect(),
        delivery: participation.delivery.to_string(),
        accepted_dictionaries: participation
            .accepted_dictionaries
            .iter()
            .map(|(product, version)| pb::AcceptedDictionary {
                product: product.to_string(),
                version: *version,
            })
            .collect(),
        ..pb::Participation::default()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::model::UnixMillis;

    fn full() -> pb::Participation {
        let text = str::to_owned;
        pb::Participation {
            customer: text("acme"),
            levels: vec![
                pb::ProgramLevel { program: text("ceip"), level: text("standard") },
                pb::ProgramLevel { program: text("operational"), level: text("operational") },
            ],
            product_levels: vec![pb::ProductLevel {
                product: text("vcenter"),
                program: text("ceip"),
                level: text("none"),
            }],
            region: text("eea"),
            purposes_off: vec![text("improve")],
            delivery: text("audit"),
            accepted_dictionaries: vec![pb::AcceptedDictionary { product: text("vcenter"), version: 2 }],
            changed_by: text("ann"),
            change_reason: text("contract 7"),
            change_time: Some(timestamp(UnixMillis(1_500))),
            revision: 3,
        }
    }

    #[test]
    fn a_participation_comes_back_as_it_was_set() {
        let given = full();
        let change = Change {
            participation: participation(&given).unwrap(),
            revision: 3,
            by: "ann".into(),
            reason: "contract 7".into(),
            at: UnixMillis(1_500),
        };
        assert_eq!(api_participation(&change), given);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let wrong = |change: fn(&mut pb::Participation)| {
            let mut given = full();
            change(&mut given);
            participation(&given).unwrap_err().batch_error().field
        };
        assert_eq!(wrong(|p| p.customer.clear()), "participation.customer");
        assert_eq!(wrong(|p| p.levels.extend(full().levels)), "participation.levels");
        assert_eq!(wrong(|p| p.product_levels.extend(full().product_levels)), "participation.product_levels");
        assert_eq!(wrong(|p| p.region = "E U".into()), "participation.region");
        assert_eq!(wrong(|p| p.purposes_off = vec!["sell".into()]), "participation.purposes_off");
        assert_eq!(wrong(|p| p.delivery = "maybe".into()), "participation.delivery");
        assert_eq!(
            wrong(|p| p.accepted_dictionaries.extend(full().accepted_dictionaries)),
            "participation.accepted_dictionaries"
        );
        assert_eq!(wrong(|p| p.levels = vec![pb::ProgramLevel::default(); 257]), "participation");
    }

    #[test]
    fn who_and_why_are_required() {
        for bad in ["", "   ", "a\nb", &"x".repeat(129)] {
            assert!(written("changed_by", bad, 128).is_err());
        }
        assert_eq!(written("changed_by", " ann ", 128).unwrap(), "ann");
    }
}
