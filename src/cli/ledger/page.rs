//! The record of processing as a page that a person can read: plain words, the vocabulary of Art. 30
//! GDPR, no script, nothing from elsewhere. Everything in it is escaped.

use super::page_parts::{NIL, Page, day, period, span, time};
use super::record::Record;
use super::told::{self, count};
use crate::cli::output::grouped;
use crate::cli::policy::publish::words;
use crate::ledger::{Export, Fact, Leaf, SignedCheckpoint, Under};
use crate::model::{Handling, IdentifierClass, UnixMillis};

/// Rows of one table. The JSON has them all.
const ROWS: usize = 500;

/// The page of an export.
pub(super) fn page(export: &Export, record: &Record, controller: Option<&str>) -> String {
    let name = if export.customer.is_empty() { &export.customer_number } else { &export.customer };
    let mut page = Page::begin(&format!("Record of processing: {name}"));
    hero(&mut page, export, record, name, controller);
    glance(&mut page, record);
    agreed(&mut page, record);
    recipients(&mut page, record);
    categories(&mut page, record);
    limits(&mut page, export, record);
    others(&mut page, record);
    check(&mut page, export);
    page.end(&format!(
        "Made by usaged ledger export, collector {}, from {}. It says what this collector did; what a recipient did \
         with what it received is for that recipient to say.",
        export.collector_version,
        count(u64::try_from(export.entries.len()).unwrap_or(u64::MAX), "entry of its ledger", "entries of its ledger")
    ))
}

fn hero(page: &mut Page, export: &Export, record: &Record, name: &str, controller: Option<&str>) {
    page.put(format_args!("<header class=\"hero\">\n"));
    page.paragraph("eyebrow", "Record of processing");
    page.put(format_args!("<h1>{}</h1>\n", crate::cli::policy::publish::html::Text(name)));
    let span = record
        .period
        .map_or_else(String::new, |span| format!(", from {} to {}", day(span.from), day(span.until)));
    page.paragraph("lede", &format!(
        "What a usage-data collector did with the data of this customer{span}: what was agreed, what was collected, who \
         received it and what for, and what was erased."
    ));
    let mut rows = vec![
        ("Made", time(UnixMillis(export.made))),
        ("Customer", format!("{name}, number {} in the collector", export.customer_number)),
        ("Policy in force", export.policy_version.clone()),
    ];
    if let Some(controller) = controller {
        rows.insert(0, ("Controller", controller.to_owned()));
    }
    page.facts(&rows);
    page.put(format_args!("</header>\n"));
}

fn glance(page: &mut Page, record: &Record) {
    page.section("glance", "At a glance", "", "");
    page.put(format_args!("<ul class=\"grid\">\n"));
    let present = record.present.as_ref().map_or_else(|| "in nothing".to_owned(), told::terms);
    page.card("Takes part", if record.present.is_some() { "yes" } else { "no" }, &present);
    let withheld = record.withheld.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let refused = format!("{} withheld before they were stored", count(withheld, "event was", "events were"));
    page.card("Collected", &count(record.collected_events(), "event", "events"), &refused);
    let recipients = count(u64::try_from(record.recipients()).unwrap_or(u64::MAX), "recipient", "recipients");
    page.card("Given out", &count(record.sent_events(), "event", "events"), &format!("to {recipients}"));
    let erased = u64::try_from(record.erasures.len()).unwrap_or(u64::MAX);
    page.card("Erased", &count(erased, "time", "times"), "each with a receipt");
    page.put(format_args!("</ul>\n"));
    page.end_section();
}

