//! Which pseudonyms stand for a value: for the administrator who asks which one is a host of theirs. The same
//! canonical forms and keys as in the one pass; nothing is kept.

use super::canonical::{Canonical, Scratch, canonical_str};
use super::{CustomerSecret, LiveEpochs, ProgramKeys, pseudonym_text};
use crate::model::{IdentifierClass, ProgramName};
use crate::policy::Epoch;

/// One pseudonym of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pseudonym {
    /// The program that it is of.
    pub program: ProgramName,
    /// The key epoch; `None` for the stable one.
    pub epoch: Option<u32>,
    /// Whether its keys were kept apart, by a bridge.
    pub bridged: bool,
    /// As drained batches print it.
    pub text: String,
}

/// What stands for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookedUp {
    /// Its pseudonyms: by program, the stable one first, then by epoch.
    Pseudonyms(Vec<Pseudonym>),
    /// It identifies nobody: this word is stored.
    Known(&'static str),
    /// It is not of the form of its class: nothing is stored. Says what the form is.
    Malformed(&'static str),
}

/// The keys of a customer's programs, at every epoch that there are keys of.
pub struct LookUp {
    class: IdentifierClass,
    keys: Vec<(ProgramKeys, bool)>,
    scratch: Scratch,
}

impl std::fmt::Debug for LookUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LookUp").field("class", &self.class).finish_non_exhaustive()
    }
}

impl LookUp {
    /// Gets the keys of `programs` at these epochs.
    #[must_use]
    pub fn new<'p>(
        secret: &CustomerSecret,
        class: IdentifierClass,
        programs: impl IntoIterator<Item = &'p ProgramName>,
        epochs: &LiveEpochs,
    ) -> Self {
        let mut keys = Vec::new();
        for program in programs {
            // Stable pseudonyms do not need a key of an epoch.
            keys.push((secret.keys_apart(program, None), false));
            keys.extend(epochs.keys(secret, program));
        }
        Self { class, keys, scratch: Scratch::default() }
    }

    /// What stands for a value.
    pub fn of(&mut self, value: &str) -> LookedUp {
        let canonical = match canonical_str(self.class, value, &mut self.scratch) {
            Canonical::Identifier(canonical) => canonical,
            Canonical::Known(word) => return LookedUp::Known(word),
            Canonical::Malformed => return LookedUp::Malformed(form(self.class)),
        };
        let pseudonym = |(keys, bridged): &(ProgramKeys, bool)| {
            let (how, epoch) =
                if keys.has_epoch() { (Epoch::Rotating, Some(keys.epoch())) } else { (Epoch::Stable, None) };
            let token = keys.token(self.class, how, canonical)?;
            let text = pseudonym_text(self.class, epoch, &token);
            Some(Pseudonym { program: keys.program().clone(), epoch, bridged: *bridged, text })
        };
        LookedUp::Pseudonyms(self.keys.iter().filter_map(pseudonym).collect())
    }
}

/// The form that values of a class have, for people.
fn form(class: IdentifierClass) -> &'static str {
    use IdentifierClass as Class;
    match class {
        Class::MacAddress => "six or eight octets of two hexadecimal digits, such as 00:50:56:ab:cd:ef",
        Class::IpAddress => "an IPv4 or IPv6 address without port, brackets or prefix, such as 192.0.2.7",
        Class::HostName => "a host name or IP address without port, such as esx01.example.com",
        Class::Email => "an address such as ann@example.com, without a display name",
        Class::Phone => "3 to 15 digits, with + before a country code, without an extension",
        Class::BiosUuid => "32 hexadecimal digits, such as 564d1f3c-1d2e-4f5a-9b8c-7d6e5f4a3b2c",
        Class::Location => "an ISO 3166 code, such as DE or US-CA",
        Class::CustomerContent | Class::Secret => "nothing: values of this class are never stored",
        Class::NotIdentifying
        | Class::CustomerId
        | Class::EntitlementId
        | Class::LicenceKey
        | Class::InstanceId
        | Class::ClusterId
        | Class::VmId
        | Class::ObjectName
        | Class::DeviceId
        | Class::SerialNumber
        | Class::BrowserId
        | Class::Cookie
        | Class::PixelId
        | Class::AdvertisingId
        | Class::UserId
        | Class::PersonName
        | Class::PostalAddress
        | Class::Url
        | Class::FilePath
        | Class::Query
        | Class::Argument
        | Class::FreeText
        | Class::ProductLog
        | Class::CrashText => "text without control characters",
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::model::{CustomerKey, UnixMillis};
    use crate::sanitize::{CustomerSalt, DataRoot, Ratchet};

    fn secret(epoch: u32) -> CustomerSecret {
        let ratchet = Ratchet::new(3, [3; 32]).forward(epoch);
        CustomerSecret::derive(&DataRoot::new([1; 32]), &CustomerSalt::new([2; 32]), ratchet, CustomerKey(1))
    }

    fn epochs(found: &LookedUp) -> Vec<(Option<u32>, bool)> {
        match found {
            LookedUp::Pseudonyms(all) => all.iter().map(|one| (one.epoch, one.bridged)).collect(),
            LookedUp::Known(_) | LookedUp::Malformed(_) => Vec::new(),
        }
    }

    #[test]
    fn every_epoch_that_has_keys_is_told_and_is_what_the_pass_would_store() {
        let (ceip, class) = (ProgramName::new("ceip").unwrap(), IdentifierClass::HostName);
        let bridge = (4, secret(3).ratchet().seed(4).unwrap(), UnixMillis(1));
        let now = secret(6);
        let epochs_of = LiveEpochs::new(now.ratchet(), 7, [bridge]);
        let mut look_up = LookUp::new(&now, class, [&ceip], &epochs_of);
        let found = look_up.of("ESX01.Example.COM.");
        assert_eq!(epochs(&found), [(None, false), (Some(4), true), (Some(6), false), (Some(7), false)]);
        let LookedUp::Pseudonyms(all) = &found else { panic!("{found:?}") };
        let before = secret(3);
        for one in all {
            let how = if one.epoch.is_some() { Epoch::Rotating } else { Epoch::Stable };
            let keys = before.program(&ceip, one.epoch.unwrap_or(9));
            let token = keys.token(class, how, b"esx01.example.com").unwrap();
            assert_eq!(one.text, pseudonym_text(class, one.epoch, &token));
        }
    }

    #[test]
    fn what_has_no_pseudonym_is_told_as_such() {
        let (ceip, now) = (ProgramName::new("ceip").unwrap(), secret(6));
        let of = |class, value: &str| LookUp::new(&now, class, [&ceip], &LiveEpochs::default()).of(value);
        assert_eq!(of(IdentifierClass::HostName, "LocalHost"), LookedUp::Known("localhost"));
        assert_eq!(of(IdentifierClass::MacAddress, "00:00:00:00:00:00"), LookedUp::Known("zero"));
        for class in IdentifierClass::ALL {
            let found = of(*class, "bad\0value");
            match found {
                LookedUp::Malformed(form) => assert!(!form.is_empty() && !form.contains("bad"), "{class}"),
                LookedUp::Pseudonyms(_) | LookedUp::Known(_) => {}
            }
        }
        assert!(
            matches!(of(IdentifierClass::Secret, "x"), LookedUp::Malformed(form) if form.contains("never"))
        );
    }
}
