//! A policy file as a tree of keys that know their line, read with every mistake reported.

use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::nearest::remedy;
use super::problem::{Place, Problems, join};
use crate::model::UnknownWord;

/// Bytes of one policy file. The largest that ships has 25 KiB.
const FILE_BYTES: usize = 4 * 1024 * 1024;

/// Where the lines of a file begin.
#[derive(Debug)]
struct Lines {
    path: String,
    starts: Vec<usize>,
}

impl Lines {
    fn new(path: &str, text: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), starts }
    }

    fn place(&self, offset: usize, key: String) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        Place { file: self.path.clone(), line, key }
    }
}

/// Reads a file and hands its top to `with`. Syntax errors are all reported, and then nothing else of the file is.
pub(super) fn read<T>(
    path: &str,
    text: &str,
    problems: &mut Problems,
    with: impl FnOnce(&Section<'_, '_>, &mut Problems) -> Option<T>,
) -> Option<T> {
    let lines = Lines::new(path, text);
    if text.len() > FILE_BYTES {
        problems.error(
            &Place::file(path),
            "the file is larger than 4 MiB",
            "split the dictionary by product",
        );
        return None;
    }
    let (root, faults) = DeTable::parse_recoverable(text);
    for fault in &faults {
        let place = lines.place(fault.span().map_or(0, |span| span.start), String::new());
        problems.error(&place, format!("not valid TOML: {}", fault.message()), "correct the syntax");
    }
    if !faults.is_empty() {
        return None;
    }
    let top = Section { lines: &lines, table: root.get_ref(), place: Place::file(path) };
    with(&top, problems)
}

/// A table of a file.
#[derive(Debug, Clone)]
pub(super) struct Section<'d, 't> {
    lines: &'d Lines,
    table: &'d DeTable<'t>,
    place: Place,
}

impl<'d, 't> Section<'d, 't> {
    /// Where it begins.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Reports every key that is not in `known`.
    pub(super) fn only(&self, known: &[&str], problems: &mut Problems) {
        for entry in self.entries() {
            if !known.contains(&entry.name) {
                let remedy = remedy(entry.name, known.iter().copied());
                problems.error(&entry.place, "unknown key", remedy);
            }
        }
    }

    /// The keys in the order of the file.
    pub(super) fn entries(&self) -> Vec<Entry<'d, 't>> {
        let mut entries: Vec<_> =
            self.table.iter().map(|(key, value)| (key.span().start, key, value)).collect();
        entries.sort_by_key(|(start, ..)| *start);
        entries
            .into_iter()
            .map(|(start, key, value)| Entry {
                name: key.get_ref().as_ref(),
                place: self.lines.place(start, join(&self.place.key, key.get_ref())),
                lines: self.lines,
                value: value.get_ref(),
            })
            .collect()
    }

    /// The key `name`, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<Entry<'d, 't>> {
        let (key, value) = self.table.get_key_value(name)?;
        let place = self.lines.place(key.span().start, join(&self.place.key, name));
        Some(Entry { name: key.get_ref().as_ref(), place, lines: self.lines, value: value.get_ref() })
    }

    /// The key `name`, which has to be there.
    pub(super) fn require(&self, name: &str, problems: &mut Problems) -> Option<Entry<'d, 't>> {
        let entry = self.get(name);
        if entry.is_none() {
            problems.error(&self.place.below(name), "this key is missing", format!("add `{name}`"));
        }
        entry
    }

    /// A required text that is not empty and has at most 1,000 bytes.
    pub(super) fn prose(&self, name: &str, problems: &mut Problems) -> String {
        const PROSE_BYTES: usize = 1_000;
        let Some(entry) = self.require(name, problems) else { return String::new() };
        let Some(text) = entry.text(problems) else { return String::new() };
        if text.trim().is_empty() || text.len() > PROSE_BYTES {
            problems.error(
                &entry.place,
                "the text is empty or longer than 1000 bytes",
                "write one or two sentences",
            );
        }
        text.to_owned()
    }
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry<'d, 't> {
    /// The key.
    pub(super) name: &'d str,
    /// Where the key is.
    pub(super) place: Place,
    lines: &'d Lines,
    value: &'d DeValue<'t>,
}

