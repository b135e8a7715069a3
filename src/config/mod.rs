//! The only room that knows configuration keys. What a person writes (defaults, then a TOML file,
//! then flags) becomes the `Options` of each room, or every mistake in it at once, each with its
//! place, key and remedy.
//!
//! - `keys`: every key, documented; `table`: the machinery under it; `value`, `word`: sizes, times, words
//! - `check`, `check_identity`: what only shows when keys are seen together
//! - `resolve`: from keys to the rooms' options
//! - `again`: the same read once more while the collector runs
//! - `sample`: the complete commented file

mod again;
mod check;
mod check_identity;
mod identities;
mod keys;
mod keys_told;
mod problem;
mod rates;
mod resolve;
mod sample;
mod table;
mod value;
mod word;

use std::path::Path;

use toml::de::DeTable;

pub use again::{Again, InForce};
pub use identities::{Identities, KeysFrom, TlsFiles};
pub use keys::{
    AdminKeys, DrainKeys, GrpcKeys, IdentityKeys, IngestKeys, JwtKeys, LedgerKeys, LogKeys, MetricsKeys,
    PseudonymKeys, RootKeys, Settings, ShutdownKeys, StoreKeys, TlsKeys, TraceKeys,
};
pub use problem::{Problem, is_of_the_system};
pub use resolve::{Config, RootKeySource};
pub use sample::sample;
pub use table::Override;
pub use value::{KeyValue, Size, Span};
pub use word::{ClientCertificates, FullChoice, LogFormat, LogLevel};

/// The environment variable that holds the root key, as 64 hexadecimal digits.
pub const ROOT_KEY_VARIABLE: &str = "USAGED_ROOT_KEY";

/// Reads the configuration from `file`, if there is one, and the flags.
///
/// # Errors
/// Every mistake.
pub fn load(file: Option<&Path>, overrides: &[Override]) -> Result<Config, Vec<Problem>> {
    let Some(file) = file else {
        return parse("", "", overrides).map(|settings| resolve::resolve(&settings, root_key_variable()));
    };
    let text = read_text(file).map_err(|problem| vec![problem])?;
    let settings = parse(&file.display().to_string(), &text, overrides)?;
    let mut config = resolve::resolve(&settings, root_key_variable());
    config.in_force.came_from(file, text, overrides);
    Ok(config)
}

fn read_text(file: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(file).map_err(|error| Problem {
        place: file.display().to_string(),
        line: 0,
        key: String::new(),
        what: format!("cannot be read: {error}"),
        remedy: "name a readable file, or leave --config out for the defaults".to_owned(),
        is_of_the_system: is_of_the_system(&error),
    })
}

/// Reads and checks the text of a configuration file, which `name` names in problems.
///
/// # Errors
/// Every mistake.
pub fn parse(name: &str, text: &str, overrides: &[Override]) -> Result<Settings, Vec<Problem>> {
    let mut source = table::Source::new(name, text, overrides);
    let (root, mistakes) = DeTable::parse_recoverable(text);
    if !mistakes.is_empty() {
        let syntax = mistakes.into_iter().map(|mistake| {
            let place = source.at(mistake.span().map_or(0, |span| span.start));
            place.problem("", mistake.message().replace('\n', ", "), "correct the TOML")
        });
        return Err(syntax.collect());
    }
    let settings = Settings::read(&mut source, root.get_ref());
    check::check(&settings, &mut source);
    let mut problems = source.problems;
    if problems.is_empty() {
        return Ok(settings);
    }
    problems.sort_by(|a, b| (&a.place, a.line).cmp(&(&b.place, b.line)));
    Err(problems)
}

/// Where the root key is: in `file`, or in the environment; none if neither is given.
#[must_use]
pub fn root_key_source(file: Option<&Path>) -> Option<RootKeySource> {
    let file = file.map(|file| RootKeySource::File(file.to_owned()));
    file.or_else(|| root_key_variable().map(|text| RootKeySource::Given(text.into())))
}

#[expect(clippy::disallowed_methods, reason = "the root key's variable is a configuration key")]
fn root_key_variable() -> Option<String> {
    std::env::var(ROOT_KEY_VARIABLE).ok().filter(|text| !text.is_empty())
}
