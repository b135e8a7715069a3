//! Events as they were sent and as each level would store them, in columns.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::cli::batch_text;
use crate::cli::event_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};
use crate::grpc::client::Message as _;
use crate::grpc::json::explained;
use crate::grpc::proto::admin::{EventShape, ExplainEventResponse, LevelExplanation};
use crate::grpc::proto::drain::Batch;
use crate::grpc::proto::ingest::SubmitRequest;

/// Events as sent, and what each level would store of them.
pub(super) struct SideBySide<'r> {
    request: &'r SubmitRequest,
    policy_version: String,
    shapes: Vec<EventShape>,
    levels: Vec<(LevelExplanation, Batch)>,
}

impl<'r> SideBySide<'r> {
    pub fn new(request: &'r SubmitRequest, told: ExplainEventResponse) -> Result<Self, Failure> {
        let unreadable = |_| Failure::Failed("the stored form cannot be read back".to_owned());
        let mut levels = Vec::new();
        for level in told.levels {
            let batch = Batch::decode(&*level.batch).map_err(unreadable)?;
            levels.push((level, batch));
        }
        Ok(Self { request, policy_version: told.policy_version, shapes: told.events, levels })
    }

    pub fn json(&self) -> Json {
        explained::events(&self.request.events, &self.policy_version, &self.levels)
    }

    /// One event: a row for each field, a column for each level of the program that it belongs to.
    pub fn show_event(&self, at: usize, out: Output) -> Result<(), Failure> {
        let Some(event) = self.request.events.get(at) else { return Ok(()) };
        let shape = self.shapes.get(at).filter(|shape| !shape.name.is_empty());
        let maps = Maps(shape.iter().flat_map(|shape| shape.paths.iter().map(String::as_str)).collect());
        let levels =
            self.levels.iter().filter(|(level, _)| shape.is_some_and(|shape| shape.program == level.program));
        let (mut heads, mut columns) = (
            vec![event.name.clone(), "as sent".to_owned()],
            vec![flat(&event_text::show_fields(&event.fields), &maps)],
        );
        for (level, batch) in levels {
            let in_force = if level.in_force { " (in force)" } else { "" };
            heads.push(format!("{} {}{in_force}", level.program, level.level));
            // The stored events are in the order of those sent, without those withheld.
            let stored = self.stored(batch, at);
            columns.push(stored.map(|fields| flat(&fields, &maps)).unwrap_or_default());
        }
        let mut shown = table(&heads);
        for field in columns.first().cloned().unwrap_or_default().keys() {
            let cells =
                columns.iter().map(|column| column.get(field).cloned().unwrap_or_else(|| "-".to_owned()));
            shown.add_row(std::iter::once(field.clone()).chain(cells));
        }
        out.table(&shown)
    }

    /// The stored form of the event at this place of the request.
    fn stored(&self, batch: &Batch, at: usize) -> Option<Json> {
        let name_of = |event: &crate::grpc::proto::drain::Event| {
            usize::try_from(event.name).ok().and_then(|name| batch.event_names.get(name)).cloned()
        };
        let before = self.request.events.iter().take(at);
        let name = &self.request.events.get(at)?.name;
        let nth = before.filter(|event| &event.name == name).count();
        let event = batch.events.iter().filter(|event| name_of(event).as_ref() == Some(name)).nth(nth)?;
        Some(batch_text::fields(batch, event))
    }

    /// What becomes of every field at every level, and why.
    pub fn show_why(&self, out: Output) -> Result<(), Failure> {
        let mut shown = table(&["field", "level", "treatment", "why"]);
        for (level, _) in &self.levels {
            for field in &level.fields {
                let at = format!("{} {}", level.program, level.level);
                shown.add_row([&field.place, &at, &field.treatment, &field.why]);
            }
        }
        out.table(&shown)
    }
}

/// The paths of an event's fields: tells records, whose keys are names, from maps, whose keys are data.
pub(in crate::cli) struct Maps<'p>(pub Vec<&'p str>);

impl Maps<'_> {
    fn is_record(&self, path: &str) -> bool {
        self.0.iter().any(|known| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// Fields by path, records opened up; lists and maps stay whole.
pub(in crate::cli) fn flat(fields: &Json, maps: &Maps<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Json::Object(fields) = fields {
        flatten("", fields, maps, &mut found);
    }
    found
}

fn flatten(prefix: &str, fields: &Map<String, Json>, maps: &Maps<'_>, found: &mut BTreeMap<String, String>) {
    for (name, value) in fields {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Json::Object(inner) if maps.is_record(&path) => flatten(&path, inner, maps, found),
            Json::String(text) => {
                found.insert(path, text.clone());
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                found.insert(path, value.to_string());
            }
        }
    }
}
