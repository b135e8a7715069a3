//! The documents of an operator: no command and no flag is named that the program does not have, no link leads
//! nowhere, every alert has its section in the runbook and every section its alert, and scripts are sound.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use usaged::config;

use crate::cli_run::usaged;
use crate::python_client::repository;

/// Every document of the repository.
fn documents() -> Vec<(PathBuf, String)> {
    let top = [repository(""), repository("docs")];
    let mut found = Vec::new();
    for dir in top {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(found.len() >= 6, "{found:?}");
    found
}

/// What is shown as code: inline, or in a block, with the line it begins in. A line that ends in `\` goes on.
fn code(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut block, mut in_block) = (Vec::new(), String::new(), false);
    let mut paragraph = (0, String::new());
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            block.push_str(line.trim_end_matches('\\'));
            if !line.ends_with('\\') {
                found.push((number, std::mem::take(&mut block)));
            }
        } else if line.is_empty() {
            found.extend(inline(&paragraph.1, paragraph.0));
            paragraph = (number + 1, String::new());
        } else {
            paragraph.1.push_str(line);
            paragraph.1.push(' ');
        }
    }
    found.extend(inline(&paragraph.1, paragraph.0));
    found
}

/// Inline code may go on over the end of a line.
fn inline(paragraph: &str, line: usize) -> Vec<(usize, String)> {
    paragraph.split('`').skip(1).step_by(2).map(|code| (line, code.to_owned())).collect()
}

/// The command lines of the program in some code: `usaged` where a command begins, and its words up to where the
/// next command or a comment begins.
fn commands(code: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let (mut begins, mut current) = (true, None::<Vec<String>>);
    for raw in code.replace("$(", " $( ").split_whitespace() {
        let word = raw.trim_matches(|c| matches!(c, '"' | '\'' | ')' | ','));
        let is_end = matches!(raw, "|" | "&&" | "||" | ";" | "$(" | "&" | "--") && current.is_none()
            || matches!(raw, "|" | "&&" | "||" | ";" | "$(" | "&" | "#");
        if is_end {
            found.extend(current.take());
            begins = true;
        } else if begins && (word == "usaged" || word.ends_with("/usaged")) && !word.starts_with("--") {
            found.extend(current.replace(Vec::new()));
            begins = false;
        } else if let Some(words) = &mut current {
            words.push(word.trim_end_matches(';').to_owned());
            if raw.ends_with(';') {
                found.extend(current.take());
                begins = true;
            }
        } else {
            // `sudo -u usaged usaged …`, `X=1 usaged …`, `$ usaged …`: words that come before a command.
            begins = begins && (matches!(word, "$" | "sudo" | "-u" | "exec") || word.contains('='));
            begins = begins || matches!(word, "sudo" | "-u") || raw.ends_with(';');
        }
    }
    found.extend(current);
    found
}

/// The help of commands, asked for once.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    fn of(&mut self, path: &[String]) -> &str {
        let help = || usaged(path.iter().map(String::as_str).chain(["--help"])).out;
        self.0.entry(path.join(" ")).or_insert_with(help)
    }

    fn has_below(&mut self, path: &[String], word: &str) -> bool {
        let help = self.of(path).to_owned();
        let listed = help.lines().skip_while(|line| *line != "Commands:").take_while(|line| !line.is_empty());
        listed
            .filter_map(|line| line.strip_prefix("  "))
            .any(|line| line.split_whitespace().next() == Some(word))
    }

    /// What is wrong with a command line.
    fn fault(&mut self, words: &[String]) -> Option<String> {
        let mut path = Vec::new();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next_if(|word| self.has_below(&path, word)) {
            path.push(word.clone());
        }
        let help = self.of(&path).to_owned();
        if path.is_empty() || help.contains("\nCommands:\n") {
            // A group may be named as one, such as `usaged store`, and by a list: `usaged subscription create|list`.
            let next = rest.peek().map(|word| word.as_str());
            let is_fine = match next {
                None => !path.is_empty() || words.is_empty(),
                Some(word) if word.contains('|') => {
                    let all: Vec<_> = word.split('|').map(str::to_owned).collect();
                    all.iter().all(|one| self.has_below(&path, one))
                }
                Some(word) => word.starts_with('-') || (!path.is_empty() && word == "…"),
            };
            if !is_fine {
                return Some(format!("there is no command {next:?} below `usaged {}`", path.join(" ")));
            }
        }
        for word in rest.filter(|word| word.starts_with("--") && word.len() > 2) {
            let flag = word.split(['=', '.']).next().unwrap_or(word);
            let is_there = help.match_indices(flag).any(|(at, _)| {
                !help[at + flag.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
            });
            if !is_there && !matches!(flag, "--help" | "--version") {
                return Some(format!("`usaged {}` has no flag {flag}", path.join(" ")));
            }
        }
        None
    }
}

