//! What a level does to an identifier class, and what reveals more than what. The order is partial:
//! the compiler refuses a policy that it cannot compare.

use std::cmp::Ordering;

use crate::model::IdentifierClass;

/// Whether a pseudonym changes with the key epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Epoch {
    /// Changes when the epoch does. It is the keyed hash of the stable one, so it reveals less.
    Rotating,
    /// Stays the same as long as the customer's salt does.
    Stable,
}

impl Epoch {
    /// Every epoch, from what reveals less to what reveals more.
    pub const ALL: &'static [Self] = &[Self::Rotating, Self::Stable];

    /// The word for it in files and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotating => "rotating",
            Self::Stable => "stable",
        }
    }
}

/// How a value is coarsened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generalise {
    /// An IP address to its /24 (IPv4) or /48 (IPv6) network.
    IpNetwork,
    /// A MAC address to its vendor prefix.
    MacVendor,
    /// An e-mail address to its domain.
    EmailDomain,
    /// A URL to its origin.
    UrlOrigin,
    /// A place to its country.
    LocationCountry,
    /// A place to its subdivision of a country.
    LocationRegion,
    /// A time to its hour.
    TimeHour,
    /// A number to a multiple of this width, which is at least 1.
    Bucket(u64),
}

impl Generalise {
    /// The word for it in files and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpNetwork => "ip_network",
            Self::MacVendor => "mac_vendor",
            Self::EmailDomain => "email_domain",
            Self::UrlOrigin => "url_origin",
            Self::LocationCountry => "location_country",
            Self::LocationRegion => "location_region",
            Self::TimeHour => "time_hour",
            Self::Bucket(_) => "bucket",
        }
    }

    /// The class that a level can coarsen so. Times and numbers have no identifier class: the
    /// dictionary coarsens them field by field (`bucket`).
    #[must_use]
    pub const fn class(self) -> Option<IdentifierClass> {
        match self {
            Self::IpNetwork => Some(IdentifierClass::IpAddress),
            Self::MacVendor => Some(IdentifierClass::MacAddress),
            Self::EmailDomain => Some(IdentifierClass::Email),
            Self::UrlOrigin => Some(IdentifierClass::Url),
            Self::LocationCountry | Self::LocationRegion => Some(IdentifierClass::Location),
            Self::TimeHour | Self::Bucket(_) => None,
        }
    }
}

/// Coarse is less than fine, where the coarse can be computed from the fine.
impl PartialOrd for Generalise {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (*self, *other) {
            (a, b) if a == b => Some(Ordering::Equal),
            (Self::LocationCountry, Self::LocationRegion) => Some(Ordering::Less),
            (Self::LocationRegion, Self::LocationCountry) => Some(Ordering::Greater),
            (Self::Bucket(a), Self::Bucket(b)) if a.checked_rem(b) == Some(0) => Some(Ordering::Less),
            (Self::Bucket(a), Self::Bucket(b)) if b.checked_rem(a) == Some(0) => Some(Ordering::Greater),
            _ => None,
        }
    }
}

/// What is done to a value of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Treatment {
    /// Not stored.
    Drop,
    /// Replaced by a keyed token.
    Pseudonym(Epoch),
    /// Coarsened.
    Generalise(Generalise),
    /// Kept if the dictionary lists the value, else `other`.
    Vocabulary,
    /// Identifiers found inside the text are replaced by typed markers, and the text is cut at so many bytes.
    Redact {
        /// The bound in bytes; none but that of the field when not set.
        max_bytes: Option<u32>,
    },
    /// Stored as it is.
    Keep,
}

impl Treatment {
    /// The word for it in files and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Pseudonym(_) => "pseudonym",
            Self::Generalise(_) => "generalise",
            Self::Vocabulary => "vocabulary",
            Self::Redact { .. } => "redact",
            Self::Keep => "keep",
        }
    }

    /// Whether this reveals at most what `other` does; `None` if the two cannot be compared.
    #[must_use]
    pub fn reveals_at_most(self, other: Self) -> Option<bool> {
        self.partial_cmp(&other).map(Ordering::is_le)
    }

    /// Whether what `other` has stored can be brought down to this, with the bytes of treating it so at once. Redacting
    /// finds the identifiers that other fields of the request name, and of those what was not kept is not known any
    /// more: so redacted text is not made of kept text.
    #[must_use]
    pub const fn is_made_of(self, other: Self) -> bool {
        !matches!((self, other), (Self::Redact { .. }, Self::Keep))
    }

    /// The one of the two that reveals less. Two that cannot be compared give `drop`: the
    /// compiler has refused such a policy, and no mistake of its proof may reveal more.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match self.partial_cmp(&other) {
            Some(Ordering::Less | Ordering::Equal) => self,
            Some(Ordering::Greater) => other,
            None => Self::Drop,
        }
    }
}

