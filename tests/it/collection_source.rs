//! A source that knows a collection plan, for tests: it sends what the plan wants and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use usaged::grpc::proto::ingest::{
    Event, Field as Sent, List, Record, SubmitRequest, Value, value::Kind as Wire,
};
use usaged::policy::{Collection, Wish};

/// Different values that are never stored, of a program in one batch; of one with more no text is kept.
const NEVER_STORED: usize = 4_096;

/// What a source does that knows the plan and nothing else.
pub struct Obedient {
    /// For each event that is wanted, the paths that are.
    wanted: BTreeMap<String, BTreeSet<String>>,
    /// For each event, the paths of what is to be kept out of text, with its marker.
    cuts: BTreeMap<String, BTreeMap<String, String>>,
    /// For each event, the paths of the text to keep it out of.
    texts: BTreeMap<String, BTreeSet<String>>,
    programs: BTreeMap<String, String>,
    instance: bool,
}

impl Obedient {
    /// `context`: whether what only helps to redact text is sent too.
    pub fn new(plan: &Collection, context: bool) -> Self {
        let paths = |event: &usaged::policy::EventWish| {
            let fields = event.fields.iter().filter(|field| match field.wish {
                Wish::Stored { .. } => true,
                Wish::Context(_) => context,
                Wish::Cut(..) | Wish::Unwanted(_) => false,
            });
            fields.map(|field| field.path.to_string()).collect()
        };
        let is_context = |field: &usaged::policy::FieldWish| matches!(field.wish, Wish::Context(_));
        let wanted = plan
            .events
            .iter()
            .filter(|event| event.withheld.is_none() || context && event.fields.iter().any(is_context));
        let redacted = |field: &usaged::policy::FieldWish| {
            matches!(field.wish, Wish::Stored { treatment: "redact", .. })
        };
        let redacts = plan.events.iter().any(|event| event.fields.iter().any(redacted));
        let cuts = |event: &usaged::policy::EventWish| {
            let marker = |field: &usaged::policy::FieldWish| match field.wish {
                Wish::Cut(_, class) => Some((field.path.to_string(), format!("[{class}]"))),
                Wish::Stored { .. } | Wish::Context(_) | Wish::Unwanted(_) => None,
            };
            event.fields.iter().filter_map(marker).collect()
        };
        let texts = |event: &usaged::policy::EventWish| {
            let texts = event.fields.iter().filter(|field| redacted(field));
            texts.map(|field| field.path.to_string()).collect()
        };
        let each = || plan.events.iter().map(|event| (event.name.to_string(), event));
        Self {
            cuts: each().map(|(name, event)| (name, cuts(event))).collect(),
            texts: each().map(|(name, event)| (name, texts(event))).collect(),
            programs: each().map(|(name, event)| (name, event.program.to_string())).collect(),
            wanted: wanted.map(|event| (event.name.to_string(), paths(event))).collect(),
            instance: redacts || plan.programs.iter().any(|program| !program.instance.is_empty()),
        }
    }

    /// What is left of a request; `None` if nothing is.
    pub fn strip(&self, request: &SubmitRequest) -> Option<SubmitRequest> {
        let mut events: Vec<_> = request.events.iter().filter_map(|event| self.event(event)).collect();
        self.cut(request, &mut events);
        let instance = if self.instance { request.instance.clone() } else { String::new() };
        (!events.is_empty()).then(|| SubmitRequest { events, instance, ..request.clone() })
    }

    /// The same, but for what has to be kept out of text: that stays in it.
    pub fn strip_fields(&self, request: &SubmitRequest) -> SubmitRequest {
        let events = request.events.iter().filter_map(|event| self.event(event)).collect();
        SubmitRequest { events, ..request.clone() }
    }