fn agreed(page: &mut Page, record: &Record) {
    page.section(
        "agreed",
        "What was agreed",
        "Lawfulness and choice",
        "Nothing is collected beyond the level that holds at the time. A lowered level also binds what was stored before.",
    );
    if record.changes.is_empty() {
        page.paragraph("quiet", "This customer never took part.");
    } else {
        let rows = record.changes.iter().rev().take(ROWS).map(|change| {
            let before = change.before.as_ref().map_or_else(|| NIL.to_owned(), told::terms);
            vec![time(change.at), told::terms(&change.after), before, change.revision.to_string()]
        });
        page.table(
            "Every change, newest first.",
            &["When", "From then on", "Before", "Revision"],
            &[3],
            &rows.collect::<Vec<_>>(),
        );
    }
    page.end_section();
}

fn recipients(page: &mut Page, record: &Record) {
    page.section(
        "recipients",
        "Who received what, and what for",
        "Purposes and recipients — Art. 30(1)(b) and (d) GDPR",
        "Each recipient has one purpose, and gets only the fields that may be used for it.",
    );
    if record.sent.is_empty() {
        page.paragraph("quiet", "Nothing has left the collector.");
        page.end_section();
        return;
    }
    let rows = record.sent.iter().take(ROWS).map(|sent| {
        vec![
            sent.recipient.clone(),
            words::purpose(sent.purpose).to_owned(),
            format!("{} under {}", sent.under.product, level(&sent.under)),
            sent.under.dictionary.to_string(),
            grouped(sent.batches),
            grouped(sent.events),
            period(sent.period),
        ]
    });
    let head =
        ["Recipient", "Purpose", "Product and level", "Dictionary version", "Batches", "Events", "When"];
    page.table("What left, by recipient, purpose and level.", &head, &[3, 4, 5], &rows.collect::<Vec<_>>());
    page.end_section();
}

/// A level as a person reads it.
fn level(under: &Under) -> String {
    let region = under.region.as_ref().map(|region| format!(", {}", words::region(region.as_str())));
    format!("{} {}{}", under.program, under.level, region.unwrap_or_default())
}

fn categories(page: &mut Page, record: &Record) {
    page.section(
        "categories",
        "What was collected",
        "Categories of personal data — Art. 30(1)(c) GDPR",
        "Fields that name somebody or something, and what became of them before they were stored. A pseudonym is a \
         keyed code: without this customer’s key nobody can compute it or look it up.",
    );
    let rows: Vec<_> = record
        .collected
        .iter()
        .take(ROWS)
        .map(|one| {
            vec![
                one.under.product.to_string(),
                level(&one.under),
                one.under.dictionary.to_string(),
                grouped(one.batches),
                grouped(one.events),
                period(one.period),
            ]
        })
        .collect();
    if rows.is_empty() {
        page.paragraph("quiet", "No event of this customer was stored.");
    } else {
        let head = ["Product", "Program and level", "Dictionary version", "Batches", "Events", "When"];
        page.table("What came in and was stored.", &head, &[2, 3, 4], &rows);
    }
    let classes: Vec<_> = IdentifierClass::ALL
        .iter()
        .filter_map(|class| {
            let counts: Vec<_> =
                Handling::ALL.iter().map(|handling| record.fields.get(*class, *handling)).collect();
            counts.iter().any(|n| *n > 0).then(|| {
                let mut row = vec![words::class(*class).to_owned()];
                row.extend(counts.iter().map(|n| if *n == 0 { NIL.to_owned() } else { grouped(*n) }));
                row
            })
        })
        .collect();
    if !classes.is_empty() {
        page.put(format_args!("<br>\n"));
        let head =
            ["Kind of value", "As it is", "Pseudonym", "Coarsened", "Identifiers removed", "Not stored"];
        page.table("Fields by kind, and what became of them.", &head, &[1, 2, 3, 4, 5], &classes);
    }
    if !record.withheld.is_empty() {
        page.put(format_args!("<br>\n"));
        let rows = record.withheld.iter().map(|(reason, n)| {
            vec![reason.to_string().replace('_', " "), grouped(*n), reason.remedy().to_owned()]
        });
        page.table(
            "Events that were not stored.",
            &["Reason", "Events", "What it means"],
            &[1],
            &rows.collect::<Vec<_>>(),
        );
    }
    page.end_section();
}

