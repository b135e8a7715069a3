//! Host names against the conformance test of UTS #46 (`IdnaTestV2.txt` of the Unicode Consortium), as it
//! is shipped with the `idna` crate.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test stops where it cannot go on")]

use std::path::PathBuf;
use std::process::Command;

use usaged::model::IdentifierClass;
use usaged::sanitize::canonical::{Canonical, Scratch, canonical};

/// What the test demands and host names of machines do not keep to: hyphens anywhere (V2, V3), and so
/// labels that decode to `xn--` (V4), ASCII such as `_` (U1), and lengths, which are checked after the last
/// dot is gone (`A4_1`, `A4_2`).
const LENIENT: [&str; 6] = ["V2", "V3", "V4", "U1", "A4_1", "A4_2"];

struct Row {
    line: usize,
    source: String,
    to_unicode: String,
    to_ascii: String,
    errors: Vec<String>,
}

/// The file, in the sources that cargo built from.
fn test_file() -> String {
    let cargo = Command::new(env!("CARGO"))
        // Packages of other platforms are not there.
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg("--manifest-path")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let idna = packages.iter().find(|package| package["name"] == "idna").expect("idna is a dependency");
    let manifest = PathBuf::from(idna["manifest_path"].as_str().expect("a path"));
    std::fs::read_to_string(manifest.with_file_name("tests").join("IdnaTestV2.txt")).expect("the test file")
}

fn rows(text: &str) -> impl Iterator<Item = Row> {
    text.lines().zip(1..).filter_map(|(line, number)| {
        let line = line.split('#').next().unwrap_or_default();
        let columns: Vec<&str> = line.split(';').map(str::trim).collect();
        let [source, to_unicode, unicode_status, to_ascii, ascii_status, ..] = *columns.as_slice() else {
            return None;
        };
        let or = |text: &'static str, column: &str| {
            if column.is_empty() { text.to_owned() } else { column.to_owned() }
        };
        let source = unescape(source);
        let to_unicode = if to_unicode.is_empty() { source.clone() } else { unescape(to_unicode) };
        let to_ascii = if to_ascii.is_empty() { to_unicode.clone() } else { unescape(to_ascii) };
        let status = if ascii_status.is_empty() { or("[]", unicode_status) } else { ascii_status.to_owned() };
        let errors = status.trim_matches(['[', ']']).split(',').map(|code| code.trim().to_owned());
        Some(Row {
            line: number,
            source,
            to_unicode,
            to_ascii,
            errors: errors.filter(|code| !code.is_empty()).collect(),
        })
    })
}

/// Undoes `""`, `\uXXXX` and `\x{XXXX}`. What is no character becomes U+FFFD, which no name may have.
fn unescape(column: &str) -> String {
    if column == "\"\"" {
        return String::new();
    }
    let mut text = String::new();
    let mut rest = column;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (hex, after) = if let Some(long) = escape.strip_prefix("x{") {
            long.split_once('}').expect("a closed escape")
        } else {
            escape.strip_prefix('u').expect("an escape").split_at(4)
        };
        let code = u32::from_str_radix(hex, 16).expect("a code point");
        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Whether a name ends in a number, and so is an IPv4 address or nothing.
fn ends_in_a_number(name: &str) -> bool {
    let mut labels = name.rsplit('.');
    let last = labels.next().unwrap_or_default();
    labels.next().is_some() && !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an error is none of ours. V7 is a character that Unicode 16 has not assigned: the tables that
/// `idna` now uses are those of Unicode 17 (which assigned U+323B0 to U+33479), and `icu_normalizer_data`
/// 2.4.0 also lets U+3D000 to U+3FC3F pass. One name has one form all the same.
fn is_lenient(code: &str, row: &Row) -> bool {
    let plane_3 = '\u{30000}'..='\u{3fffd}';
    LENIENT.contains(&code) || (code == "V7" && row.to_unicode.chars().any(|c| plane_3.contains(&c)))
}

#[test]
fn host_names_follow_the_conformance_test_of_uts_46() {
    let mut scratch = Scratch::default();
    let (mut names, mut refused, mut wrong) = (0, 0, Vec::new());
    for row in rows(&test_file()) {
        let found = canonical(IdentifierClass::HostName, row.source.as_bytes(), &mut scratch);
        let expected = row.to_ascii.strip_suffix('.').unwrap_or(&row.to_ascii);
        let fits = match found {
            Canonical::Identifier(name) => {
                name == expected.as_bytes() && row.errors.iter().all(|code| is_lenient(code, &row))
            }
            Canonical::Malformed => !row.errors.is_empty() || ends_in_a_number(expected),
            Canonical::Known(_) => {
                row.source.is_empty() || expected.bytes().all(|byte| b"0.-".contains(&byte))
            }
        };
        match found {
            Canonical::Identifier(_) if fits => names += 1,
            Canonical::Malformed | Canonical::Known(_) if fits => refused += 1,
            Canonical::Identifier(_) | Canonical::Known(_) | Canonical::Malformed => {
                wrong.push(format!("{found:?} for line {}: {:?} {:?}", row.line, row.source, row.errors));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows: {wrong:#?}", wrong.len());
    assert!(names > 500 && refused > 5_000, "{names} names and {refused} refusals are too few");
}