    /// Puts markers in the place of what is never stored, wherever it stands in text.
    fn cut(&self, request: &SubmitRequest, events: &mut [Event]) {
        let mut found: BTreeMap<&String, Vec<(String, &String)>> = BTreeMap::new();
        for event in &request.events {
            let Some(program) = self.programs.get(&event.name) else { continue };
            for (path, marker) in self.cuts.get(&event.name).into_iter().flatten() {
                let fields = event.fields.iter().filter(|one| one.name == *path);
                let values = fields.filter_map(|one| one.value.as_ref().and_then(in_text));
                found.entry(program).or_default().extend(values.map(|value| (value, marker)));
            }
        }
        found.values_mut().for_each(|all| all.sort_by_key(|(value, _)| std::cmp::Reverse(value.len())));
        for event in events {
            let found = self.programs.get(&event.name).and_then(|program| found.get(program));
            let (Some(found), Some(paths)) = (found, self.texts.get(&event.name)) else { continue };
            for one in event.fields.iter_mut().filter(|one| paths.contains(&one.name)) {
                if let Some(Value { kind: Some(Wire::StringValue(text)) }) = &mut one.value {
                    let is_over = found.len() > NEVER_STORED && different(found) > NEVER_STORED;
                    *text = if is_over { "[cut]".to_owned() } else { without(text, found) };
                }
            }
        }
    }

    fn event(&self, event: &Event) -> Option<Event> {
        let wanted = self.wanted.get(&event.name)?;
        Some(Event { fields: fields(&event.fields, "", wanted), ..event.clone() })
    }
}

/// Whether a path, or anything in it, is wanted.
fn is_wanted(path: &str, wanted: &BTreeSet<String>) -> bool {
    let inside = |one: &String| one.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[', '{']));
    wanted.contains(path) || wanted.iter().any(inside)
}

fn fields(sent: &[Sent], prefix: &str, wanted: &BTreeSet<String>) -> Vec<Sent> {
    let path = |one: &Sent| format!("{prefix}{}", one.name);
    let kept = sent.iter().filter(|one| is_wanted(&path(one), wanted));
    kept.map(|one| Sent { value: one.value.as_ref().map(|v| value(v, &path(one), wanted)), ..one.clone() })
        .collect()
}

fn value(sent: &Value, path: &str, wanted: &BTreeSet<String>) -> Value {
    let is_map = wanted.iter().any(|one| one.strip_prefix(path).is_some_and(|rest| rest.starts_with('{')));
    let kind = match &sent.kind {
        Some(Wire::RecordValue(record)) if is_map => {
            let inner = format!("{path}{{}}");
            let pair = |pair: &Sent| Sent {
                value: pair.value.as_ref().map(|v| value(v, &inner, wanted)),
                ..pair.clone()
            };
            Some(Wire::RecordValue(Record { fields: record.fields.iter().map(pair).collect() }))
        }
        Some(Wire::RecordValue(record)) if !wanted.contains(path) => {
            Some(Wire::RecordValue(Record { fields: fields(&record.fields, &format!("{path}."), wanted) }))
        }
        Some(Wire::ListValue(list)) => {
            let inner = format!("{path}[]");
            Some(Wire::ListValue(List {
                values: list.values.iter().map(|v| value(v, &inner, wanted)).collect(),
            }))
        }
        other => other.clone(),
    };
    Value { kind }
}

/// How many different values there are.
fn different(found: &[(String, &String)]) -> usize {
    found.iter().collect::<BTreeSet<_>>().len()
}

/// How a value stands in text.
fn in_text(value: &Value) -> Option<String> {
    match value.kind.as_ref()? {
        Wire::StringValue(text) => (text.len() > 3).then(|| text.clone()),
        Wire::IntValue(number) => (number.unsigned_abs() > 9_999).then(|| number.to_string()),
        Wire::BytesValue(bytes) => Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => data_encoding::HEXLOWER.encode(bytes),
        }),
        _ => None,
    }
}

/// A text with markers for whole words that are one of `found`, of which the longest come first.
fn without(text: &str, found: &[(String, &String)]) -> String {
    let mut out = String::new();
    let mut at = 0;
    let goes_on = |beside: Option<&u8>| beside.is_some_and(u8::is_ascii_alphanumeric);
    while let Some(c) = text[at..].chars().next() {
        let starts = !goes_on(at.checked_sub(1).and_then(|before| text.as_bytes().get(before)));
        let is_here = |value: &str| {
            let end = at + value.len();
            text.get(at..end).is_some_and(|here| here.eq_ignore_ascii_case(value))
                && !goes_on(text.as_bytes().get(end))
        };
        let here = found.iter().filter(|_| starts).find(|(value, _)| is_here(value));
        match here {
            Some((value, marker)) => {
                out.push_str(marker);
                at += value.len();
            }
            None => {
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    out
}
