//! The proof that nothing leaked: everything that the collector wrote, and everything that was
//! drained, is searched for every identifier that was sent; and the search is proved able to find one.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::events::Sent;
use super::search::Search;
use crate::cli::batch_text::lines;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped};
use crate::grpc::proto::drain::Batch;

/// Writes everything that was drained to a file, to be searched.
pub(super) fn write_drained(file: &Path, drained: &[(u64, Batch)]) -> Result<(), Failure> {
    let failed = || format!("writing {}", file.display());
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).map_err(Failure::io(failed()))?);
    for (commit, batch) in drained {
        for line in lines(batch, *commit) {
            writeln!(out, "{line}").map_err(Failure::io(failed()))?;
        }
    }
    out.flush().map_err(Failure::io(failed()))
}

/// What the byte search found.
pub(super) struct Hunt {
    pub identifiers: u64,
    files: u64,
    bytes: u64,
    pub hits: Vec<String>,
    /// Whether a planted identifier was found.
    pub finds_planted: bool,
    /// Whether a word that the policy keeps was found.
    pub finds_kept: bool,
}

impl Hunt {
    pub fn json(&self) -> Json {
        json!({
            "identifiers": self.identifiers, "files": self.files, "bytes": self.bytes, "found_in": self.hits,
            "finds_what_is_planted": self.finds_planted, "finds_what_is_kept": self.finds_kept,
        })
    }
}

/// Searches data, log and drained events for every identifier that was sent, and proves that the
/// search can find one.
pub(super) fn hunt(dir: &Path, sent: &Sent, out: Output) -> Result<Hunt, Failure> {
    let search = Search::new(sent.needles.iter().map(Vec::as_slice));
    let found = search.directory(dir)?;
    let hits: Vec<_> = found.hits.iter().map(|path| path.display().to_string()).collect();

    let planted = dir.join("data").join("planted");
    let needle = sent.needles.first().cloned().unwrap_or_default();
    let around: [u8; 64] = rand::random();
    std::fs::write(&planted, [&around, needle.as_slice(), &around].concat())
        .map_err(Failure::io("planting"))?;
    let finds_planted = search.directory(dir)?.hits.contains(&planted);
    std::fs::remove_file(&planted).map_err(Failure::io("taking away what was planted"))?;
    let finds_kept = !Search::new([b"windows-server-2022".as_slice()]).directory(dir)?.hits.is_empty();

    let hunt = Hunt {
        identifiers: sent.identifiers,
        files: found.files,
        bytes: found.bytes,
        hits,
        finds_planted,
        finds_kept,
    };
    if !out.is_json() {
        let (identifiers, bytes, files) = (grouped(hunt.identifiers), grouped(hunt.bytes), hunt.files);
        out.line(&format!(
            "Searched {bytes} bytes in {files} files (data directory, log at level debug, everything drained) for all \
             {identifiers} identifiers that were sent: {}.",
            if hunt.hits.is_empty() { "none found".to_owned() } else { format!("FOUND in {}", hunt.hits.join(", ")) }
        ))?;
        out.line(&format!(
            "The search works: an identifier planted in the data directory was {}, a word that the policy keeps was \
             {}. Not searched for, because a level keeps them as the policy says: customer and entitlement ids, the \
             country of a location, what identifies nobody; the registry of participations holds customer ids as they are.\n",
            if finds_planted { "found" } else { "NOT found" },
            if finds_kept { "found in what was drained" } else { "NOT found" },
        ))?;
    }
    Ok(hunt)
}