/// Less is what reveals less: `drop` < rotating pseudonym < stable pseudonym < `keep`; `drop` <
/// `generalise` (coarse < fine) < `keep`; `drop` < `vocabulary` < `redact` < `keep`. No other pair has an order.
impl PartialOrd for Treatment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (*self, *other) {
            (a, b) if a == b => Some(Ordering::Equal),
            (Self::Drop, _) | (_, Self::Keep) | (Self::Vocabulary, Self::Redact { .. }) => {
                Some(Ordering::Less)
            }
            (_, Self::Drop) | (Self::Keep, _) | (Self::Redact { .. }, Self::Vocabulary) => {
                Some(Ordering::Greater)
            }
            (Self::Pseudonym(a), Self::Pseudonym(b)) => Some(a.cmp(&b)),
            (Self::Generalise(a), Self::Generalise(b)) => a.partial_cmp(&b),
            (Self::Redact { max_bytes: a }, Self::Redact { max_bytes: b }) => {
                Some(a.unwrap_or(u32::MAX).cmp(&b.unwrap_or(u32::MAX)))
            }
            _ => None,
        }
    }
}

/// What a level or an overlay says about a class: a treatment, or one that a field has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// For every field of the class.
    Always(Treatment),
    /// A pseudonym for the fields whose dictionary entry asks for one (`pseudonym = true`), else `drop`.
    PseudonymIfAsked(Epoch),
}

impl Rule {
    /// The treatment of a field that asks for a pseudonym, or does not.
    #[must_use]
    pub const fn resolve(self, asked: bool) -> Treatment {
        match self {
            Self::Always(treatment) => treatment,
            Self::PseudonymIfAsked(epoch) if asked => Treatment::Pseudonym(epoch),
            Self::PseudonymIfAsked(_) => Treatment::Drop,
        }
    }
}

impl std::fmt::Display for Treatment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Drop | Self::Vocabulary | Self::Keep | Self::Redact { max_bytes: None } => {
                f.write_str(self.as_str())
            }
            Self::Pseudonym(Epoch::Stable) => f.write_str("pseudonym"),
            Self::Pseudonym(Epoch::Rotating) => f.write_str("pseudonym, rotating"),
            Self::Generalise(Generalise::Bucket(width)) => write!(f, "generalise to buckets of {width}"),
            Self::Generalise(to) => write!(f, "generalise to {}", to.as_str()),
            Self::Redact { max_bytes: Some(max) } => write!(f, "redact, at most {max} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Epoch, Generalise, Treatment};
    use Treatment::{Drop, Keep, Vocabulary};

    const ROTATING: Treatment = Treatment::Pseudonym(Epoch::Rotating);
    const STABLE: Treatment = Treatment::Pseudonym(Epoch::Stable);
    const COUNTRY: Treatment = Treatment::Generalise(Generalise::LocationCountry);
    const REGION: Treatment = Treatment::Generalise(Generalise::LocationRegion);
    const WIDE: Treatment = Treatment::Generalise(Generalise::Bucket(100));
    const NARROW: Treatment = Treatment::Generalise(Generalise::Bucket(20));
    const ODD: Treatment = Treatment::Generalise(Generalise::Bucket(30));
    const CAPPED: Treatment = Treatment::Redact { max_bytes: Some(100) };
    const REDACT: Treatment = Treatment::Redact { max_bytes: None };
    const ALL: [Treatment; 11] =
        [Drop, ROTATING, STABLE, COUNTRY, REGION, WIDE, NARROW, ODD, Vocabulary, CAPPED, REDACT];

    /// The chains of DESIGN section 3, written out.
    const CHAINS: [&[Treatment]; 5] = [
        &[Drop, ROTATING, STABLE, Keep],
        &[Drop, COUNTRY, REGION, Keep],
        &[Drop, WIDE, NARROW, Keep],
        &[Drop, ODD, Keep],
        &[Drop, Vocabulary, CAPPED, REDACT, Keep],
    ];

    #[test]
    fn treatments_are_ordered_as_the_design_says_and_no_others_are() {
        for a in ALL.into_iter().chain([Keep]) {
            for b in ALL.into_iter().chain([Keep]) {
                let chain = CHAINS.iter().find(|chain| chain.contains(&a) && chain.contains(&b));
                let expected = chain
                    .map(|chain| chain.iter().position(|t| *t == a) <= chain.iter().position(|t| *t == b));
                assert_eq!(a.reveals_at_most(b), expected, "{a} and {b}");
            }
        }
    }

    #[test]
    fn the_stricter_of_two_never_reveals_more_than_either() {
        for a in ALL {
            for b in ALL {
                let least = a.stricter(b);
                assert_eq!(least.reveals_at_most(a), Some(true), "{a} and {b}");
                assert_eq!(least.reveals_at_most(b), Some(true), "{a} and {b}");
                assert_eq!(least, b.stricter(a));
            }
        }
    }
}
