//! The purpose filter: from a stored batch to what one purpose may see (P7). Fields of other
//! purposes go, with their names; so do events and records that had nothing else.

use super::copy::Copy;
use super::stored::StoredBatch;
use crate::model::{Purpose, Purposes, WireFault};

/// What is left of a batch for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filtered {
    /// All of it: the batch can be handed out as it is.
    Whole,
    /// What was written to the output, with so many events.
    Part {
        /// Events that are left; at least one.
        events: u32,
    },
    /// Nothing.
    Nothing,
}

/// Filters `body`, a stored `usaged.drain.v1.Batch`, for `purpose` into `out`, which is cleared
/// first and stays empty unless the answer is [`Filtered::Part`].
///
/// # Errors
/// If `body` is not what [`super::SanitizedBatch::body`] gives: a damaged record.
pub fn filter_purpose(body: &[u8], purpose: Purpose, out: &mut Vec<u8>) -> Result<Filtered, WireFault> {
    out.clear();
    let batch = StoredBatch::read(body)?;
    let names: Vec<bool> =
        (0..batch.event_purposes.len()).map(|name| batch.purposes_of(name).has(purpose)).collect();
    if !names.contains(&true) {
        return Ok(Filtered::Nothing);
    }
    let specs: Vec<bool> = batch
        .specs
        .iter()
        .map(|spec| {
            // A map without its keys is nothing.
            let has_keys = spec.key == 0
                || batch
                    .key_of(spec)
                    .and_then(|key| batch.specs.get(key))
                    .is_some_and(|key| key.purposes.has(purpose));
            spec.purposes.has(purpose) && has_keys
        })
        .collect();
    if !specs.contains(&false) && !names.contains(&false) {
        return Ok(Filtered::Whole);
    }
    let mut copy = Copy::new(&batch, specs);
    let mut events = batch.events;
    while let Some(event) = events.next()? {
        if names.get(event.name).copied().unwrap_or(false) {
            copy.event(&event)?;
        }
    }
    if copy.event_count() == 0 {
        return Ok(Filtered::Nothing);
    }
    // Of the purposes of an event, the drainer learns its own only.
    copy.write(body, |_| Purposes::only(purpose), out)?;
    Ok(Filtered::Part { events: copy.event_count() })
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
