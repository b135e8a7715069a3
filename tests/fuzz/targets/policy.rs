//! Policy files as any text: a policy that can be used, or every mistake with its file and a line that is there.

use std::sync::LazyLock;

use usaged::policy::{PolicyFile, Problem, Severity, compile_with, diff, shipped};
use usaged::sanitize::in_listed_value;

use super::desk::POLICY;

static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let files = shipped();
    files.iter().find(|file| file.path == "programs/ceip.toml").unwrap().text.clone()
});

/// A product that is good under the shipped programs, short.
const PRODUCT: &str = "name = \"gadget\"\ndescription = \"d\"\nversion = 1\n[events.\"a.b\"]\ndescription = \"d\"\n\
    program = \"ceip\"\nsince = 1\n[events.\"a.b\".fields.host]\ntype = \"string\"\ncategory = \"configuration\"\n\
    class = \"host_name\"\npurposes = [\"improve\"]\ndescription = \"d\"\nexample = \"e\"\nsince = 1\n";

/// The first byte chooses which file the rest is; a zero byte in the text begins another file.
pub fn run(input: &[u8]) {
    let Some((choice, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(text).into_owned();
    let file = |path: &str, text: &str| PolicyFile { path: path.to_owned(), text: text.to_owned() };
    let files = match choice % 4 {
        0 => vec![file("programs/ceip.toml", &PROGRAM), file("products/gadget.toml", &text)],
        1 => vec![file("programs/ceip.toml", &text), file("products/gadget.toml", PRODUCT)],
        2 => match text.split_once('\0') {
            Some((program, product)) => {
                vec![file("programs/ceip.toml", program), file("products/gadget.toml", product)]
            }
            None => vec![file("programs/ceip.toml", &text)],
        },
        _ => vec![file(text.split('\0').next().unwrap_or(""), PRODUCT), file("programs/ceip.toml", &PROGRAM)],
    };
    match compile_with(&files, in_listed_value) {
        Ok((policy, notes)) => {
            notes.iter().for_each(|note| located(&files, note));
            assert!(notes.iter().all(|note| note.severity == Severity::Note));
            assert!(diff(&policy, &policy).is_empty(), "a policy differs from itself");
            let _ = (diff(&POLICY, &policy), diff(&policy, &POLICY));
            let again = compile_with(&files, in_listed_value).expect("what was good is good again").0;
            assert_eq!(policy.version(), again.version());
        }
        Err(problems) => {
            assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            problems.iter().for_each(|problem| located(&files, problem));
        }
    }
}

/// A problem names a file that was given and a line that it has, and says what to do.
fn located(files: &[PolicyFile], problem: &Problem) {
    assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
    if let Some(file) = files.iter().find(|file| file.path == problem.file) {
        let lines = file.text.bytes().filter(|byte| *byte == b'\n').count() + 1;
        assert!((1..=lines).contains(&problem.line), "{problem:?} of {lines} lines");
    }
}
