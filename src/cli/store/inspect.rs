//! `usaged store inspect`: the table of contents of a store.

use std::path::PathBuf;

use clap::Args;

use crate::cli::batch_text::millis_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, right, table};
use crate::cli::with_causes;
use crate::store::{self, Inspection};

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed and no batch is opened. While a collector runs, `usaged_store_*` in /metrics and
usaged.admin.v1.AdminService/GetStatus tell the same.

Examples:
  usaged store inspect
  usaged store inspect /var/lib/usaged --json")]
pub(super) struct InspectArgs {
    /// The data directory.
    #[arg(default_value = "./usaged-data")]
    dir: PathBuf,
}

impl InspectArgs {
    pub fn run(&self, out: Output) -> Result<(), Failure> {
        if !self.dir.is_dir() {
            return Err(Failure::Usage(format!(
                "there is no store in {}; name its directory",
                self.dir.display()
            )));
        }
        let found = store::inspect(&self.dir).map_err(|error| super::refused(&error, with_causes(&error)))?;
        if out.is_json() { out.json(&found) } else { show(&found, out) }
    }
}

fn show(found: &Inspection, out: Output) -> Result<(), Failure> {
    let witness = found.witness.map_or_else(|| "cannot be read".to_owned(), |commit| commit.to_string());
    out.table(&pairs([
        ("format", found.format.to_string()),
        ("store", found.id.clone()),
        ("made", millis_text(found.created.0)),
        ("last commit", found.head.to_string()),
        ("oldest commit", found.oldest.to_string()),
        ("witnessed commit", witness),
        ("customers", grouped(found.customers)),
        ("subscriptions", grouped(found.subscriptions)),
        ("damaged records set aside", grouped(found.damaged)),
        ("bytes on disk", grouped(found.bytes)),
    ]))?;
    let mut segments =
        table(&["segment", "first", "last", "records", "bytes", "oldest", "newest", "state", "unreadable"]);
    for one in &found.segments {
        segments.add_row([
            one.family.clone(),
            one.first.to_string(),
            one.last.to_string(),
            grouped(one.records),
            grouped(one.bytes),
            millis_text(one.oldest.0),
            millis_text(one.newest.0),
            (if one.closed { "closed" } else { "open" }).to_owned(),
            grouped(one.unreadable),
        ]);
    }
    right(&mut segments, [1, 2, 3, 4, 8]);
    out.table(&segments)
}
