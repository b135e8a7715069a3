//! `usaged policy explain`: one event, as sent and as every level would store it, side by side.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::files;
use crate::cli::batch_text;
use crate::cli::event_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};
use crate::cli::send::read_request;
use crate::grpc::client::Message as _;
use crate::grpc::proto::drain::Batch;
use crate::grpc::proto::ingest::SubmitRequest;
use crate::ingest::{Explain, LevelExplanation};
use crate::model::{ProductName, RegionName};
use crate::observe::Clock;
use crate::policy::{self, Policy};

#[derive(Debug, Args)]
#[command(after_help = "\
The pseudonyms are those of a made-up customer: nobody's real ones have the same text.

Examples:
  usaged policy explain --product vcenter event.ndjson
  echo '{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"esx-1.example.com\",\"vcpus\":8}}' | \\
      usaged policy explain --product vcenter --region eea --why")]
pub(super) struct ExplainArgs {
    /// A file with one event a line (NDJSON, as for `send`), or - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The product whose event it is.
    #[arg(long)]
    product: ProductName,
    /// The policy directory, in place of the shipped policy.
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// The region whose overlay applies.
    #[arg(long)]
    region: Option<RegionName>,
    /// Say why, field by field.
    #[arg(long)]
    why: bool,
}

impl ExplainArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        let compiled = files(self.policy.as_deref())
            .and_then(|files| policy::compile_with(&files, crate::sanitize::in_listed_value));
        let (policy, _notes) = compiled.map_err(|problems| Failure::Refused {
            what: "the policy has mistakes:".to_owned(),
            problems: problems.iter().map(ToString::to_string).collect(),
        })?;
        let request = read_request(&self.file, &self.product)?;
        let side_by_side = SideBySide::new(Arc::new(policy), self.region, &request)?;
        if out.is_json() {
            return out.json(&side_by_side.json());
        }
        for at in 0..request.events.len() {
            side_by_side.show_event(at, out)?;
        }
        if self.why { side_by_side.show_why(out) } else { Ok(()) }
    }
}

/// Events as sent, and what each level would store of them.
pub(in crate::cli) struct SideBySide<'r> {
    policy: Arc<Policy>,
    request: &'r SubmitRequest,
    levels: Vec<(LevelExplanation, Batch)>,
}

impl<'r> SideBySide<'r> {
    pub fn new(
        policy: Arc<Policy>,
        region: Option<RegionName>,
        request: &'r SubmitRequest,
    ) -> Result<Self, Failure> {
        let refused = |error: crate::ingest::Refusal| {
            Failure::Failed(format!("the event cannot be explained: {error}"))
        };
        let explain =
            Explain::for_anyone(Arc::clone(&policy), region, Clock::system().now()).map_err(refused)?;
        let mut levels = Vec::new();
        for level in explain.explain(&request.encode_to_vec()).map_err(refused)? {
            let batch = Batch::decode(&*level.batch)
                .map_err(|_| Failure::Failed("the stored form cannot be read back".to_owned()))?;
            levels.push((level, batch));
        }
        Ok(Self { policy, request, levels })
    }

    fn json(&self) -> Json {
        let levels: Vec<_> = self
            .levels
            .iter()
            .map(|(level, batch)| {
                let events: Vec<_> = batch_text::lines(batch, 0)
                    .map(|mut line| {
                        if let Some(object) = line.as_object_mut() {
                            object.remove("commit_number");
                        }
                        line
                    })
                    .collect();
                let fields = level.fields.iter();
                let fields: Vec<_> = fields
                    .map(|field| json!({ "place": field.place, "treatment": field.treatment, "why": field.why }))
                    .collect();
                json!({ "program": level.program, "level": level.level, "events": events, "fields": fields })
            })
            .collect();
        let sent: Vec<_> = self
            .request
            .events
            .iter()
            .map(|event| json!({ "name": event.name, "fields": event_text::show_fields(&event.fields) }))
            .collect();
        json!({ "policy_version": self.policy.version(), "sent": sent, "levels": levels })
    }

    /// One event: a row for each field, a column for each level of the program that it belongs to.
    pub fn show_event(&self, at: usize, out: Output) -> Result<(), Failure> {
        let Some(event) = self.request.events.get(at) else { return Ok(()) };
        let product = ProductName::new(&self.request.product).ok();
        let product = product.and_then(|name| self.policy.product(&name));
        let known = product
            .and_then(|product| product.events().iter().find(|known| known.name().as_str() == event.name));
        let program = known.and_then(|known| self.policy.programs().get(known.program()));
        let maps = Maps(match (product, known) {
            (Some(product), Some(known)) => {
                product.fields(known).map(|(_, field)| field.path().as_str()).collect()
            }
            (None, _) | (_, None) => Vec::new(),
        });
        let levels = self
            .levels
            .iter()
            .filter(|(level, _)| program.is_some_and(|program| program.name() == &level.program));
        let (mut heads, mut columns) = (
            vec![event.name.clone(), "as sent".to_owned()],
            vec![flat(&event_text::show_fields(&event.fields), &maps)],
        );
        for (level, batch) in levels {
            heads.push(format!("{} {}", level.program, level.level));
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

    fn show_why(&self, out: Output) -> Result<(), Failure> {
        let mut shown = table(&["field", "level", "treatment", "why"]);
        for (level, _) in &self.levels {
            for field in &level.fields {
                let at = format!("{} {}", level.program, level.level);
                shown.add_row([field.place.as_str(), &at, field.treatment, &field.why]);
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
