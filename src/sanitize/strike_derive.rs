//! Derives what an identifier is looked for by: every pseudonym that it can have been stored under, of its class and of
//! each other that redaction can have taken it for, and those that it is known by when it arrives late in text.

use zeroize::Zeroizing;

use super::cases::cases;
use super::{Strike, StrikeError};
use crate::model::{IdentifierClass as Class, ProgramName, RawText};
use crate::policy::Epoch;
use crate::sanitize::canonical::{Canonical, Scratch, canonical, canonical_str};
use crate::sanitize::redact::is_vague;
use crate::sanitize::strike_find::Original;
use crate::sanitize::{CustomerSecret, LiveEpochs, detect, meant, spelling};

/// A value in the canonical form of a class.
type Form = (Class, Zeroizing<Vec<u8>>);

impl Strike {
    /// An original identifier, with every pseudonym that it has in these programs: the stable one, and the rotating
    /// one of each epoch of which there are keys. Of the classes `instance_id` and `customer_id`, a batch whose head names it goes as
    /// a whole.
    ///
    /// Text says of a host, a UUID and an account less of what it is than a field does, and redaction goes by the field
    /// that has the same value: so it is looked for as every class that it can have been taken for. Where letter case and
    /// white space are of the value, redaction goes by a field that has it otherwise, too: so it is looked for in small
    /// letters, in capitals and with single blanks as well, and in the ways in which people write its words
    /// (`strike_cases.rs`). Of a field that has it in yet another way (`proDUCtion-7`, when `production-7` is erased) no
    /// pseudonym can be told.
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
        let mut strike = Self::known(class, value, secret, programs, epochs)?;
        strike.add_cases((class, value), secret, programs, epochs);
        Ok(strike)
    }

    /// The same without what fields have in other letters, for whom that is known otherwise.
    pub(in crate::sanitize) fn known(
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
        let short = short_name(&original)
            .map(|name| Box::new(Self::of_field((class, name), secret, programs, epochs)));
        let takes_parties = is_party(class);
        let mut strike = Self { programs: programs.to_vec(), takes_parties, short, ..Self::default() };
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

    /// Adds the pseudonyms of the ways in which people write the value, if its class tells them apart.
    fn add_cases(
        &mut self,
        (class, value): (Class, RawText<'_>),
        secret: &CustomerSecret,
        programs: &[ProgramName],
        epochs: &LiveEpochs,
    ) {
        let forms = case_forms(class, std::str::from_utf8(value.expose()).unwrap_or_default());
        let mut cases = Vec::new();
        for program in programs {
            let keys = secret.keys_apart(program, None);
            let tokens = forms.iter().filter_map(|form| keys.token(class, Epoch::Stable, form));
            let is_new =
                |(_, token): &(usize, [u8; 16])| !self.stable.iter().any(|(_, known)| known == token);
            let own: Vec<_> = tokens.enumerate().filter(is_new).collect();
            self.wanted.tokens.extend(own.iter().map(|(_, token)| *token));
            for (keys, _) in epochs.keys(secret, program) {
                let rotated = own.iter().filter_map(|(_, token)| keys.rotate(class, token));
                self.wanted.tokens.extend(rotated);
            }
            cases.extend(own);
        }
        // Each in the order of the programs.
        cases.sort_by_key(|(form, _)| *form);
        self.other_cases.extend(cases.into_iter().map(|(_, token)| (class, token)));
        self.wanted.tokens.sort_unstable();
        self.wanted.tokens.dedup();
    }

    /// What fields of a class say, by its pseudonyms or as it is, and no other text.
    fn of_field(
        (class, form): Form,
        secret: &CustomerSecret,
        programs: &[ProgramName],
        epochs: &LiveEpochs,
    ) -> Self {
        let mut strike = Self::default();
        for program in programs {
            let keys = secret.keys_apart(program, None);
            let Some(token) = keys.token(class, Epoch::Stable, &form) else { continue };
            strike.wanted.tokens.push(token);
            let rotated = epochs.keys(secret, program).filter_map(|(keys, _)| keys.rotate(class, &token));
            strike.wanted.tokens.extend(rotated);
        }
        strike.wanted.tokens.sort_unstable();
        strike.wanted.originals.push(Original::of_field(class, form));
        strike
    }
}

/// What a field may say for short: the name of a host without its domain, an account without one. Of which domain it is,
/// such a field does not say.
fn short_name(original: &Original) -> Option<Zeroizing<Vec<u8>>> {
    let (class, whole) = (original.class, original.canonical.as_slice());
    let name = if class == Class::HostName {
        whole.split(|byte| *byte == b'.').next()
    } else if class == Class::UserId {
        match whole.iter().position(|byte| *byte == b'\\') {
            Some(at) => whole.get(at + 1..),
            None => whole.iter().rposition(|byte| *byte == b'@').and_then(|at| whole.get(..at)),
        }
    } else {
        None
    };
    let mut scratch = Scratch::default();
    if !matches!(canonical(Class::IpAddress, whole, &mut scratch), Canonical::Malformed) {
        // The first part of an address is no name.
        return None;
    }
    let name = std::str::from_utf8(name.filter(|name| name.len() < whole.len())?).ok()?;
    match canonical_str(class, name, &mut scratch) {
        Canonical::Identifier(form) => Some(Zeroizing::new(form.to_vec())),
        Canonical::Known(_) | Canonical::Malformed => None,
    }
}

/// Whether the head of a batch says who is of this class.
pub(in crate::sanitize) const fn is_party(class: Class) -> bool {
    matches!(class, Class::InstanceId | Class::CustomerId)
}

/// The identifier as what it was asked for, and as everything else that redaction can have taken it for: classes whose
/// form of it differs in letter case at most, where that or its own is told by a field with the same value.
fn forms(original: &Original, given: &str) -> Vec<Form> {
    let mut forms = vec![(original.class, original.canonical.clone())];
    let canonical = std::str::from_utf8(&original.canonical).unwrap_or_default();
    own_forms(original, given, &mut forms);
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

/// The same class, as fields can have the value that text has in other letters or with more white space.
fn own_forms(original: &Original, given: &str, forms: &mut Vec<Form>) {
    let class = original.class;
    // What an installation or a customer sends is taken whole: another one with nearly the same id is not meant.
    if !class.is_found_in_text() || is_party(class) {
        return;
    }
    let given = given.trim();
    // Separators that its canonical form has, and text does not compare.
    let bare = meant::bare(class, given.as_bytes()).as_deref().and_then(|bare| owned(bare));
    let decoded = detect::decoded(given);
    let written = [Some(given), decoded.as_deref().map(String::as_str), bare.as_deref().map(String::as_str)];
    let mut others: Vec<Zeroizing<String>> = Vec::new();
    for one in written.into_iter().flatten() {
        let single = Zeroizing::new(one.split_whitespace().collect::<Vec<_>>().join(" "));
        let plain = owned(&meant::plain(one.as_bytes())).unwrap_or_default();
        let small = Zeroizing::new(one.to_lowercase());
        let capitals = [one, &single, &plain].map(|one| Zeroizing::new(one.to_uppercase()));
        others.extend([Zeroizing::new(one.to_owned()), single, small, plain].into_iter().chain(capitals));
    }
    let mut scratch = Scratch::default();
    for spelling in others {
        let Canonical::Identifier(form) = canonical_str(class, &spelling, &mut scratch) else { continue };
        if !forms.iter().any(|(_, known)| known.as_slice() == form) {
            forms.push((class, Zeroizing::new(form.to_vec())));
        }
    }
}

/// The value as fields can have it in the ways in which people write it, each once.
fn case_forms(class: Class, given: &str) -> Vec<Zeroizing<Vec<u8>>> {
    if !class.is_found_in_text() || is_party(class) {
        return Vec::new();
    }
    let single = |text: &str| Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" "));
    let decoded = detect::decoded(given);
    let mut written: Vec<Zeroizing<String>> = Vec::new();
    for one in [Some(given), decoded.as_deref().map(String::as_str)].into_iter().flatten() {
        let plain = owned(&meant::plain(one.trim().as_bytes())).unwrap_or_default();
        for one in [single(one), plain] {
            if !written.iter().any(|known| known.to_lowercase() == one.to_lowercase()) {
                written.push(one);
            }
        }
    }
    let (mut forms, mut scratch) = (Vec::<Zeroizing<Vec<u8>>>::new(), Scratch::default());
    let mut whole = Zeroizing::new(String::new());
    for one in &written {
        let (before, name, behind) = without_domain(class, one);
        cases(name, |spelling| {
            whole.clear();
            whole.extend([before, spelling, behind]);
            let Canonical::Identifier(form) = canonical_str(class, &whole, &mut scratch) else { return };
            if !forms.iter().any(|known| known.as_slice() == form) {
                forms.push(Zeroizing::new(form.to_vec()));
            }
        });
    }
    forms
}

