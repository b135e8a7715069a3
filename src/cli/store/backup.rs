//! `usaged store backup` and `usaged store personal`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::lines::Lines;
use super::{absolute, failure};
use crate::backup::{self, Places, Taken};
use crate::cli::batch_text::millis_text;
use crate::cli::block_on;
use crate::cli::connect::{Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs};
use crate::grpc::proto::admin::backup_response::Told;
use crate::grpc::proto::admin::{BackupMade, BackupRequest};
use crate::observe::Clock;

#[derive(Debug, Args)]
#[command(after_help = "\
A backup has two parts. The directory has the records, sealed, the subscriptions and the ledger:
keep many, anywhere. The file of personal rows has ids, participations and salts: keep only the
newest, apart from the directories, and have it written often with `usaged store personal`. Who
is erased is then erased from every directory, too. Neither is of use without the root key and
the ledger key, which are in no backup: keep usaged-data.key and usaged-data.ledger-key with care.

The collector that runs makes the backup, on its own host, while it goes on. Where none runs, name
the data directory.

Examples:
  usaged store backup /backup/2026-11-27 --personal /safe/usaged.personal.2026-11-27
  usaged store backup /backup/2026-11-27 --personal /safe/p --data-dir /var/lib/usaged --json")]
pub(super) struct BackupArgs {
    /// The new directory: it is absent, empty, or an interrupted backup of this collector.
    dir: PathBuf,
    /// The new file of personal rows, outside the directory.
    #[arg(long, value_name = "FILE")]
    personal: PathBuf,
    /// The data directory of a collector that does not run.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file that goes with every backup: have it written often, for instance every hour, and keep no
older one. A restore takes the newest; what was erased before it was written does not come back. An
older file in its place is replaced in one step; anything else in its place is left alone. It can
be taken of a damaged store that does not run, as long as these rows can be read.

Examples:
  usaged store personal /safe/usaged.personal
  usaged store personal /safe/usaged.personal --data-dir /var/lib/usaged")]
pub(super) struct PersonalArgs {
    /// The file.
    file: PathBuf,
    /// The data directory of a collector that does not run.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

impl BackupArgs {
    pub fn run(&self, out: Output) -> Result<(), Failure> {
        let mut lines = Lines::new(out);
        let made = if let Some(data) = &self.data_dir {
            let places = Places { dir: self.dir.clone(), personal: self.personal.clone() };
            let now = Clock::system().now();
            let taken = backup::take_closed(data, &places, now, &mut |at| lines.show(at));
            taken.map(Made::from).map_err(|fault| failure(&fault))
        } else {
            let (directory, personal) = (absolute(&self.dir)?, absolute(&self.personal)?);
            block_on(ask(&self.server, directory, personal, &mut lines))
        };
        lines.end();
        made?.show(out)
    }
}

impl PersonalArgs {
    pub fn run(&self, out: Output) -> Result<(), Failure> {
        let mut lines = Lines::new(out);
        let made = match &self.data_dir {
            Some(data) => {
                let now = Clock::system().now();
                let made = backup::personal_closed(data, &self.file, now).map_err(|fault| failure(&fault));
                made.map(|made| made.rows)
            }
            None => block_on(ask(&self.server, String::new(), absolute(&self.file)?, &mut lines))
                .map(|made| made.personal_rows),
        };
        lines.end();
        let rows = made?;
        if out.is_json() {
            return out.json(&json!({ "personal_rows": rows, "file": self.file }));
        }
        let file = self.file.display();
        out.line(&format!("{} personal rows in {file}; delete every older file of them", grouped(rows)))
    }
}

/// What was made, by whomever.
struct Made {
    last_commit: u64,
    bytes: u64,
    personal_rows: u64,
    ledger_entries: u64,
    root_key: String,
    store: String,
    /// When, in Unix milliseconds.
    at_ms: i64,
}

impl From<Taken> for Made {
    fn from(Taken { manifest, bytes }: Taken) -> Self {
        Self {
            last_commit: manifest.head.0,
            bytes,
            personal_rows: manifest.personal_rows,
            ledger_entries: manifest.ledger.entries,
            root_key: manifest.root_key,
            store: manifest.store,
            at_ms: manifest.made.0,
        }
    }
}

impl From<BackupMade> for Made {
    fn from(made: BackupMade) -> Self {
        let at_ms = made.make_time.map_or(0, |time| {
            time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos) / 1_000_000)
        });
        Self {
            last_commit: made.last_commit,
            bytes: made.bytes,
            personal_rows: made.personal_rows,
            ledger_entries: made.ledger_entries,
            root_key: made.root_key_id,
            store: made.store_id,
            at_ms,
        }
    }
}

impl Made {
    fn show(&self, out: Output) -> Result<(), Failure> {
        if out.is_json() {
            return out.json(&json!({
                "store": self.store, "last_commit": self.last_commit, "bytes": self.bytes,
                "personal_rows": self.personal_rows, "ledger_entries": self.ledger_entries,
                "root_key_id": self.root_key, "made_ms": self.at_ms,
            }));
        }
        out.table(&pairs([
            ("backup of", self.store.clone()),
            ("made", millis_text(self.at_ms)),
            ("last commit", self.last_commit.to_string()),
            ("bytes", grouped(self.bytes)),
            ("personal rows, in their own file", grouped(self.personal_rows)),
            ("entries of the ledger", grouped(self.ledger_entries)),
            ("opens with root key", self.root_key.clone()),
        ]))?;
        out.line("Keep the root key and the ledger key apart from it; delete older files of personal rows.")
    }
}

/// Has the collector make it.
async fn ask(
    server: &Server,
    directory: String,
    personal_file: String,
    lines: &mut Lines,
) -> Result<Made, Failure> {
    let mut store = server.store().await?;
    let request = BackupRequest { directory, personal_file };
    let mut answers = store.backup(request).await.map_err(|status| refused(&status))?.into_inner();
    while let Some(answer) = answers.message().await.map_err(|status| refused(&status))? {
        match answer.told {
            Some(Told::Progress(at)) => lines.show_text(&at.part, at.done, at.total),
            Some(Told::Made(made)) => return Ok(made.into()),
            None => {}
        }
    }
    Err(Failure::Unreachable(
        "the collector ended before the backup was made; nothing is left of it".to_owned(),
    ))
}