#[test]
fn no_document_names_a_command_or_a_flag_that_does_not_exist() {
    let (mut helps, mut checked, mut wrong) = (Helps::default(), 0, Vec::new());
    for (path, text) in documents() {
        for (line, code) in code(&text) {
            // `usaged ready grpc=…` is what a start says.
            for words in
                commands(&code).into_iter().filter(|words| words.first().is_none_or(|word| word != "ready"))
            {
                checked += 1;
                if let Some(fault) = helps.fault(&words) {
                    wrong.push(format!("{}:{line}: {fault} (`usaged {}`)", path.display(), words.join(" ")));
                }
            }
        }
    }
    assert!(checked > 80, "only {checked} commands were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_check_finds_what_does_not_exist() {
    let mut helps = Helps::default();
    for (code, faults) in [
        ("usaged serve --check --config /etc/x", 0),
        ("$ usaged serve --chek", 1),
        ("sudo -u usaged usaged store inspct /var", 1),
        ("a | usaged send --customer acme --product vcenter && usaged drian x", 1),
        ("(umask 077; usaged nothing)", 1),
        ("usaged subscription create|list|nope", 1),
        ("usaged subscription create|list", 0),
        ("kubectl exec usaged-0 -n usaged -- usaged health --live", 0),
        ("kubectl exec usaged-0 -n usaged -- usaged health --dead", 1),
        ("systemctl restart usaged", 0),
    ] {
        let found: Vec<_> = commands(code).iter().filter_map(|words| helps.fault(words)).collect();
        assert_eq!(found.len(), faults, "{code}: {found:?} in {:?}", commands(code));
    }
    let block = code("```\n$ usaged a \\\n  --b\n```\n\nwith `usaged\nx` inline\n");
    assert_eq!(block, [(3, "$ usaged a   --b".to_owned()), (6, "usaged x".to_owned())]);
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (path, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.contains(char::is_whitespace) {
                continue;
            }
            checked += 1;
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_there = target.exists()
                && (part.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap_or_default()).contains(part));
            if !is_there {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(checked > 20, "only {checked} links were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Words such as `store.retention_age` in a document are keys of the configuration.
#[test]
fn every_key_of_the_configuration_that_a_document_names_is_one() {
    let sample = config::sample();
    let (mut keys, mut section) = (BTreeSet::new(), String::new());
    for line in sample.lines() {
        let plain = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = plain.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            keys.insert(if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") });
        }
    }
    let sections: BTreeSet<_> =
        keys.iter().filter_map(|key| key.split_once('.')).map(|(section, _)| section.to_owned()).collect();
    assert!(keys.contains("store.retention_age") && sections.len() > 7, "{keys:?}");
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for (line, code) in code(&text) {
            let word = code.split([' ', '=']).next().unwrap_or("");
            let Some((section, key)) = word.split_once('.') else { continue };
            let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && !["rs", "toml", "md", "yml", "key", "sh", "conf", "service"].contains(&key);
            if sections.contains(section) && is_key && !keys.contains(word) {
                wrong.push(format!("{}:{line}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() {
    let rules = std::fs::read_to_string(repository("deploy/prometheus/usaged.rules.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let runbook = std::fs::read_to_string(repository("docs/runbook.md")).unwrap();
    let sections: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts, "in the same order");
    assert!(alerts.len() > 20);
    for alert in &alerts {
        let link = format!("runbook_url: docs/runbook.md#{}", anchor(alert));
        assert!(rules.lines().any(|line| line.trim() == link), "{alert} leads to its section");
        let text = runbook.split(&format!("## {alert}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
        for part in ["**Means.**", "**Noticed.**", "**Look.**", "**Do.**", "**Over.**"] {
            assert_eq!(text.matches(part).count(), 1, "{alert}: {part}");
        }
    }
}

/// Metrics that the runbook and the manual of operations name. Those of the rules are checked where the rules are.
#[test]
fn every_metric_that_a_document_names_is_one() {
    let names: BTreeSet<_> = usaged::observe::Metric::ALL.iter().map(|metric| metric.name()).collect();
    let rules = std::fs::read_to_string(repository("deploy/prometheus/usaged.rules.yml")).unwrap();
    let mut wrong = Vec::new();
    for name in ["runbook.md", "operations.md", "threat-model.md"] {
        let text = std::fs::read_to_string(repository("docs").join(name)).unwrap();
        for (line, code) in code(&text) {
            let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
            // Not the name of a package or of a user and group.
            let is_name =
                |word: &&str| !word.bytes().any(|byte| byte.is_ascii_uppercase()) && word.len() > 10;
            let words = words.filter(|word| word.starts_with("usaged_") || word.starts_with("usaged:"));
            for word in words.filter(is_name).filter(|word| *word != "usaged:usaged") {
                let plain = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| word.strip_suffix(end))
                    .unwrap_or(word);
                let is_in_rules = rules.contains(word);
                if !names.contains(word) && !names.contains(plain) && !is_in_rules {
                    wrong.push(format!("{name}:{line}: {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What stops a threat and what shows it are files that exist.
#[test]
fn every_source_that_the_threat_model_names_is_there() {
    let text = std::fs::read_to_string(repository("docs/threat-model.md")).unwrap();
    let named: BTreeSet<_> =
        code(&text).into_iter().map(|(_, code)| code).filter(|code| code.ends_with(".rs")).collect();
    let is_there = |name: &str| repository(name).exists() || repository("tests/it").join(name).exists();
    let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(named.len() > 30 && missing.is_empty(), "{} named, missing: {missing:?}", named.len());
    for section in text.split("\n### ").skip(1) {
        let threat = section.lines().next().unwrap();
        assert!(section.contains("**Stopped by**") && section.contains("**Remains**"), "{threat}");
        assert!(section.contains("**Shown by**") && section.contains(".rs`"), "{threat}: what shows it");
    }
}

/// A test that a document names, as `file::test`, is one.
#[test]
fn every_test_that_a_document_names_is_there() {
    let mut named = BTreeMap::<String, BTreeSet<String>>::new();
    for (_, text) in documents() {
        for (_, code) in code(&text) {
            if let Some((file, test)) = code.split_once("::").filter(|(_, test)| test.contains('_')) {
                let path = repository("tests/it").join(file).with_extension("rs");
                let source = std::fs::read_to_string(path).unwrap_or_default();
                let is_there = source.contains(&format!("fn {test}("));
                named.entry(file.to_owned()).or_default().insert(test.to_owned());
                assert!(is_there, "there is no `{code}`");
            }
        }
    }
    let pains = std::fs::read_to_string(repository("docs/pains.md")).unwrap();
    let rows: Vec<_> = pains.lines().filter(|line| line.starts_with("| **")).collect();
    assert!(rows.len() == 12 && rows.iter().all(|row| row.contains("::")), "each has its test");
    assert!(named.len() > 20, "{named:?}");
}

fn scripts(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts(&path, found);
        } else if std::fs::read(&path).unwrap().starts_with(b"#!") && !path.to_string_lossy().ends_with(".py")
        {
            found.push(path);
        }
    }
}

#[test]
fn scripts_are_sound_by_shellcheck() {
    let mut found = Vec::new();
    for dir in ["deploy", ".ci"] {
        scripts(&repository(dir), &mut found);
    }
    assert!(found.len() >= 9, "{found:?}");
    let checked = Command::new("shellcheck").args(&found).output();
    let checked = checked.unwrap_or_else(|error| panic!("shellcheck: {error}; deploy/setup.sh installs it"));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let completion = repository("deploy/debian/usaged.bash");
    let checked = Command::new("shellcheck").args(["--shell=bash"]).arg(completion).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
