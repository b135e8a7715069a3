//! Reads one field of a dictionary, and refuses what could not be stored safely: a kept text
//! without a form, a class that its type cannot hold, an example that is no example.

use std::sync::Arc;

use super::dictionary::{DeclaredForm, Field};
use super::document::{Entry, Scalar, Section};
use super::field_type::{TYPES, kinds, type_word};
use super::nearest::remedy;
use super::problem::{Place, Problems};
use super::program_file::listed;
use super::{Kind, NameTable};
use crate::model::{Category, FieldPath, IdentifierClass, Purpose, limits};

/// The longest identifier that a level keeps, in bytes, where the field declares no `max_length`. Text that
/// somebody or something wrote may be as long as a value may.
const KEPT_BYTES: u32 = 256;
/// Values of one vocabulary.
const VOCABULARY: usize = 1_024;
/// Bytes of a value of a vocabulary.
const WORD_BYTES: usize = 128;
/// Bytes of a version.
const VERSION_BYTES: usize = 64;

const KEYS: [&str; 12] = [
    "type",
    "category",
    "class",
    "purposes",
    "description",
    "example",
    "since",
    "vocabulary",
    "pseudonym",
    "bucket",
    "shape",
    "max_length",
];

/// Reads the field `path`.
pub(super) fn read(
    section: &Section<'_, '_>,
    path: &FieldPath,
    versions: (u32, u32),
    problems: &mut Problems,
) -> Option<Field> {
    section.only(&KEYS, problems);
    let kind = kind(section, problems);
    let category: Option<Category> = section.require("category", problems).and_then(|e| e.word(problems));
    let class: Option<IdentifierClass> = section.require("class", problems).and_then(|e| e.word(problems));
    let purposes: Option<(Vec<Purpose>, Place)> = listed(section, "purposes", problems);
    let description = section.prose("description", problems);
    let since = since(section, versions, problems);
    let words = section.get("vocabulary").map(|entry| vocabulary(&entry, problems));
    let pseudonym = section.get("pseudonym").and_then(|entry| entry.boolean(problems)).unwrap_or(false);
    let bucket = section.get("bucket").and_then(|entry| entry.number(1, u64::MAX >> 1, problems));
    let version = section.get("shape").is_some_and(|entry| shape(&entry, problems));
    let most = u32::try_from(limits::VALUE_BYTES).unwrap_or(u32::MAX);
    let max_bytes = section.get("max_length").and_then(|entry| entry.number32(1, most, problems));
    let example = section.require("example", problems);

    let (kind, class) = (kind?, class?);
    check_kind(section, path, kind, class, problems);
    check_form(section, kind, class, problems);
    let form = match (class, &words, bucket) {
        (IdentifierClass::NotIdentifying, Some(_), _) => DeclaredForm::Vocabulary,
        (IdentifierClass::NotIdentifying, None, Some(width)) => DeclaredForm::Bucket(width),
        _ if version => DeclaredForm::Version,
        _ => DeclaredForm::Any,
    };
    let words = words.unwrap_or_default();
    let example = check_example(&example?, kind, form, &words, problems)?;
    let table = || Arc::new(NameTable::new(words.iter().map(String::as_str).zip(0..)));
    Some(Field {
        path: path.clone(),
        kind,
        category: category?,
        class,
        purposes: purposes?.0.into_iter().collect(),
        description,
        example,
        since: since?,
        pseudonym,
        vocabulary: (!words.is_empty()).then(table),
        words,
        form,
        max_bytes: max_bytes.unwrap_or(if is_prose(class) { most } else { KEPT_BYTES }),
    })
}

/// Whether a class is text that is read for identifiers, and not an identifier itself.
const fn is_prose(class: IdentifierClass) -> bool {
    matches!(
        class,
        IdentifierClass::Url
            | IdentifierClass::FilePath
            | IdentifierClass::Query
            | IdentifierClass::Argument
            | IdentifierClass::FreeText
            | IdentifierClass::ProductLog
            | IdentifierClass::CrashText
    )
}

/// The version that introduced an event or field: from that of its parent to that of the dictionary.
pub(super) fn since(
    section: &Section<'_, '_>,
    (first, last): (u32, u32),
    problems: &mut Problems,
) -> Option<u32> {
    let entry = section.require("since", problems)?;
    let since = entry.number32(1, last.max(1), problems)?;
    if since < first {
        let remedy = format!("write {first}, the version that introduced its event, or a later one");
        problems.error(&entry.place, "a field cannot be older than its event", remedy);
    }
    Some(since)
}

fn kind(section: &Section<'_, '_>, problems: &mut Problems) -> Option<Kind> {
    let entry = section.require("type", problems)?;
    let word = entry.text(problems)?;
    let kind = TYPES.iter().find(|(w, _)| *w == word).map(|(_, kind)| *kind);
    if kind.is_none() {
        let remedy = remedy(word, TYPES.iter().map(|(word, _)| *word));
        problems.error(&entry.place, format!("unknown type `{word}`"), remedy);
    }
    kind
}