/// What stands before the part of a value that has a letter case, that, and what stands behind it: a domain has none.
fn without_domain(class: Class, value: &str) -> (&str, &str, &str) {
    let domain = if class == Class::UserId { value.find('\\') } else { None };
    if let Some((before, name)) = domain.and_then(|at| value.split_at_checked(at + 1)) {
        return (before, name, "");
    }
    let at = if matches!(class, Class::UserId | Class::Email) { value.rfind('@') } else { None };
    match at.and_then(|at| value.split_at_checked(at)) {
        Some((name, behind)) => ("", name, behind),
        None => ("", value, ""),
    }
}

/// Bytes as text.
fn owned(bytes: &[u8]) -> Option<Zeroizing<String>> {
    std::str::from_utf8(bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// What words of a text are compared with, when the identifier is forgotten: itself and its parts, in small letters and as
/// text is compared. Only what is not compared with anyhow.
fn text_forms(original: &Original, given: &str) -> Vec<Form> {
    let class = original.class;
    let mut forms: Vec<Form> = Vec::new();
    let mut add = |form: &[u8]| {
        for plain in [spelling::caseless(form), meant::plain(form)] {
            if *plain != *original.canonical && !forms.iter().any(|(_, known)| *known == plain) {
                forms.push((class, plain));
            }
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
    meant::tails(class, &original.canonical, add);
    forms
}
