//! Gathers the known identifiers of a request before the text of a program's events is redacted.
//!
//! They are the values of the classed fields of all events of that program, as the dictionary declares them,
//! stored or not: whatever the level, the purposes or the accepted version make of them, the same are found. Events
//! of another program have no say. A customer can leave that one, and then nothing of it is sent; what is stored
//! of this one has to be the same.

use super::known::Known;
use crate::model::{RawFields, RawItems, RawValue, WireError, WireReader};
use crate::policy::{Kind, NameTable, Plan, Shape};
use crate::sanitize::{Permit, canonical};

/// Takes every classed value of every event of the program of `plan` in a request, and the ids of its customer and
/// instance.
///
/// # Errors
/// If the bytes are not what the format says.
pub(in crate::sanitize) fn gather<'a, R: WireReader<'a>>(
    permit: &Permit,
    plan: &Plan,
    instance: &[u8],
    mut reader: R,
    (known, scratch): (&mut Known, &mut canonical::Scratch),
) -> Result<(), WireError> {
    use crate::model::IdentifierClass::{CustomerId, InstanceId};
    known.clear();
    known.add(CustomerId, permit.customer().as_str().as_bytes(), scratch);
    known.add(InstanceId, instance, scratch);
    while let Some(event) = reader.next_event()? {
        let is_own = permit.event(event.name).is_some_and(|known| known.program == plan.program_index);
        if let Some(fields) = permit.event_fields(event.name).filter(|_| is_own) {
            Gather { plan, known, scratch }.fields(event.fields, fields)?;
        }
    }
    known.finish();
    known.program = Some(plan.program_index);
    Ok(())
}

struct Gather<'g> {
    plan: &'g Plan,
    known: &'g mut Known,
    scratch: &'g mut canonical::Scratch,
}

impl Gather<'_> {
    fn fields<'a, F: RawFields<'a>>(&mut self, mut fields: F, names: &NameTable) -> Result<(), WireError> {
        while let Some((name, value)) = fields.next_field()? {
            if let Some(field) = names.get(name.expose()) {
                self.value(field, value)?;
            }
        }
        Ok(())
    }

    fn value<'a, F: RawFields<'a>>(&mut self, field: u32, value: RawValue<'a, F>) -> Result<(), WireError> {
        let plan = self.plan;
        let Some(field) = usize::try_from(field).ok().and_then(|at| plan.fields.get(at)) else {
            return Ok(());
        };
        match (&field.shape, value) {
            (Shape::Scalar { kind: Kind::Text, .. }, RawValue::Text(text)) => {
                self.known.add(field.spec.class, text.expose(), self.scratch);
            }
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names)?,
            (Shape::List { item }, RawValue::List(mut items)) => {
                while let Some(value) = items.next_item()? {
                    self.value(*item, value)?;
                }
            }
            (Shape::Map { key, value }, RawValue::Record(mut pairs)) => {
                while let Some((raw_key, raw_value)) = pairs.next_field()? {
                    self.value::<F>(*key, RawValue::Text(raw_key))?;
                    self.value(*value, raw_value)?;
                }
            }
            (Shape::Scalar { .. } | Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }, _) => {}
        }
        Ok(())
    }
}
