//! The log has a fixed vocabulary: every field that a line may have, and every line that means that an operator must act,
//! is in docs/logs.md; nothing else is logged, and nothing is for every event.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::architecture::without_tests;
use crate::fault_daemon::{Place, until};
use crate::watch_rules::{repository, text_of};

/// A line that the program can log.
#[derive(Debug)]
struct Line {
    place: String,
    level: String,
    fields: Vec<String>,
    message: String,
}

fn sources() -> Vec<(PathBuf, String)> {
    let (mut found, mut todo) = (Vec::new(), vec![repository("src")]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, without_tests(&text).to_owned()));
            }
        }
    }
    found
}

/// The arguments of a macro, from behind its parenthesis.
fn arguments(code: &str) -> Vec<String> {
    let (mut parts, mut depth, mut is_text, mut is_escaped) = (vec![String::new()], 0, false, false);
    for c in code.chars() {
        if is_text {
            is_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
        } else {
            match c {
                '"' => is_text = true,
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    parts.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        parts.last_mut().unwrap().push(c);
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (path, text) in sources() {
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|l| [l, "\n"])
            .collect();
        for level in ["error", "warn", "info", "debug", "trace"] {
            for rest in code.split(&format!("tracing::{level}!(")).skip(1) {
                let (mut fields, mut message) = (Vec::new(), String::new());
                for part in arguments(rest) {
                    if let Some(text) = part.strip_prefix('"') {
                        let words: Vec<&str> =
                            text.trim_end_matches('"').split("\\\n").map(str::trim_start).collect();
                        message = words.concat();
                    } else {
                        let name = part.trim_start_matches(['%', '?']);
                        let end =
                            name.find(|c: char| !(c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()));
                        fields.push(name[..end.unwrap_or(name.len())].to_owned());
                    }
                }
                lines.push(Line {
                    place: path.display().to_string(),
                    level: level.to_owned(),
                    fields,
                    message,
                });
            }
        }
    }
    assert!(lines.len() > 50, "the search finds what is there: {}", lines.len());
    lines
}

/// The rows of a table under a heading of docs/logs.md: the first cell and the rest.
fn table(heading: &str) -> BTreeMap<String, String> {
    let text = text_of("docs/logs.md");
    let section =
        text.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (first, rest) = row.split_once("` | ").unwrap();
        (first.to_owned(), rest.trim_end_matches([' ', '|']).to_owned())
    })
    .collect()
}

#[test]
fn every_field_of_the_log_is_of_the_vocabulary_and_all_of_that_is_used() {
    let told: BTreeSet<String> = table("Fields").into_keys().collect();
    let mut used = BTreeSet::new();
    for line in lines() {
        for field in &line.fields {
            assert!(told.contains(field), "docs/logs.md does not tell of {field}: {line:?}");
        }
        used.extend(line.fields);
    }
    let unused: Vec<_> = told.difference(&used).collect();
    assert!(unused.is_empty(), "nobody logs {unused:?}");
}

#[test]
fn every_error_says_what_an_operator_must_do() {
    let told = table("Errors");
    let errors: BTreeSet<String> =
        lines().into_iter().filter(|l| l.level == "error").map(|l| l.message).collect();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), errors, "docs/logs.md against the code");
    assert!(told.values().all(|act| act.len() > 20), "{told:?}");
}

#[test]
fn lines_are_lower_case_fragments_and_none_is_made_from_what_came_in() {
    for line in lines() {
        let begins = line.message.chars().next().unwrap_or_default();
        assert!(begins.is_ascii_lowercase() || line.message.starts_with('{'), "{line:?}");
        assert!(!line.message.ends_with('.'), "{line:?}");
        // The one placeholder is for a word of a closed list.
        assert!(!line.message.contains('{') || line.message == "{what}", "{line:?}");
    }
}

/// covers: P1
#[test]
fn rooms_that_see_payloads_do_not_log() {
    for room in ["/src/sanitize/", "/src/model/", "/src/policy/"] {
        let logs: Vec<_> = lines().into_iter().filter(|line| line.place.contains(room)).collect();
        assert!(logs.is_empty(), "{logs:?}");
    }
}

/// As under systemd, which says of standard error what file it is, and reads the priority of each line.
#[test]
fn in_the_journal_each_line_has_its_priority_and_elsewhere_none() {
    let names_the_log = r#"export JOURNAL_STREAM="$(stat -Lc %d:%i /proc/self/fd/2)"; exec "$@""#;
    let another = r#"export JOURNAL_STREAM=1:1; exec "$@""#;
    for (script, is_journal) in [(names_the_log, true), (another, false)] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("usaged.toml");
        fs::write(&file, "[ingest]\ncustomer_events_per_second = 10\n").unwrap();
        let named = file.display().to_string();
        let place = Place::new(dir.path()).with(&["--config", &named]).under(&["sh", "-c", script, "sh"]);
        let daemon = place.start();
        fs::write(&file, "nonsense = 1\n").unwrap();
        until("a refusal", || place.said().contains("configuration refused as a whole"));
        assert_eq!(daemon.end(), 0);
        let (code, refused) = place.refused();
        assert_eq!(code, 3, "{refused}");
        let said = place.said();
        for line in said.lines() {
            let (priority, rest) = line.split_at(line.len().min(3));
            let expected =
                [(" INFO ", "<6>"), (" WARN ", "<4>"), (" ERROR ", "<3>"), ("usaged.toml:1", "<3>")];
            let expected = expected.iter().find(|(word, _)| rest.contains(word)).map_or("<3>", |(_, is)| is);
            assert_eq!(priority == expected, is_journal, "{line}");
            assert_eq!(line.starts_with('<'), is_journal, "{line}");
        }
        for word in [" INFO ", " ERROR ", "nonsense"] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }
}
