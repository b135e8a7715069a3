//! `usaged policy`: check a policy directory, see what it does to an event and what a change of it
//! exposes, publish it, and see what it did to a batch. All but the last works without a collector, from the
//! code that ingest uses.

mod customers;
mod diff;
mod diff_text;
pub(super) mod explain;
pub(super) mod explain_batch;
pub(super) mod publish;
pub(super) mod side_by_side;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

pub(super) use self::customers::products;
use super::exit::Failure;
use super::output::{Output, pairs, right, table};
use crate::daemon::read_policy_files;
use crate::policy::{self, Policy, PolicyFile, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged policy check /etc/usaged/policy
  usaged policy explain --product vcenter event.ndjson
  usaged policy explain --product vcenter --policy /etc/usaged/policy --region eea --why event.ndjson
  usaged policy explain --customer acme --batch 0190a3c2-7b1e-7c55-9d2f-0123456789ab
  usaged policy diff --live /etc/usaged/policy.new
  usaged policy publish /etc/usaged/policy --out site")]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Report every mistake of a policy directory at once, with file, line, key and remedy.
    #[command(after_help = "\
Ends with 0 if the policy is good and with 3 if it would be refused. What it proves: a higher
level reveals at least what a lower one does, overlays only tighten, content, secrets and
undeclared fields are dropped.

Examples:
  usaged policy check /etc/usaged/policy
  usaged policy check --shipped --json")]
    Check {
        /// The directory, with programs/*.toml and products/*.toml.
        #[arg(required_unless_present = "shipped")]
        dir: Option<PathBuf>,
        /// Check the policy that is inside the program.
        #[arg(long, conflicts_with = "dir")]
        shipped: bool,
    },
    /// Show field by field what every level would store of an event, or what became of a batch.
    Explain(explain::ExplainArgs),
    /// Show what a change of a policy exposes or hides, at which level, and how many customers it touches.
    Diff(diff::DiffArgs),
    /// Publish the dictionary with what each level stores, as Markdown, HTML and JSON.
    Publish(publish::PublishArgs),
}

impl PolicyArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        match self.action {
            Action::Check { dir, shipped: _ } => check(dir.as_deref(), out),
            Action::Explain(args) => args.run(out),
            Action::Diff(args) => args.run(out),
            Action::Publish(args) => args.run(out),
        }
    }
}

/// The texts of a directory, or the shipped ones.
fn files(dir: Option<&Path>) -> Result<Vec<PolicyFile>, Vec<Problem>> {
    dir.map_or_else(|| Ok(policy::shipped()), read_policy_files)
}

/// The policy of a directory, or the shipped one.
fn compiled(dir: Option<&Path>) -> Result<Policy, Failure> {
    let compiled = files(dir).and_then(|files| policy::compile(&files));
    let (policy, _notes) = compiled.map_err(|problems| {
        let place = dir.map_or_else(|| "shipped".to_owned(), |dir| dir.display().to_string());
        mistakes(&format!("the policy {place} has mistakes:"), &problems)
    })?;
    Ok(policy)
}

/// A policy that was refused.
fn mistakes(what: &str, problems: &[Problem]) -> Failure {
    let errors = problems.iter().filter(|problem| problem.severity == policy::Severity::Error);
    let is_of_the_system = problems.iter().any(|problem| problem.is_of_the_system);
    Failure::mistakes(what, errors.map(ToString::to_string).collect(), is_of_the_system)
}

fn problem_json(problem: &Problem) -> Json {
    json!({
        "severity": problem.severity.as_str(),
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "what": problem.what,
        "remedy": problem.remedy,
    })
}

fn check(dir: Option<&Path>, out: Output) -> Result<(), Failure> {
    match files(dir).and_then(|files| policy::compile_with(&files, crate::sanitize::in_listed_value)) {
        Ok((policy, notes)) => good(&policy, &notes, out),
        Err(problems) => {
            if out.is_json() {
                let all: Vec<_> = problems.iter().map(problem_json).collect();
                out.json(&json!({ "ok": false, "problems": all }))?;
            } else {
                for problem in &problems {
                    out.line(&format!("{}: {problem}", problem.severity.as_str()))?;
                }
            }
            let errors =
                problems.iter().filter(|problem| problem.severity == policy::Severity::Error).count();
            let place = dir.map_or_else(|| "shipped".to_owned(), |dir| dir.display().to_string());
            let mistakes = if errors == 1 { "1 mistake".to_owned() } else { format!("{errors} mistakes") };
            let what = format!("the policy {place} would be refused: {mistakes}");
            let is_of_the_system = problems.iter().any(|problem| problem.is_of_the_system);
            Err(Failure::mistakes(what, Vec::new(), is_of_the_system))
        }
    }
}

fn good(policy: &Policy, notes: &[Problem], out: Output) -> Result<(), Failure> {
    let fields = |product: &policy::Product| -> usize {
        product.events().iter().map(|event| product.fields(event).count()).sum()
    };
    if out.is_json() {
        let programs: serde_json::Map<_, _> = policy
            .programs()
            .iter()
            .map(|program| {
                let levels: Vec<_> = program.levels().iter().map(|level| level.name().as_str()).collect();
                (program.name().to_string(), json!(levels))
            })
            .collect();
        let products: Vec<_> = policy
            .products()
            .iter()
            .map(|product| {
                let (events, version) = (product.events().len(), product.version());
                json!({ "name": product.name(), "version": version, "events": events, "fields": fields(product) })
            })
            .collect();
        let notes: Vec<_> = notes.iter().map(problem_json).collect();
        let version = policy.version();
        return out.json(
            &json!({ "ok": true, "version": version, "programs": programs, "products": products, "problems": notes }),
        );
    }
    let ladders = policy.programs().iter().map(|program| {
        let levels: Vec<_> = program.levels().iter().map(|level| level.name().as_str()).collect();
        (format!("program {}", program.name()), levels.join(" < "))
    });
    out.table(&pairs(std::iter::once(("policy".to_owned(), policy.version().to_owned())).chain(ladders)))?;
    let mut products = table(&["product", "dictionary", "events", "fields"]);
    for product in policy.products() {
        products.add_row([
            product.name().to_string(),
            product.version().to_string(),
            product.events().len().to_string(),
            fields(product).to_string(),
        ]);
    }
    right(&mut products, 1..4);
    out.table(&products)?;
    for note in notes {
        out.line(&format!("{}: {note}", note.severity.as_str()))?;
    }
    out.line("the policy is good: levels only reveal more as they rise, overlays only tighten")
}
