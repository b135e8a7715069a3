//! The machinery under `keys`: one table per section gives the struct, its documentation, its
//! defaults, the reader that collects every mistake, and the sample file.

use toml::de::{DeTable, DeValue};

use super::problem::{NO_KEY, NO_SECTION, Place, Problem, line_of, nearest};
use super::value::KeyValue;

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The flag as the person typed it, such as `--listen`: where a mistake is reported.
    pub flag: String,
    /// The key, such as `grpc.listen`.
    pub key: String,
    /// The value: TOML or, where it is not TOML, a text.
    pub value: String,
}

/// A key as the sample shows it.
#[derive(Debug, Clone)]
pub(super) struct KeyDoc {
    /// The name within its section.
    pub name: &'static str,
    /// What it means, one line of documentation each.
    pub lines: &'static [&'static str],
    /// How its default is written; `None` for a key that is not set by default.
    pub default: Option<String>,
    /// What the sample shows for a key that is not set by default.
    pub example: &'static str,
}

/// Everything that values are read from, and the mistakes found so far.
pub(super) struct Source<'a> {
    text: &'a str,
    file: String,
    overrides: &'a [Override],
    pub problems: Vec<Problem>,
    /// Where each key that was set was set.
    places: Vec<(String, Place)>,
    keys: Vec<String>,
}

impl<'a> Source<'a> {
    pub fn new(file: &str, text: &'a str, overrides: &'a [Override]) -> Self {
        let (problems, places, keys) = (Vec::new(), Vec::new(), Vec::new());
        Self { text, file: file.to_owned(), overrides, problems, places, keys }
    }

    /// Reads the root or a section of the file. `path` is empty for the root.
    pub fn section<'s>(&'s mut self, path: &'static str, root: &'a DeTable<'a>) -> Section<'s, 'a> {
        let table = if path.is_empty() {
            Some(root)
        } else {
            root.get(path).and_then(|value| {
                let table = value.get_ref().as_table();
                if table.is_none() {
                    let place = self.at(value.span().start);
                    let what = format!("is {}, not a section", value.get_ref().type_str());
                    self.problems.push(place.problem(path, what, format!("write it as [{path}]")));
                }
                table
            })
        };
        Section { path, table, source: self, names: Vec::new() }
    }

    pub fn at(&self, offset: usize) -> Place {
        Place { name: self.file.clone(), line: line_of(self.text, offset) }
    }

    /// Where `key` was set, for a mistake that only shows when keys are seen together.
    pub fn place_of(&self, key: &str) -> Place {
        let set = self.places.iter().rev().find(|(name, _)| name == key).map(|(_, place)| place.clone());
        set.unwrap_or(Place { name: "default".to_owned(), line: 0 })
    }

    /// Reports a mistake of `key`, where it was set.
    pub fn report(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let problem = self.place_of(key).problem(key, what, remedy);
        self.problems.push(problem);
    }

    /// Reports overrides that name no key. To be called when every section was read.
    pub fn finish(&mut self) {
        for given in self.overrides {
            if !self.keys.contains(&given.key) {
                let place = Place { name: given.flag.clone(), line: 0 };
                let known = self.keys.iter().map(String::as_str);
                let remedy = did_you_mean(nearest(&given.key, known), || {
                    "`usaged serve --print-config` lists every key".to_owned()
                });
                self.problems.push(place.problem(&given.key, NO_KEY, remedy));
            }
        }
    }
}

fn did_you_mean(name: Option<&str>, otherwise: impl FnOnce() -> String) -> String {
    name.map_or_else(otherwise, |name| format!("did you mean {name}?"))
}

/// One section while it is read.
pub(super) struct Section<'s, 'a> {
    path: &'static str,
    table: Option<&'a DeTable<'a>>,
    source: &'s mut Source<'a>,
    names: Vec<&'static str>,
}

impl Section<'_, '_> {
    fn full(&self, name: &str) -> String {
        full_name(self.path, name)
    }

    /// Reads one key: a flag before the file, the file before the default.
    pub fn value<T: KeyValue>(
        &mut self,
        name: &'static str,
        default: T,
        fits: impl Fn(&T) -> Result<(), String>,
    ) -> T {
        self.names.push(name);
        let key = self.full(name);
        self.source.keys.push(key.clone());
        let given = self.source.overrides.iter().rev().find(|given| given.key == key);
        let (place, read) = if let Some(given) = given {
            let place = Place { name: given.flag.clone(), line: 0 };
            (place, read_override(&given.value))
        } else if let Some(value) = self.table.and_then(|table| table.get(name)) {
            (self.source.at(value.span().start), T::read(value.get_ref()))
        } else {
            return default;
        };
        self.source.places.push((key.clone(), place.clone()));
        let Some(value) = read else {
            let remedy = format!("write {}", T::FORM);
            self.source.problems.push(place.problem(&key, "is not of the right form", remedy));
            return default;
        };
        if let Err(remedy) = fits(&value) {
            self.source.problems.push(place.problem(&key, "is out of bounds", remedy));
            return default;
        }
        value
    }

    /// Reports the keys of the section that nobody asked for. `sections` are the tables at the root.
    pub fn finish(self, sections: &[&'static str]) {
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            let known = self.names.iter().chain(sections).copied();
            if known.clone().any(|known| known == name) {
                continue;
            }
            let what = if value.get_ref().is_table() { NO_SECTION } else { NO_KEY };
            let place = self.source.at(key.span().start);
            let remedy = did_you_mean(nearest(name, known.clone()), || {
                format!("known here: {}", known.collect::<Vec<_>>().join(", "))
            });
            self.source.problems.push(place.problem(&self.full(name), what, remedy));
        }
    }
}

/// Reads a value from the command line: as TOML if that gives the right form, else as a text.
fn read_override<T: KeyValue>(given: &str) -> Option<T> {
    let parsed = DeValue::parse(given).ok().and_then(|value| T::read(value.get_ref()));
    parsed.or_else(|| T::read(&DeValue::String(given.into())))
}

/// Says whether a value lies within its bounds, or what they are.
pub(super) fn within<T: PartialOrd + std::fmt::Display>(value: &T, low: &T, high: &T) -> Result<(), String> {
    if value >= low && value <= high { Ok(()) } else { Err(format!("choose from {low} to {high}")) }
}

/// A key with its section.
pub(super) fn full_name(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// Defines the keys of one section.
macro_rules! keys {
    (
        $(#[doc = $about:literal])+ $name:ident $path:literal {
            $($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr $(, $low:expr => $high:expr)?;)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[doc = $doc])+ pub $key: $kind,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $name {
            pub(super) const PATH: &'static str = $path;
            pub(super) const ABOUT: &'static [&'static str] = &[$($about),+];

            pub(super) fn docs() -> Vec<KeyDoc> {
                let default = Self::default();
                vec![$(KeyDoc {
                    name: stringify!($key),
                    lines: &[$($doc),+],
                    default: default.$key.write(),
                    example: <$kind as KeyValue>::EXAMPLE,
                },)+]
            }

            /// The keys that have another value in `other`.
            pub(super) fn differing(&self, other: &Self) -> Vec<String> {
                let mut keys = Vec::new();
                $(if self.$key != other.$key {
                    keys.push(full_name($path, stringify!($key)));
                })+
                keys
            }

            pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
                Self { $($key: section.value(stringify!($key), $default, |_value| {
                    $(within(_value, &$low, &$high)?;)?
                    Ok(())
                }),)+ }
            }
        }
    };
}
pub(super) use keys;
