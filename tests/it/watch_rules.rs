//! The alerts that are shipped: each fires when it should and not else, by Prometheus' own unit tests; each says how
//! bad it is, what happened, and where the runbook has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const RULES: &str = "deploy/prometheus/usaged.rules.yml";
const RULES_TEST: &str = "deploy/prometheus/usaged.rules.test.yml";

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn text_of(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program of Debian's package `prometheus`: installed, or unpacked by `deploy/setup.sh`.
pub fn prometheus_tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let target = Path::new(env!("CARGO_BIN_EXE_usaged")).ancestors().nth(2).unwrap().to_owned();
    let unpacked = [std::env::var_os("CARGO_TARGET_DIR").map_or(target.clone(), PathBuf::from), target]
        .map(|dir| dir.join("debian/usr/bin"));
    let found = std::env::split_paths(&path).chain(unpacked).map(|dir| dir.join(name)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{name} is neither installed nor unpacked: run deploy/setup.sh"))
}

/// Runs promtool and gives what it said; it must have been content.
pub fn promtool(args: &[&str], input: Option<&str>) -> String {
    let mut command = Command::new(prometheus_tool("promtool"));
    command.args(args).current_dir(repository("")).stderr(std::process::Stdio::piped());
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, input.unwrap_or_default().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "promtool {args:?}: {said}");
    said
}

/// A rule of the file, by its keys; the text of one that takes several lines is joined.
pub type Rule = BTreeMap<String, String>;

/// Every alert and recorded series, in order. The file is read as it is written: one key a line.
pub fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut open = String::new();
    for line in text_of(RULES).lines().filter(|line| !line.trim_start().starts_with('#')) {
        let trimmed = line.trim();
        let (item, keyed) = trimmed.strip_prefix("- ").map_or((false, trimmed), |rest| (true, rest));
        let pair = keyed.split_once(':').filter(|(key, _)| {
            ["alert", "record", "expr", "for", "severity", "summary", "description", "runbook_url"]
                .contains(key)
        });
        if let Some((key, value)) = pair {
            if item {
                rules.push(Rule::new());
            }
            let value = value.trim().trim_matches('\'');
            open = key.to_owned();
            rules.last_mut().unwrap().insert(open.clone(), value.trim_start_matches('|').to_owned());
        } else if open == "expr" && line.starts_with("          ") {
            let expr = rules.last_mut().unwrap().get_mut("expr").unwrap();
            expr.push(' ');
            expr.push_str(trimmed);
        } else {
            open.clear();
        }
    }
    rules
}

pub fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.contains_key("alert")).collect()
}

#[test]
fn the_rules_are_well_formed_and_their_unit_tests_pass() {
    let found = promtool(&["check", "rules", RULES], None);
    assert!(found.contains(&format!("SUCCESS: {} rules found", rules().len())), "{found}");
    promtool(&["test", "rules", RULES_TEST], None);
}

#[test]
fn every_alert_is_tested_both_ways() {
    let tests = text_of(RULES_TEST);
    for alert in alerts() {
        let name = &alert["alert"];
        let uses: Vec<&str> = tests.split(&format!("alertname: {name}\n")).skip(1).collect();
        let calm = uses.iter().filter(|rest| rest.trim_start().starts_with("exp_alerts: []")).count();
        assert!(calm > 0 && uses.len() > calm, "{name}: {} uses, {calm} of them calm", uses.len());
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_happened_and_where_the_runbook_has_it() {
    let names: BTreeSet<String> = alerts().iter().map(|alert| alert["alert"].clone()).collect();
    assert_eq!(names.len(), alerts().len(), "a name is used twice");
    for alert in alerts() {
        let name = &alert["alert"];
        assert!(["critical", "warning", "info"].contains(&alert["severity"].as_str()), "{name}");
        assert!(alert["summary"].len() > 20 && alert["description"].len() > 40, "{name}");
        assert_eq!(alert["runbook_url"], format!("docs/runbook.md#{}", name.to_lowercase()));
    }
}
