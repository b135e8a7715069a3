//! The treatment of one scalar value: raw in, what may be stored out, or the reason why nothing may.

use super::ProgramKeys;
use super::canonical::{self, Canonical, Scratch};
use super::redact::{Workspace, redact};
use super::value::Treated;
use crate::model::{Fate, IdentifierClass, Raw, RawFields, RawValue, Reason};
use crate::policy::{Action, Epoch, Form, Generalise, Kind, NameTable};

/// What a vocabulary stores in place of a value that it does not list.
const OTHER: &[u8] = b"other";
/// Bytes of the longest version that is kept.
const VERSION_BYTES: usize = 40;
/// The longest run of letters and digits in a version, such as a short commit.
const VERSION_RUN: usize = 10;
/// The longest run of digits alone: a build number, such as Horizon's 10002333884.
const VERSION_BUILD: usize = 11;
/// The most letters in a version.
const VERSION_LETTERS: usize = 10;

/// A scalar of the type that the dictionary declares.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    /// Meant to be text; whoever keeps or reads it checks that it is UTF-8.
    Text(&'a [u8]),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(&'a [u8]),
}

impl<'a> Scalar<'a> {
    /// The value, if it has the declared type. A whole number is taken for a floating-point one.
    #[inline]
    pub(super) fn of<F: RawFields<'a>>(kind: Kind, value: &RawValue<'a, F>) -> Result<Self, Reason> {
        match (kind, value) {
            (Kind::Text, RawValue::Text(text)) => Ok(Self::text(*text)),
            (Kind::Int, RawValue::Int(number)) => Ok(Self::Int(*number)),
            (Kind::Double, RawValue::Double(number)) => Ok(Self::Double(*number)),
            #[expect(
                clippy::cast_precision_loss,
                clippy::as_conversions,
                reason = "the dictionary says double"
            )]
            (Kind::Double, RawValue::Int(number)) => Ok(Self::Double(*number as f64)),
            (Kind::Bool, RawValue::Bool(flag)) => Ok(Self::Bool(*flag)),
            (Kind::Bytes, RawValue::Bytes(bytes)) => Ok(Self::Bytes(bytes.expose())),
            (Kind::Text | Kind::Int | Kind::Double | Kind::Bool | Kind::Bytes, _) => Err(Reason::WrongType),
        }
    }

    /// The value, if it is not longer than its field may be.
    #[inline]
    pub(super) fn within(self, max_bytes: u32) -> Result<Self, Reason> {
        let len = match self {
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.len(),
            Self::Int(_) | Self::Double(_) | Self::Bool(_) => 0,
        };
        if u32::try_from(len).is_ok_and(|len| len <= max_bytes) { Ok(self) } else { Err(Reason::Malformed) }
    }

    /// Text.
    #[inline]
    pub(super) const fn text(text: Raw<'a>) -> Self {
        Self::Text(text.expose())
    }
}

/// Treats a scalar.
#[inline]
pub(super) fn treat<'t>(
    action: &Action,
    value: Scalar<'t>,
    keys: &ProgramKeys,
    work: &'t mut Workspace,
) -> Result<(Treated<'t>, Fate), Reason> {
    match action {
        Action::Withhold(reason) => Err(*reason),
        Action::Keep(form) => keep(form, value),
        Action::Pseudonym { class, epoch } => pseudonym(*class, *epoch, value, keys, &mut work.canonical),
        Action::Generalise(how) => coarsen(*how, value, &mut work.canonical),
        Action::Redact(rules) => match value {
            Scalar::Text(text) => {
                // A value that the dictionary lists counts like the others: the level let it through.
                redact(rules, keys, text, work).map(|text| (Treated::Text(text), Fate::Redacted))
            }
            Scalar::Int(_) | Scalar::Double(_) | Scalar::Bool(_) | Scalar::Bytes(_) => Err(Reason::WrongType),
        },
        Action::Vocabulary(words) => match value {
            Scalar::Text(text) => listed(words, text).map(|(word, _)| (word, Fate::Coarsened)),
            Scalar::Int(_) | Scalar::Double(_) | Scalar::Bool(_) | Scalar::Bytes(_) => Err(Reason::WrongType),
        },
    }
}

