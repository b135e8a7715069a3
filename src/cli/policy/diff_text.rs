//! What differs between two policies, as tables and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, right, table};
use crate::policy::{
    Change, DictionaryChange, Direction, Policy, Spot, StructureChange, Subject, Touched, TouchedTally,
    dictionaries, diff, structure,
};

/// What differs.
pub(super) struct Report<'p> {
    old: String,
    new: &'p Policy,
    structure: Vec<StructureChange>,
    changes: Vec<Change>,
    dictionary: Vec<DictionaryChange>,
}

/// Who was counted, and where.
type Counted<'c> = Option<(&'c Touched<'c>, &'c str)>;

impl<'p> Report<'p> {
    pub fn of_policies(old: &Policy, new: &'p Policy) -> Self {
        Self {
            old: old.version().to_owned(),
            new,
            structure: structure(old, new),
            changes: diff(old, new),
            dictionary: dictionaries(old, new),
        }
    }

    /// Of what the dictionaries of one policy have brought since a version.
    pub fn since(new: &'p Policy, version: u32, changes: Vec<Change>) -> Self {
        let old = format!("{}, dictionaries of version {version}", new.version());
        Self { old, new, structure: Vec::new(), changes, dictionary: Vec::new() }
    }

    /// How many changes may make something more visible.
    pub fn exposed(&self) -> usize {
        let changes = self.changes.iter().filter(|change| change.direction.exposes()).count();
        let parts =
            self.structure.iter().filter(|part| part.direction.is_some_and(Direction::exposes)).count();
        changes + parts
    }

    pub fn show(&self, counted: Counted<'_>, out: Output) -> Result<(), Failure> {
        if out.is_json() {
            return out.json(&self.json(counted));
        }
        out.table(&pairs([("old", self.old.as_str()), ("new", self.new.version())]))?;
        self.show_structure(out)?;
        self.show_changes(counted.map(|(touched, _)| touched), out)?;
        self.show_dictionary(out)?;
        self.show_sums(counted, out)
    }

    fn show_structure(&self, out: Output) -> Result<(), Failure> {
        if self.structure.is_empty() {
            return Ok(());
        }
        let mut shown = table(&["visible", "part", "name", "before", "after"]);
        for part in &self.structure {
            let direction = part.direction.map_or("-", Direction::as_str);
            let [before, after] = [&part.before, &part.after].map(|told| or_dash(told));
            shown.add_row([direction, part.part.as_str(), &part.name, before, after]);
        }
        out.table(&shown)
    }

    fn show_changes(&self, touched: Option<&Touched<'_>>, out: Output) -> Result<(), Failure> {
        if self.changes.is_empty() {
            return out
                .line("no event and no field becomes more or less visible at any level that both have");
        }
        let mut head = vec!["visible", "what", "at", "before", "after", "when"];
        if touched.is_some() {
            head.extend(["customers", "once accepted"]);
        }
        let mut shown = table(&head);
        for row in rows(&self.changes) {
            let when = if row.first.at_once { "at once" } else { "when accepted" };
            let mut cells = vec![
                row.first.direction.as_str().to_owned(),
                what(&row.first.spot),
                row.places.join("\n"),
                row.first.before.clone(),
                row.first.after.clone(),
                when.to_owned(),
            ];
            if let Some(touched) = touched {
                let sum = row.spots.iter().fold(TouchedTally::default(), |sum, spot| {
                    let more = touched.at(spot);
                    TouchedTally {
                        at_once: sum.at_once.saturating_add(more.at_once),
                        when_accepted: sum.when_accepted.saturating_add(more.when_accepted),
                    }
                });
                cells.extend([grouped(sum.at_once), grouped(sum.when_accepted)]);
            }
            shown.add_row(cells);
        }
        right(&mut shown, [6, 7]);
        out.table(&shown)
    }

    fn show_dictionary(&self, out: Output) -> Result<(), Failure> {
        if self.dictionary.is_empty() {
            return Ok(());
        }
        out.line("\nwhat the dictionaries say otherwise:")?;
        let mut shown = table(&["what", "", "before", "after"]);
        for said in &self.dictionary {
            let field = said.field.as_ref().map(|field| format!(" {field}")).unwrap_or_default();
            let what = format!("{} {}{field}", said.product, said.event);
            shown.add_row([&what, said.what, or_dash(&said.before), or_dash(&said.after)]);
        }
        out.table(&shown)
    }

