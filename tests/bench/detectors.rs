//! Measures the detectors on public corpora, which `make detectors` fetches and nobody commits: recall and
//! precision by class. Prints a table; docs/detectors.md says how to read it. Fails if a bar is missed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot go on should stop, and its ratios are for reading"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use usaged::sanitize::{Found, find};

/// A label of a corpus and the words of ours that hit it.
const LABELS: [(&str, &[&str]); 8] = [
    ("EMAIL_ADDRESS", &["email"]),
    ("IP_ADDRESS", &["ip_address"]),
    ("IBAN_CODE", &["iban"]),
    ("CREDIT_CARD", &["payment_card"]),
    ("US_SSN", &["national_id"]),
    ("PHONE_NUMBER", &["phone"]),
    ("DOMAIN_NAME", &["host_name", "url"]),
    ("US_DRIVER_LICENSE", &["national_id"]),
];

/// Labels without a form that could be checked: every state has its own licence.
const FORMLESS: [&str; 1] = ["US_DRIVER_LICENSE"];
/// The least recall of a label with a form.
const RECALL: f64 = 0.99;
/// The least precision on log text, which is the first directory of plain text.
const PRECISION: f64 = 0.95;
/// Fewer spans or findings than these are no measurement: the corpus is not what it was.
const LEAST: (usize, usize) = (300, 1_000);

#[derive(Default, Clone, Copy)]
struct Score {
    spans: usize,
    hits: usize,
    /// Spans of which nothing is left, whatever they were taken for.
    gone: usize,
}