impl<'d, 't> Entry<'d, 't> {
    fn wrong<T>(&self, expected: &str, problems: &mut Problems) -> Option<T> {
        let what = format!("this is {} `{}`", article(self.value.type_str()), self.value.type_str());
        problems.error(&self.place, what, format!("write {expected}"));
        None
    }

    /// The value, which has to be a text.
    pub(super) fn text(&self, problems: &mut Problems) -> Option<&'d str> {
        self.value.as_str().or_else(|| self.wrong("a text in quotes", problems))
    }

    /// The value, if it is a text.
    pub(super) fn as_text(&self) -> Option<&'d str> {
        self.value.as_str()
    }

    /// The value as the text of a number, a boolean or a text.
    pub(super) fn scalar(&self) -> Option<Scalar<'d>> {
        if let Some(text) = self.value.as_str() {
            return Some(Scalar::Text(text));
        }
        if let Some(number) = self.value.as_integer() {
            return Some(Scalar::Int(i64::from_str_radix(number.as_str(), number.radix()).ok()?));
        }
        if let Some(number) = self.value.as_float() {
            return Some(Scalar::Double(number.as_str().parse().ok()?));
        }
        self.value.as_bool().map(Scalar::Bool)
    }

    /// The value, which has to be a whole number from `low` to `high`.
    pub(super) fn number(&self, low: u64, high: u64, problems: &mut Problems) -> Option<u64> {
        let expected = format!("a whole number from {low} to {high}");
        let Some(number) = self.value.as_integer() else { return self.wrong(&expected, problems) };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (low..=high).contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                problems.error(&self.place, "the number is out of range", format!("write {expected}"));
                None
            }
        }
    }

    /// Like [`Self::number`], for numbers of 32 bits.
    pub(super) fn number32(&self, low: u32, high: u32, problems: &mut Problems) -> Option<u32> {
        self.number(low.into(), high.into(), problems).and_then(|number| u32::try_from(number).ok())
    }

    /// The value, which has to be `true` or `false`.
    pub(super) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong("true or false", problems))
    }

    /// The value, which has to be an id of type `T`.
    pub(super) fn id<T>(&self, problems: &mut Problems) -> Option<T>
    where
        T: FromStr<Err = crate::model::InvalidId>,
    {
        let text = self.text(problems)?;
        parse_id(text, &self.place, problems)
    }

    /// The value, which has to be one of a closed list of words.
    pub(super) fn word<T: FromStr<Err = UnknownWord>>(&self, problems: &mut Problems) -> Option<T> {
        let text = self.text(problems)?;
        parse_word(text, &self.place, problems)
    }

    /// The value, which has to be a list of different words of a closed list.
    pub(super) fn words<T>(&self, problems: &mut Problems) -> Vec<T>
    where
        T: FromStr<Err = UnknownWord> + PartialEq + Copy,
    {
        let mut words = Vec::new();
        for (text, place) in self.texts(problems) {
            let Some(word) = parse_word(text, &place, problems) else { continue };
            if words.contains(&word) {
                problems.error(&place, format!("`{text}` is listed twice"), "remove one of them");
            }
            words.push(word);
        }
        words
    }

    /// The value, which has to be a list of texts.
    pub(super) fn texts(&self, problems: &mut Problems) -> Vec<(&'d str, Place)> {
        let Some(array) = self.value.as_array() else {
            return self.wrong("a list of texts, such as [\"a\", \"b\"]", problems).unwrap_or_default();
        };
        let mut texts = Vec::new();
        for (at, item) in array.iter().enumerate() {
            let place = self.lines.place(item.span().start, format!("{}[{at}]", self.place.key));
            match item.get_ref().as_str() {
                Some(text) => texts.push((text, place)),
                None => problems.error(&place, "this is not a text", "write it in quotes"),
            }
        }
        texts
    }

    /// The value, which has to be a table.
    pub(super) fn section(&self, problems: &mut Problems) -> Option<Section<'d, 't>> {
        let table = self.value.as_table().or_else(|| self.wrong("a table", problems))?;
        Some(Section { lines: self.lines, table, place: self.place.clone() })
    }

    /// The value, which has to be a list of tables.
    pub(super) fn sections(&self, problems: &mut Problems) -> Vec<Section<'d, 't>> {
        let Some(array) = self.value.as_array() else {
            return self.wrong("tables in double brackets", problems).unwrap_or_default();
        };
        let mut sections = Vec::new();
        for (at, item) in array.iter().enumerate() {
            let place = self.lines.place(item.span().start, format!("{}[{at}]", self.place.key));
            match item.get_ref().as_table() {
                Some(table) => sections.push(Section { lines: self.lines, table, place }),
                None => problems.error(&place, "this is not a table", "write it under double brackets"),
            }
        }
        sections
    }
}