fn check_kind(
    section: &Section<'_, '_>,
    path: &FieldPath,
    kind: Kind,
    class: IdentifierClass,
    problems: &mut Problems,
) {
    let place = place(section, "type");
    let allowed = kinds(class);
    if !allowed.contains(&kind) {
        let words: Vec<_> = allowed.iter().map(|kind| type_word(*kind)).collect();
        let what = format!("a `{}` cannot hold `{class}`", type_word(kind));
        problems.error(&place, what, format!("use one of {}", words.join(", ")));
    }
    if path.as_str().ends_with("{key}") && kind != Kind::Text {
        problems.error(&place, "the keys of a map are texts", "write type = \"string\"");
    }
}

/// Refuses a form where it means nothing, and a text that identifies nobody without one: what it
/// holds in fact could be anything, and it is kept.
fn check_form(section: &Section<'_, '_>, kind: Kind, class: IdentifierClass, problems: &mut Problems) {
    let identifies = class != IdentifierClass::NotIdentifying;
    let text = kind == Kind::Text;
    let numeric = matches!(kind, Kind::Int | Kind::Double);
    let has = |key| section.get(key).is_some();
    if !identifies && text && has("vocabulary") == has("shape") {
        problems.error(
            section.place(),
            "a text that identifies nobody needs either a vocabulary or a shape",
            "list its values in `vocabulary`, write shape = \"version\", or give it an identifier class",
        );
    }
    let rules = [
        ("vocabulary", text && !class.is_forbidden(), "a vocabulary is for texts that may be stored"),
        ("shape", text && !identifies, "a shape is for texts that identify nobody"),
        ("bucket", numeric && !identifies, "a bucket is for numbers that identify nobody"),
        (
            "pseudonym",
            identifies && !class.is_forbidden(),
            "only an identifier that may be stored can ask for a pseudonym",
        ),
        (
            "max_length",
            identifies && !class.is_forbidden() && matches!(kind, Kind::Text | Kind::Bytes),
            "a length bounds identifiers that are texts or bytes",
        ),
    ];
    for (key, fits, what) in rules {
        if has(key) && !fits {
            problems.error(&place(section, key), what, "remove this line, or correct `type` or `class`");
        }
    }
}

fn place(section: &Section<'_, '_>, key: &str) -> Place {
    section.get(key).map_or_else(|| section.place().clone(), |entry| entry.place)
}

fn shape(entry: &Entry<'_, '_>, problems: &mut Problems) -> bool {
    match entry.text(problems) {
        Some("version") => true,
        Some(_) => {
            problems.error(
                &entry.place,
                "unknown shape",
                "write \"version\", or list values in `vocabulary`",
            );
            false
        }
        None => false,
    }
}

fn vocabulary(entry: &Entry<'_, '_>, problems: &mut Problems) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let texts = entry.texts(problems);
    if texts.is_empty() || texts.len() > VOCABULARY {
        let remedy = format!("list 1 to {VOCABULARY} values");
        problems.error(&entry.place, "the vocabulary is empty or too long", remedy);
    }
    for (text, place) in texts {
        if text.is_empty() || text.len() > WORD_BYTES {
            let remedy = format!("write 1 to {WORD_BYTES} bytes");
            problems.error(&place, "a value of the vocabulary is empty or too long", remedy);
        } else if text == "other" {
            problems.error(&place, "`other` stands for what is not listed", "remove it");
        } else if words.iter().any(|word| word == text) {
            problems.error(&place, "this value is listed twice", "remove one of them");
        } else {
            words.push(text.to_owned());
        }
    }
    words
}

/// The example as text, if it is a value that the field could have.
fn check_example(
    entry: &Entry<'_, '_>,
    kind: Kind,
    form: DeclaredForm,
    words: &[String],
    problems: &mut Problems,
) -> Option<String> {
    let example = match (kind, entry.scalar()) {
        (Kind::Text, Some(Scalar::Text(text))) if !text.is_empty() => Some(text.to_owned()),
        (Kind::Int | Kind::Double, Some(Scalar::Int(number))) => Some(number.to_string()),
        (Kind::Double, Some(Scalar::Double(number))) => Some(number.to_string()),
        (Kind::Bool, Some(Scalar::Bool(value))) => Some(value.to_string()),
        (Kind::Bytes, Some(Scalar::Text(text))) if is_hex(text) => Some(text.to_owned()),
        _ => None,
    };
    let Some(example) = example else {
        let wanted = match kind {
            Kind::Text => "a text in quotes",
            Kind::Int => "a whole number",
            Kind::Double => "a number",
            Kind::Bool => "true or false",
            Kind::Bytes => "hexadecimal digits in quotes",
        };
        problems.error(&entry.place, "the example is not of the field's type", format!("write {wanted}"));
        return None;
    };
    let fits = match form {
        DeclaredForm::Vocabulary => words.contains(&example),
        DeclaredForm::Version => is_version(&example),
        DeclaredForm::Any | DeclaredForm::Bucket(_) => true,
    };
    if !fits {
        problems.error(
            &entry.place,
            "the example would not be kept",
            "choose one of the vocabulary, or one of the shape",
        );
    }
    Some(example)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The shape of a version: up to 64 of letters, digits and `. - _ +`, with a digit.
fn is_version(text: &str) -> bool {
    text.len() <= VERSION_BYTES
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
}
