//! `usaged participation import`: many participations from a file, over one stream.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::text::to_wire;
use super::{AdminClient, ChangeReason, PAGE};
use crate::cli::connect::refused;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, table};
use crate::grpc::proto::admin::{ImportParticipationsRequest, Participation};
use crate::model;

/// Mistakes of the file that are shown. The server shows at most so many of its own.
const SHOWN: usize = 100;
/// Messages that wait for the stream.
const WAITING: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = "\
A TOML file has one [[participation]] table for each customer, a JSON file a list, an NDJSON file
one object a line:
  {\"customer\":\"acme\",\"levels\":{\"operational\":\"operational\",\"ceip\":\"standard\"},\"region\":\"eea\"}

Examples:
  usaged participation import customers.toml --reason 'GitOps, commit 1f2e3d'
  generate-customers | usaged participation import - --format ndjson --reason 'initial load'")]
pub(super) struct ImportArgs {
    /// The file, or - for standard input.
    file: PathBuf,
    /// How it is written; when not given, by the end of the file's name.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    reason: ChangeReason,
}

/// How a file of participations is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `[[participation]]` tables.
    Toml,
    /// A list of objects.
    Json,
    /// One object a line.
    Ndjson,
}

/// A TOML file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    #[serde(default)]
    participation: Vec<model::Participation>,
}

/// What the reading side has found.
struct ReadSoFar {
    /// The line of each participation that was sent, if the file has lines.
    lines: Vec<u32>,
    /// The lines that hold no participation.
    mistakes: Vec<String>,
    mistaken: u64,
}

pub(super) async fn import(admin: &mut AdminClient, args: ImportArgs, out: Output) -> Result<(), Failure> {
    let format = args.format.or_else(|| by_name(&args.file)).ok_or_else(|| {
        Failure::Usage(
            "name the format with --format toml, json or ndjson: the file's name does not tell".to_owned(),
        )
    })?;
    let bar = out.progress(None, "participations");
    let (sender, receiver) = mpsc::channel(WAITING);
    let (file, watched) = (args.file.clone(), bar.clone());
    let (changed_by, change_reason) = args.reason.told();
    let reading = tokio::task::spawn_blocking(move || {
        let mut pages =
            Pages { sender, page: Vec::new(), changed_by, change_reason, bar: watched, started: false };
        let read = read(&file, format, &mut pages)?;
        pages.flush(true);
        Ok::<_, Failure>(read)
    });
    let answer = admin.import_participations(ReceiverStream::new(receiver)).await;
    let read = reading.await.map_err(|_| Failure::Failed("reading the file panicked".to_owned()))??;
    bar.finish_and_clear();
    let answer = answer.map_err(|status| refused(&status))?.into_inner();

    let place = |index: u64| {
        let line = usize::try_from(index).ok().and_then(|index| read.lines.get(index));
        line.map_or_else(
            || format!("participation {}", index.saturating_add(1)),
            |line| format!("line {line}"),
        )
    };
    let mut failures: Vec<String> = read.mistakes;
    failures.extend(
        answer.failures.iter().map(|failure| format!("{}: {}", place(failure.index), failure.message)),
    );
    let failed = answer.failed.saturating_add(read.mistaken);
    if out.is_json() {
        let (changed, unchanged) = (answer.changed, answer.unchanged);
        out.json(
            &json!({ "changed": changed, "unchanged": unchanged, "failed": failed, "failures": failures }),
        )?;
    } else {
        let counts = [("changed", answer.changed), ("unchanged", answer.unchanged), ("refused", failed)];
        out.table(&pairs(counts.map(|(name, count)| (name, grouped(count)))))?;
        if !failures.is_empty() {
            let mut shown = table(&["refused"]);
            for failure in &failures {
                shown.add_row([failure]);
            }
            out.table(&shown)?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Partly(format!("{failed} participations were refused, the others are set"))),
    }
}

fn by_name(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()? {
        "toml" => Some(Format::Toml),
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
    }
}

/// Collects participations into messages of the stream.
struct Pages {
    sender: mpsc::Sender<ImportParticipationsRequest>,
    page: Vec<Participation>,
    changed_by: String,
    change_reason: String,
    bar: ProgressBar,
    started: bool,
}

impl Pages {
    /// Adds one; `false` when the collector no longer listens.
    fn add(&mut self, participation: model::Participation) -> bool {
        self.page.push(to_wire(participation));
        self.bar.inc(1);
        let full = u64::try_from(self.page.len()).is_ok_and(|len| len >= PAGE);
        !full || self.flush(false)
    }

    fn flush(&mut self, last: bool) -> bool {
        // An import of nothing is still an import: the first message says who and why.
        if self.page.is_empty() && (self.started || !last) {
            return true;
        }
        self.started = true;
        let message = ImportParticipationsRequest {
            participations: std::mem::take(&mut self.page),
            changed_by: self.changed_by.clone(),
            change_reason: self.change_reason.clone(),
        };
        self.sender.blocking_send(message).is_ok()
    }
}

fn read(file: &Path, format: Format, pages: &mut Pages) -> Result<ReadSoFar, Failure> {
    let name = file.display();
    let input: Box<dyn std::io::Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(Failure::io(format!("opening {name}")))?)
    };
    let mut input = BufReader::new(input);
    let mut read = ReadSoFar { lines: Vec::new(), mistakes: Vec::new(), mistaken: 0 };
    if format == Format::Ndjson {
        read_lines(input, pages, &mut read).map_err(Failure::io(format!("reading {name}")))?;
        return Ok(read);
    }
    let mut text = String::new();
    input.read_to_string(&mut text).map_err(Failure::io(format!("reading {name}")))?;
    let refused = |problem: String| Failure::Refused {
        what: format!("{name} is not a file of participations; nothing was set"),
        problems: vec![problem],
    };
    let all = if format == Format::Toml {
        toml::from_str::<TomlFile>(&text).map_err(|error| refused(error.to_string()))?.participation
    } else {
        serde_json::from_str::<Vec<model::Participation>>(&text)
            .map_err(|error| refused(error.to_string()))?
    };
    for participation in all {
        if !pages.add(participation) {
            break;
        }
    }
    Ok(read)
}

fn read_lines(input: impl std::io::BufRead, pages: &mut Pages, read: &mut ReadSoFar) -> std::io::Result<()> {
    for (number, line) in (1_u32..).zip(input.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<model::Participation>(&line) {
            Ok(participation) => {
                read.lines.push(number);
                if !pages.add(participation) {
                    break;
                }
            }
            Err(error) => {
                read.mistaken = read.mistaken.saturating_add(1);
                if read.mistakes.len() < SHOWN {
                    read.mistakes.push(format!("line {number}: {error}"));
                }
            }
        }
    }
    Ok(())
}