fn limits(page: &mut Page, export: &Export, record: &Record) {
    page.section("limits", "Time limits and erasure", "Time limits for erasure — Art. 30(1)(f) GDPR", "");
    if export.retention_seconds > 0 {
        page.paragraph(
            "lead",
            &format!(
                "In the collector, what is stored is dropped after {}, fetched or not.",
                span(export.retention_seconds)
            ),
        );
    }
    if record.erasures.is_empty() {
        page.paragraph("quiet", "No erasure was asked for.");
    } else {
        let rows: Vec<_> = record.erasures.iter().rev().take(ROWS).map(erasure).collect();
        let head = [
            "When",
            "What was erased",
            "Events gone",
            "Batches rewritten",
            "Batches removed",
            "Recipients told",
            "Receipt",
        ];
        page.table("Every erasure, newest first.", &head, &[2, 3, 4, 5], &rows);
    }
    page.end_section();
}

fn erasure(leaf: &Leaf) -> Vec<String> {
    match leaf.fact() {
        Some(Fact::ErasureDone { erasure, scope, class, events, rewritten, removed, notified, .. }) => {
            let by = scope.to_string().replace('_', " ");
            let class = class.map(|class| format!(": {}", words::class(class))).unwrap_or_default();
            let counts = [events, rewritten, removed, notified].map(|n| grouped(*n));
            let mut row = vec![time(leaf.at()), format!("By {by}{class}")];
            row.extend(counts);
            row.push(erasure.clone());
            row
        }
        Some(Fact::CustomerErased { erasure, .. }) => {
            let mut row = vec![time(leaf.at()), "The customer, with every key".to_owned()];
            row.extend(std::iter::repeat_n(NIL.to_owned(), 4));
            row.push(erasure.clone());
            row
        }
        Some(_) | None => vec![time(leaf.at()), told::line(leaf)],
    }
}

fn others(page: &mut Page, record: &Record) {
    page.section(
        "others",
        "Everything else on the record",
        "Security of processing — Art. 30(1)(g) GDPR",
        "Look-ups of pseudonyms, refusals, changes of keys, what a lowered level did to the queue, and every time this \
         record was given out.",
    );
    let rows: Vec<_> =
        record.others.iter().rev().take(ROWS).map(|leaf| vec![time(leaf.at()), told::line(leaf)]).collect();
    page.table("Newest first.", &["When", "What"], &[], &rows);
    let hidden = record.others.len().saturating_sub(rows.len());
    if hidden > 0 {
        let hidden = grouped(u64::try_from(hidden).unwrap_or(u64::MAX));
        page.paragraph("quiet", &format!("{hidden} older ones are in the JSON of this export."));
    }
    page.end_section();
}

fn check(page: &mut Page, export: &Export) {
    page.section(
        "check",
        "How to check this",
        "Accountability — Art. 5(2) GDPR",
        "Every line above comes from an entry of a ledger that can only grow. The collector signed the whole of it; the \
         JSON of this export has, for each entry, the proof that it is in there. Nobody can change or take away an \
         entry without breaking the signature, and anybody can check that without the collector.",
    );
    let size = SignedCheckpoint::read(&export.checkpoint).map_or(0, |note| note.checkpoint().size);
    page.facts(&[
        ("Entries here", grouped(u64::try_from(export.entries.len()).unwrap_or(u64::MAX))),
        ("Entries in the ledger", grouped(size)),
        ("Key", export.verifier_key.clone()),
    ]);
    page.paragraph(
        "",
        "The signed checkpoint. Keep it: a later export can prove that the ledger goes on from it.",
    );
    page.verbatim(&export.checkpoint);
    page.paragraph("", "Check the JSON of this export:");
    page.verbatim(&format!("usaged ledger verify --export FILE.json --key '{}'", export.verifier_key));
    page.end_section();
}