    fn show_sums(&self, counted: Counted<'_>, out: Output) -> Result<(), Failure> {
        let count = |direction| self.changes.iter().filter(|change| change.direction == direction).count();
        out.line(&format!(
            "\nof events and fields, per level and region: {} more visible, {} incomparable, {} less visible",
            count(Direction::More),
            count(Direction::Incomparable),
            count(Direction::Less)
        ))?;
        let Some((touched, place)) = counted else {
            return out.line("customers were not counted: name a running collector with --server");
        };
        out.line(&format!("customers at {place}: {}", grouped(touched.customers())))?;
        let mut shown = table(&["of them touched", "at once", "once accepted"]);
        for direction in Direction::ALL {
            let tally = touched.total(*direction);
            let word = direction.as_str().to_owned();
            shown.add_row([word, grouped(tally.at_once), grouped(tally.when_accepted)]);
        }
        right(&mut shown, [1, 2]);
        out.table(&shown)
    }

    fn json(&self, counted: Counted<'_>) -> Json {
        let touched = counted.map(|(touched, _)| touched);
        let structure: Vec<_> = self
            .structure
            .iter()
            .map(|part| {
                json!({
                    "part": part.part.as_str(), "name": part.name, "before": part.before,
                    "after": part.after, "direction": part.direction.map(Direction::as_str),
                })
            })
            .collect();
        let changes: Vec<_> = self.changes.iter().map(|change| change_json(change, touched)).collect();
        let dictionary: Vec<_> = self
            .dictionary
            .iter()
            .map(|said| {
                json!({
                    "product": said.product, "event": said.event, "field": said.field, "what": said.what,
                    "before": said.before, "after": said.after,
                })
            })
            .collect();
        let customers = counted.map(|(touched, place)| {
            let totals: serde_json::Map<_, _> = Direction::ALL
                .iter()
                .map(|direction| (direction.as_str().to_owned(), tally_json(touched.total(*direction))))
                .collect();
            json!({ "collector": place, "counted": touched.customers(), "touched": totals })
        });
        json!({
            "old": self.old,
            "new": self.new.version(),
            "exposed": self.exposed(),
            "structure": structure,
            "changes": changes,
            "dictionary": dictionary,
            "customers": customers,
        })
    }
}

fn or_dash(told: &str) -> &str {
    if told.is_empty() { "-" } else { told }
}

fn tally_json(tally: TouchedTally) -> Json {
    json!({ "at_once": tally.at_once, "when_accepted": tally.when_accepted })
}

fn change_json(change: &Change, touched: Option<&Touched<'_>>) -> Json {
    let spot = &change.spot;
    let (subject, event, field) = match &spot.subject {
        Subject::Customer => ("customer_id", None, None),
        Subject::Instance => ("instance_id", None, None),
        Subject::Event(event) => ("event", Some(event), None),
        Subject::Field(event, path) => ("field", Some(event), Some(path)),
    };
    json!({
        "product": spot.product, "subject": subject, "event": event, "field": field,
        "program": spot.program, "level": spot.level, "region": spot.region,
        "before": change.before, "after": change.after, "direction": change.direction.as_str(),
        "since": change.since, "at_once": change.at_once,
        "customers": touched.map(|touched| tally_json(touched.at(spot))),
    })
}

/// What it is about, in one line.
fn what(spot: &Spot) -> String {
    match &spot.subject {
        Subject::Customer => format!("{} (customer id)", spot.product),
        Subject::Instance => format!("{} (instance id)", spot.product),
        Subject::Event(event) => format!("{} {event}", spot.product),
        Subject::Field(event, path) => format!("{} {event} {path}", spot.product),
    }
}

/// Changes that are the same at several levels.
struct Row<'c> {
    first: &'c Change,
    places: Vec<String>,
    spots: Vec<&'c Spot>,
}

/// One row for what is the same at several levels, in the order of the changes, exposures first.
fn rows(changes: &[Change]) -> Vec<Row<'_>> {
    let mut found: BTreeMap<_, Row<'_>> = BTreeMap::new();
    for change in changes {
        let spot = &change.spot;
        let (before, after) = (&change.before, &change.after);
        let key = (change.direction, &spot.product, &spot.subject, before, after, !change.at_once);
        let region = spot.region.as_ref().map_or(String::new(), |region| format!(", in {region}"));
        let row =
            found.entry(key).or_insert_with(|| Row { first: change, places: Vec::new(), spots: Vec::new() });
        row.places.push(format!("{} {}{region}", spot.program, spot.level));
        row.spots.push(spot);
    }
    found.into_values().collect()
}