#[inline]
fn pseudonym<'t>(
    class: IdentifierClass,
    epoch: Epoch,
    value: Scalar<'t>,
    keys: &ProgramKeys,
    scratch: &'t mut Scratch,
) -> Result<(Treated<'t>, Fate), Reason> {
    let canonical = match value {
        Scalar::Text(text) => canonical::canonical(class, text, scratch),
        Scalar::Bytes(bytes) => canonical::canonical_bytes(class, bytes, scratch),
        Scalar::Int(number) => canonical::canonical_int(class, number, scratch),
        Scalar::Double(_) | Scalar::Bool(_) => return Err(Reason::WrongType),
    };
    match canonical {
        Canonical::Identifier(identifier) => {
            let token = keys.token(class, epoch, identifier).ok_or(Reason::NoKey)?;
            Ok((Treated::Token(token), Fate::Pseudonymised))
        }
        Canonical::Known(word) => Ok((Treated::Text(word.as_bytes()), Fate::Coarsened)),
        Canonical::Malformed => Err(Reason::Malformed),
    }
}

fn coarsen<'t>(
    how: Generalise,
    value: Scalar<'t>,
    scratch: &'t mut Scratch,
) -> Result<(Treated<'t>, Fate), Reason> {
    let coarse = match (how, value) {
        (Generalise::Bucket(width), Scalar::Int(number)) => {
            Some(Treated::Int(canonical::generalise_number(width, number)))
        }
        (Generalise::Bucket(width), Scalar::Double(number)) => {
            Some(Treated::Double(canonical::generalise_double(width, number)))
        }
        (_, Scalar::Text(text)) => canonical::generalise(how, text, scratch).map(Treated::Text),
        (_, Scalar::Bytes(bytes)) => canonical::generalise_bytes(how, bytes, scratch).map(Treated::Text),
        (_, Scalar::Int(_) | Scalar::Double(_) | Scalar::Bool(_)) => return Err(Reason::WrongType),
    };
    coarse.map(|value| (value, Fate::Coarsened)).ok_or(Reason::Malformed)
}

#[inline]
fn keep<'t>(form: &Form, value: Scalar<'t>) -> Result<(Treated<'t>, Fate), Reason> {
    let within = |len: usize, max: u32| u32::try_from(len).is_ok_and(|len| len <= max);
    let kept = match (form, value) {
        (Form::Bucket(width), Scalar::Int(number)) => {
            return Ok((Treated::Int(canonical::generalise_number(*width, number)), Fate::Coarsened));
        }
        (Form::Bucket(width), Scalar::Double(number)) => {
            return Ok((Treated::Double(canonical::generalise_double(*width, number)), Fate::Coarsened));
        }
        (Form::Any { max_bytes }, Scalar::Text(text)) if within(text.len(), *max_bytes) && is_utf8(text) => {
            Treated::Text(text)
        }
        (Form::Any { max_bytes }, Scalar::Bytes(bytes)) if within(bytes.len(), *max_bytes) => {
            Treated::Bytes(bytes)
        }
        (Form::Version, Scalar::Text(text)) if is_version(text) => Treated::Text(text),
        (Form::Vocabulary(words), Scalar::Text(text)) => return listed(words, text),
        (Form::Any { .. } | Form::Version, Scalar::Text(_)) | (Form::Any { .. }, Scalar::Bytes(_)) => {
            return Err(Reason::Malformed);
        }
        (_, Scalar::Int(number)) => Treated::Int(number),
        (_, Scalar::Double(number)) => Treated::Double(number),
        (_, Scalar::Bool(flag)) => Treated::Bool(flag),
        (Form::Version | Form::Vocabulary(_) | Form::Bucket(_), Scalar::Bytes(_))
        | (Form::Bucket(_), Scalar::Text(_)) => return Err(Reason::WrongType),
    };
    Ok((kept, Fate::Kept))
}