/// A value without parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'d> {
    Text(&'d str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// `text` as an id, or a problem that says what one looks like.
pub(super) fn parse_id<T>(text: &str, place: &Place, problems: &mut Problems) -> Option<T>
where
    T: FromStr<Err = crate::model::InvalidId>,
{
    text.parse()
        .map_err(|fault: crate::model::InvalidId| problems.error(place, "not a valid name", fault.rule))
        .ok()
}

/// `text` as a word of a closed list, or a problem that names the nearest one.
pub(super) fn parse_word<T: FromStr<Err = UnknownWord>>(
    text: &str,
    place: &Place,
    problems: &mut Problems,
) -> Option<T> {
    text.parse()
        .map_err(|fault: UnknownWord| {
            let remedy = remedy(text, fault.expected.split(", "));
            problems.error(place, format!("unknown word `{text}`"), remedy);
        })
        .ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{Problems, read};

    #[test]
    fn keys_know_their_line_and_unknown_ones_are_reported() {
        let text = "name = \"a\"\n\n[[levels]]\nname = \"x\"\n[levels.treatments]\nhost = \"drop\"\n\n[a.\"b.c\"]\nn = 1\n";
        let mut problems = Problems::default();
        let lines = read("f.toml", text, &mut problems, |top, problems| {
            top.only(&["nane", "levels"], problems);
            let level = top.get("levels")?.sections(problems).into_iter().next()?;
            let treatments = level.get("treatments")?.section(problems)?;
            let host = treatments.get("host")?;
            let deep = top.get("a")?.section(problems)?.get("b.c")?.section(problems)?.get("n")?;
            Some([level.place().clone(), treatments.place().clone(), host.place, deep.place])
        })
        .unwrap();
        let told: Vec<_> = lines.iter().map(|p| (p.line, p.key.as_str())).collect();
        assert_eq!(
            told,
            [
                (3, "levels[0]"),
                (5, "levels[0].treatments"),
                (6, "levels[0].treatments.host"),
                (9, "a.\"b.c\".n")
            ]
        );
        let told: Vec<_> = problems.into_notes().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f.toml:1: name: unknown key; did you mean `nane`?",
                "f.toml:8: a: unknown key; use one of nane, levels"
            ]
        );
    }

    #[test]
    fn every_syntax_error_is_reported_with_its_line() {
        let mut problems = Problems::default();
        assert_eq!(read("f.toml", "a = \nb = 2\nb = 3\n", &mut problems, |_, _| Some(())), None);
        let lines: Vec<_> = problems.into_notes().unwrap_err().iter().map(|p| p.line).collect();
        assert!(lines.contains(&1), "{lines:?}");
        assert!(lines.contains(&3), "{lines:?}");
    }
}
