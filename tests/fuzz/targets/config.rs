//! Configuration files and flags as any text: settings, or every mistake with a line that is there.

use usaged::config::{Override, parse};

/// Lines before a zero byte are the file; each line after it is a flag `KEY=VALUE`.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let (file, flags) = text.split_once('\0').unwrap_or((&text, ""));
    let overrides: Vec<Override> = flags.lines().take(4).filter_map(flag).collect();
    let lines = file.bytes().filter(|byte| *byte == b'\n').count() + 1;
    match parse("usaged.toml", file, &overrides) {
        Ok(settings) => {
            let again = parse("usaged.toml", file, &overrides);
            assert_eq!(format!("{settings:?}"), format!("{:?}", again.expect("what was good is good again")));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!(problem.line <= lines, "{problem:?} of {lines} lines");
                assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
                assert!(problem.place != "usaged.toml" || problem.line > 0, "{problem:?} names no line");
            }
        }
    }
}

fn flag(line: &str) -> Option<Override> {
    let (key, value) = line.split_once('=')?;
    Some(Override { flag: format!("--set {line}"), key: key.to_owned(), value: value.to_owned() })
}
