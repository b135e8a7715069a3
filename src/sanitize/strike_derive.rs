//! Derives what an identifier is looked for by: every pseudonym that it can have been stored under, of its class and of
//! each other that redaction can have taken it for, and those that it is known by when it arrives late in text.

use zeroize::Zeroizing;

use super::{Strike, StrikeError};
use crate::model::{IdentifierClass as Class, ProgramName, RawText};
use crate::policy::Epoch;
use crate::sanitize::canonical::{Canonical, Scratch, canonical_str};
use crate::sanitize::redact::is_vague;
use crate::sanitize::strike_find::Original;
use crate::sanitize::{CustomerSecret, LiveEpochs, spelling};

/// A value in the canonical form of a class.
type Form = (Class, Zeroizing<Vec<u8>>);

impl Strike {
    /// An original identifier, with every pseudonym that it has in these programs: the stable one, and the rotating
    /// one of each epoch of which there are keys. Of the classes `instance_id` and `customer_id`, a batch whose head names it goes as
    /// a whole.
    ///
    /// Text says of a host, a UUID and an account less of what it is than a field does, and redaction goes by the field
    /// that has the same value: so it is looked for as every class that it can have been taken for.
    ///
    /// # Errors
    /// If the value is no identifier of the class.
    pub fn identifier(
        class: Class,
        value: RawText<'_>,
        secret: &CustomerSecret,
        programs: &[ProgramName],
        epochs: &LiveEpochs,
    ) -> Result<Self, StrikeError> {
        if class.is_forbidden() || class == Class::NotIdentifying {
            return Err(StrikeError::Class(class));
        }
        let text = std::str::from_utf8(value.expose()).map_err(|_| StrikeError::Malformed(class))?;
        let mut scratch = Scratch::default();
        let canonical = match canonical_str(class, text, &mut scratch) {
            Canonical::Identifier(canonical) => Zeroizing::new(canonical.to_vec()),
            Canonical::Known(_) => return Err(StrikeError::Shared),
            Canonical::Malformed => return Err(StrikeError::Malformed(class)),
        };
        let original = Original::new(class, canonical, text.trim().as_bytes());
        let (forms, others) = (forms(&original, text), text_forms(&original, text));
        let mut strike =
            Self { programs: programs.to_vec(), takes_parties: is_party(class), ..Self::default() };
        let mut stable = Vec::with_capacity(forms.len().saturating_mul(programs.len()));
        for program in programs {
            // The stable pseudonym is of no epoch.
            let keys = secret.keys_apart(program, None);
            let token = |(class, form): &Form| Some((*class, keys.token(*class, Epoch::Stable, form)?));
            let own: Vec<_> = forms.iter().filter_map(token).collect();
            strike.in_text.extend(others.iter().filter_map(token).map(|(_, token)| token));
            strike.wanted.tokens.extend(own.iter().map(|(_, token)| *token));
            // Of an epoch whose key is gone there is no token to look for that anybody could tell.
            for (keys, _) in epochs.keys(secret, program) {
                let rotated = own.iter().filter_map(|(class, token)| keys.rotate(*class, token));
                strike.wanted.tokens.extend(rotated);
            }
            stable.extend(own.into_iter().enumerate());
        }
        // One class after another, each in the order of the programs, that which was asked for first.
        stable.sort_by_key(|(form, _)| *form);
        // What has the name of an installation is not all that the installation sent.
        let is_told = |(of, _): &(Class, [u8; 16])| *of == class || !is_party(*of);
        strike.stable.extend(stable.into_iter().map(|(_, token)| token).filter(is_told));
        strike.wanted.tokens.sort_unstable();
        strike.wanted.tokens.dedup();
        strike.wanted.originals.push(original);
        Ok(strike)
    }
}

/// Whether the head of a batch says who is of this class.
pub(super) const fn is_party(class: Class) -> bool {
    matches!(class, Class::InstanceId | Class::CustomerId)
}

/// The identifier as what it was asked for, and as everything else that redaction can have taken it for: classes whose
/// form of it differs in letter case at most, where that or its own is told by a field with the same value.
fn forms(original: &Original, given: &str) -> Vec<Form> {
    let mut forms = vec![(original.class, original.canonical.clone())];
    let canonical = std::str::from_utf8(&original.canonical).unwrap_or_default();
    let plain = spelling::caseless(&original.canonical);
    let mut scratch = Scratch::default();
    let others = Class::ALL.iter().copied().filter(|other| {
        other.is_found_in_text()
            && !other.is_forbidden()
            && (is_vague(*other) || is_vague(original.class))
            && *other != original.class
    });
    for other in others {
        for spelling in [canonical, given.trim()] {
            let form = match canonical_str(other, spelling, &mut scratch) {
                Canonical::Identifier(form) => form,
                // In text a value that has not the form of its field's class goes by what it is.
                Canonical::Malformed => spelling.as_bytes(),
                Canonical::Known(_) => continue,
            };
            let is_new = !forms.iter().any(|(class, known)| *class == other && known.as_slice() == form);
            if is_new && spelling::caseless(form) == plain {
                forms.push((other, Zeroizing::new(form.to_vec())));
            }
        }
    }
    forms
}

/// What words of a text are compared with, when the identifier is forgotten: itself and its parts, in small letters. Only
/// what is not compared with anyhow.
fn text_forms(original: &Original, given: &str) -> Vec<Form> {
    let class = original.class;
    let mut forms: Vec<Form> = Vec::new();
    let mut add = |form: &[u8]| {
        let plain = spelling::caseless(form);
        if *plain != *original.canonical && !forms.iter().any(|(_, known)| *known == plain) {
            forms.push((class, plain));
        }
    };
    add(&original.canonical);
    let mut scratch = Scratch::default();
    spelling::parts(class, &original.canonical, given.trim().as_bytes(), |part| {
        let part = std::str::from_utf8(part).ok().filter(|part| part.len() >= Original::SHORTEST);
        match part.map(|part| (part, canonical_str(class, part, &mut scratch))) {
            Some((_, Canonical::Identifier(form))) => add(form),
            // A part can have another form than its class: the mailbox of an address.
            Some((part, Canonical::Malformed)) => add(part.as_bytes()),
            Some((_, Canonical::Known(_))) | None => {}
        }
    });
    forms
}