#[inline]
pub(super) fn listed<'t>(words: &NameTable, text: &'t [u8]) -> Result<(Treated<'t>, Fate), Reason> {
    if words.get(text).is_some() {
        Ok((Treated::Text(text), Fate::Kept))
    } else if is_utf8(text) {
        Ok((Treated::Text(OTHER), Fate::Coarsened))
    } else {
        Err(Reason::Malformed)
    }
}

fn is_utf8(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok()
}

/// Whether a text is a version and nothing that identifies: it begins with a digit (or `v` and one);
/// words stand only right after a digit, `-` or `+`, never after a dot as in a host name; no run of
/// letters and digits is long enough for a serial, hash or licence key; and it is no dotted IPv4 address,
/// MAC address or date-like phone number. A version of four numbers below 256 is taken for an address.
fn is_version(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"v").unwrap_or(text);
    if text.len() > VERSION_BYTES || !digits.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let mut before = b'0';
    let (mut run, mut letters, mut longest) = (0, 0, VERSION_BUILD);
    for byte in digits {
        match byte {
            b'0'..=b'9' => run += 1,
            b'a'..=b'z' | b'A'..=b'Z' => {
                let in_word = before.is_ascii_alphanumeric() || matches!(before, b'-' | b'+');
                if !in_word {
                    return false;
                }
                run += 1;
                letters += 1;
                longest = VERSION_RUN;
            }
            b'.' | b'-' | b'_' | b'+' => (run, longest) = (0, VERSION_BUILD),
            _ => return false,
        }
        if run > longest || letters > VERSION_LETTERS {
            return false;
        }
        before = *byte;
    }
    !is_address(digits)
}

/// Whether a text is four numbers below 256 with dots, or six pairs with dashes.
fn is_address(text: &[u8]) -> bool {
    let parts = |separator: u8| text.split(move |byte| *byte == separator);
    let octet =
        |part: &[u8]| part.len() < 4 && part.iter().all(u8::is_ascii_digit) && part <= b"255".as_slice();
    (parts(b'.').count() == 4 && parts(b'.').all(|part| octet(part) || part.len() < 3))
        || (parts(b'-').count() == 6 && parts(b'-').all(|part| part.len() == 2))
}

/// What stands before the base32hex form of a token: algorithm version, class, key epoch.
pub(super) fn token_prefix(action: &Action, rotation_epoch: u32) -> String {
    match action {
        Action::Pseudonym { class, epoch: Epoch::Stable } => format!("p1-{class}-s-"),
        Action::Pseudonym { class, epoch: Epoch::Rotating } => format!("p1-{class}-r{rotation_epoch}-"),
        Action::Withhold(_)
        | Action::Keep(_)
        | Action::Generalise(_)
        | Action::Vocabulary(_)
        | Action::Redact(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_version;

    /// covers: P1
    #[test]
    fn a_version_is_kept_and_nothing_that_identifies_passes_for_one() {
        for version in [
            "8",
            "8.0.3",
            "v1.2",
            "12.4.5",
            "8.0.3-24022515",
            "8.13.0-10002333884",
            "1.2.3-rc.1",
            "7.0u3c",
            "1.8.0_292-b10",
            "2024.1",
            "1.29.4+vmware.3",
            "10.0.19041.1",
            "5.10.0-28-amd64",
        ] {
            assert!(is_version(version.as_bytes()), "{version}");
        }
        for other in [
            "",
            "v",
            "esx01",
            "esx01.corp.example.com",
            "1.example.com",
            "10.1.2.3",
            "192.168.1.254",
            "8.0.0.1",
            "00-50-56-ab-cd-ef",
            "00:50:56:ab:cd:ef",
            "564d1f3c-1d2e-4f5a-9b8c-7d6e5f4a3b2c",
            "5CG1234XYZ9",
            "1HK2L-3M4NP-5QR6S-7TU8V-9WX0Y",
            "4111111111111111",
            "+4930748359133",
            "0049307483591",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "1 2",
            "1/2",
            "1@example.com",
            "9f86d081884c7d65",
        ] {
            assert!(!is_version(other.as_bytes()), "{other}");
        }
    }
}