fn main() -> ExitCode {
    let dirs: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from).collect();
    let verbose = std::env::var_os("USAGED_DETECTORS_SHOW").is_some();
    let [labelled, plain @ ..] = dirs.as_slice() else {
        println!(
            "give the labelled corpus (synth_dataset_v2.json) and the directories of plain text; see `make detectors`"
        );
        return ExitCode::SUCCESS;
    };
    let mut missed = labelled_corpus(labelled, verbose);
    for (at, dir) in plain.iter().enumerate() {
        let (right, total) = plain_corpus(dir, verbose);
        let is_below = total < LEAST.1 || (right as f64) < PRECISION * total as f64;
        if at == 0 && is_below {
            missed.push(format!("precision in {}: {right} of {total}", dir.display()));
        }
    }
    for bar in &missed {
        println!("missed: {bar}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives the bars that are missed.
fn labelled_corpus(path: &Path, verbose: bool) -> Vec<String> {
    let texts: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
    for text in &texts {
        let full = text["full_text"].as_str().unwrap();
        let places: Vec<usize> = full.char_indices().map(|(at, _)| at).chain([full.len()]).collect();
        let found = find(full);
        let mut claimed = vec![false; found.len()];
        for span in text["spans"].as_array().unwrap() {
            let label = span["entity_type"].as_str().unwrap();
            let at = |key: &str| places[usize::try_from(span[key].as_u64().unwrap()).unwrap()];
            let (start, end) = (at("start_position"), at("end_position"));
            let overlaps = |found: &Found| found.start < end && start < found.end;
            let Some((label, words)) = LABELS.iter().find(|(known, _)| *known == label) else {
                // Names and places have no form. What is found inside of one is judged by the other labels.
                continue;
            };
            let score = scores.entry(label).or_default();
            score.spans += 1;
            let hit = found.iter().any(|found| overlaps(found) && words.contains(&found.what));
            score.hits += usize::from(hit);
            let covered = full[start..end].char_indices().all(|(at, c)| {
                let at = start + at;
                !c.is_alphanumeric() || found.iter().any(|found| found.start <= at && at < found.end)
            });
            score.gone += usize::from(covered);
            for (claimed, _) in claimed
                .iter_mut()
                .zip(&found)
                .filter(|(_, found)| overlaps(found) && words.contains(&found.what))
            {
                *claimed = true;
            }
            if verbose && !hit {
                println!("  missed {label}: {:?} in {:?}", &full[start..end], full);
            }
        }
        for (found, claimed) in found.iter().zip(claimed) {
            if !claimed {
                *wrong.entry(found.what).or_default() += 1;
                if verbose {
                    println!("  extra {}: {:?} in {full:?}", found.what, &full[found.start..found.end]);
                }
            }
        }
    }
    println!("\n| label | spans | found as such | recall | replaced whole |\n|---|---|---|---|---|");
    for (label, score) in &scores {
        let recall = ratio(score.hits, score.spans);
        println!(
            "| {label} | {} | {} | {recall} | {} |",
            score.spans,
            score.hits,
            ratio(score.gone, score.spans)
        );
    }
    println!("\nfound outside of these labels: {wrong:?}");
    let spans: usize = scores.values().map(|score| score.spans).sum();
    let few = (spans < LEAST.0).then(|| format!("only {spans} spans have a label that is measured"));
    let is_below = |score: &Score| (score.hits as f64) < RECALL * score.spans as f64;
    let below = scores.iter().filter(|(label, score)| !FORMLESS.contains(label) && is_below(score));
    below
        .map(|(label, score)| format!("recall of {label}: {} of {}", score.hits, score.spans))
        .chain(few)
        .collect()
}

/// Findings in the plain corpora that somebody looked at and judged wrong. Everything else that is found in them
/// was looked at too, and is what it is taken for.
const WRONG: [(&str, &str); 13] = [
    ("host_name", "host"),
    ("host_name", "the"),
    ("phone", "+2147483647"),
    ("phone", "+2147483648"),
    ("query", "vodka=42"),
    ("secret", "352e99f59e7aabf2a34e5e9fd334e568a0b197e6"),
    ("secret", "4a9df08157f001c01b078d259748512211233dcf"),
    ("secret", "7fff56f5172c48b6f3aedf17ee14ef5c2533dfd1"),
    ("secret", "d2c8a4b91e8c0e6aefd1f5bc0bf582cddbe046b7"),
    ("user_id", "owner.owner"),
    ("user_id", "type"),
    ("user_id", "username"),
    ("user_id", "void"),
];

/// What is found in text whose lines nobody labelled: by word, with examples, and how much of it is right. Gives how
/// many findings are right, and how many there are.
fn plain_corpus(dir: &Path, verbose: bool) -> (usize, usize) {
    let mut files = vec![dir.to_path_buf()];
    let mut counts: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    let (mut lines, mut bytes) = (0, 0);
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines() {
            lines += 1;
            bytes += line.len();
            for found in find(line) {
                let value = line[found.start..found.end].to_owned();
                if verbose {
                    println!(
                        "  {}: {value:?} in {:?}",
                        found.what,
                        line.chars().take(300).collect::<String>()
                    );
                }
                *counts.entry(found.what).or_default().entry(value).or_default() += 1;
            }
        }
    }
    println!("\n{}: {lines} lines, {bytes} bytes", dir.display());
    let (mut total, mut total_right) = (0, 0);
    for (what, values) in counts {
        let all: usize = values.values().sum();
        let is_right = |value: &str| !WRONG.contains(&(what, value));
        let right: usize = values.iter().filter(|(value, _)| is_right(value)).map(|(_, count)| count).sum();
        (total, total_right) = (total + all, total_right + right);
        let mut examples: Vec<_> = values.iter().collect();
        examples.sort_by(|a, b| b.1.cmp(a.1));
        println!(
            "  {what}: {all} found, {} values, precision {}: {:?}",
            values.len(),
            ratio(right, all),
            &examples[..examples.len().min(8)]
        );
    }
    println!("  all: {total} found, precision {}", ratio(total_right, total));
    (total_right, total)
}

fn ratio(part: usize, whole: usize) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.3}", part as f64 / whole as f64) }
}
