//! The treatment of one scalar value: raw in, what may be stored out, or the reason why nothing may.

use super::ProgramKeys;
use super::canonical::{self, Canonical, Scratch};
use super::value::Treated;
use crate::model::{Fate, IdentifierClass, Raw, RawFields, RawValue, Reason};
use crate::policy::{Action, Epoch, Form, Generalise, Kind, NameTable};

/// What a vocabulary stores in place of a value that it does not list.
const OTHER: &[u8] = b"other";
/// Bytes of the longest version that is kept.
const VERSION_BYTES: usize = 64;

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
    scratch: &'t mut Scratch,
) -> Result<(Treated<'t>, Fate), Reason> {
    match action {
        Action::Withhold(reason) => Err(*reason),
        Action::Keep(form) => keep(form, value),
        Action::Pseudonym { class, epoch } => pseudonym(*class, *epoch, value, keys, scratch),
        Action::Generalise(how) => coarsen(*how, value, scratch),
        Action::Vocabulary(words) => match value {
            Scalar::Text(text) => Ok((listed(words, text)?, Fate::Coarsened)),
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
            Ok((Treated::Token(keys.token(class, epoch, identifier)), Fate::Pseudonymised))
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
        (Form::Vocabulary(words), Scalar::Text(text)) => listed(words, text)?,
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
fn listed<'t>(words: &NameTable, text: &'t [u8]) -> Result<Treated<'t>, Reason> {
    if words.get(text).is_some() {
        Ok(Treated::Text(text))
    } else if is_utf8(text) {
        Ok(Treated::Text(OTHER))
    } else {
        Err(Reason::Malformed)
    }
}

fn is_utf8(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok()
}

/// Letters, digits and `. - _ +`, with a digit among them: nothing that a sentence, an address or
/// a path could pass for.
fn is_version(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_+".contains(byte);
    (1..=VERSION_BYTES).contains(&text.len())
        && text.iter().all(allowed)
        && text.iter().any(u8::is_ascii_digit)
}

/// What stands before the base32hex form of a token: algorithm version, class, key epoch.
pub(super) fn token_prefix(action: &Action, rotation_epoch: u32) -> String {
    match action {
        Action::Pseudonym { class, epoch: Epoch::Stable } => format!("p1-{class}-s-"),
        Action::Pseudonym { class, epoch: Epoch::Rotating } => format!("p1-{class}-r{rotation_epoch}-"),
        Action::Withhold(_) | Action::Keep(_) | Action::Generalise(_) | Action::Vocabulary(_) => {
            String::new()
        }
    }
}
