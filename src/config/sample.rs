//! The sample file: every key with its documentation and its default, written from the table of
//! keys. `deploy/usaged.toml` is this text; a test proves it.

use std::fmt::Write as _;

use super::keys::{
    AdminKeys, AmendKeys, DrainKeys, GrpcKeys, IdentityKeys, IngestKeys, JwtKeys, LedgerKeys, LogKeys,
    MetricsKeys, PseudonymKeys, RootKeys, ShutdownKeys, StoreKeys, TlsKeys, TraceKeys,
};
use super::table::KeyDoc;

const HEAD: &str = "\
# The configuration of usaged: every key, with its default. A key that is left out has its default;
# a flag of `usaged serve` (or `--set KEY=VALUE`) goes before this file. `usaged serve --check
# --config FILE` reports every mistake at once. Written by `usaged serve --print-config`.
";

/// The complete sample.
#[must_use]
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, RootKeys::PATH, RootKeys::ABOUT, &RootKeys::docs());
    section(&mut text, LogKeys::PATH, LogKeys::ABOUT, &LogKeys::docs());
    section(&mut text, GrpcKeys::PATH, GrpcKeys::ABOUT, &GrpcKeys::docs());
    section(&mut text, TlsKeys::PATH, TlsKeys::ABOUT, &TlsKeys::docs());
    section(&mut text, IdentityKeys::PATH, IdentityKeys::ABOUT, &IdentityKeys::docs());
    section(&mut text, JwtKeys::PATH, JwtKeys::ABOUT, &JwtKeys::docs());
    section(&mut text, AdminKeys::PATH, AdminKeys::ABOUT, &AdminKeys::docs());
    section(&mut text, MetricsKeys::PATH, MetricsKeys::ABOUT, &MetricsKeys::docs());
    section(&mut text, IngestKeys::PATH, IngestKeys::ABOUT, &IngestKeys::docs());
    section(&mut text, PseudonymKeys::PATH, PseudonymKeys::ABOUT, &PseudonymKeys::docs());
    section(&mut text, StoreKeys::PATH, StoreKeys::ABOUT, &StoreKeys::docs());
    section(&mut text, DrainKeys::PATH, DrainKeys::ABOUT, &DrainKeys::docs());
    section(&mut text, AmendKeys::PATH, AmendKeys::ABOUT, &AmendKeys::docs());
    section(&mut text, LedgerKeys::PATH, LedgerKeys::ABOUT, &LedgerKeys::docs());
    section(&mut text, TraceKeys::PATH, TraceKeys::ABOUT, &TraceKeys::docs());
    section(&mut text, ShutdownKeys::PATH, ShutdownKeys::ABOUT, &ShutdownKeys::docs());
    text
}

fn section(text: &mut String, path: &str, about: &[&str], docs: &[KeyDoc]) {
    text.push('\n');
    comment(text, about);
    if !path.is_empty() {
        let _ = writeln!(text, "[{path}]");
    }
    for doc in docs {
        text.push('\n');
        comment(text, doc.lines);
        let name = doc.name;
        let _ = match &doc.default {
            Some(default) => writeln!(text, "{name} = {default}"),
            None => writeln!(text, "# {name} = {}", doc.example),
        };
    }
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "# {}", line.trim());
    }
}
