//! Plain words for the words of a policy: what a person who is no engineer reads.

use crate::model::{Category, IdentifierClass, Purpose};
use crate::policy::{Action, Epoch, Form, Generalise, Treatment};

/// What is done to a value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Deed {
    /// The word of the policy: `drop`, `pseudonym`, `generalise`, `vocabulary`, `redact` or `keep`.
    pub treatment: &'static str,
    /// A few plain words.
    pub label: String,
    /// How much of the value passes, from 0 (nothing) to 4 (all of it); a picture, not a measure.
    #[serde(skip)]
    pub passes: u8,
}

impl Deed {
    fn new(treatment: &'static str, passes: u8, label: impl Into<String>) -> Self {
        Self { treatment, label: label.into(), passes }
    }

    fn drop() -> Self {
        Self::new("drop", 0, "Not stored")
    }

    /// What a plan does to a field.
    pub fn of_action(action: &Action) -> Self {
        match action {
            Action::Withhold(_) => Self::drop(),
            Action::Pseudonym { epoch, .. } => Self::of(Treatment::Pseudonym(*epoch)),
            Action::Generalise(to) => Self::of(Treatment::Generalise(*to)),
            Action::Keep(Form::Bucket(width)) => Self::of(Treatment::Generalise(Generalise::Bucket(*width))),
            Action::Vocabulary(_) | Action::Keep(Form::Vocabulary(_)) => Self::of(Treatment::Vocabulary),
            Action::Redact(redaction) => Self::of(Treatment::Redact { max_bytes: redaction.cut }),
            Action::Keep(Form::Any { .. } | Form::Version) => Self::of(Treatment::Keep),
        }
    }

    /// What a level does to a class.
    pub fn of(treatment: Treatment) -> Self {
        let word = treatment.as_str();
        match treatment {
            Treatment::Drop => Self::drop(),
            Treatment::Pseudonym(Epoch::Rotating) => Self::new(word, 1, "Rotating pseudonym"),
            Treatment::Pseudonym(Epoch::Stable) => Self::new(word, 2, "Pseudonym"),
            Treatment::Generalise(to) => Self::new(word, 2, coarse(to)),
            Treatment::Vocabulary => Self::new(word, 2, "Listed words only"),
            Treatment::Redact { max_bytes: None } => Self::new(word, 3, "Identifiers removed"),
            Treatment::Redact { max_bytes: Some(most) } => {
                Self::new(word, 3, format!("Identifiers removed, first {} only", size(most)))
            }
            Treatment::Keep => Self::new(word, 4, "As it is"),
        }
    }

    /// What a level does to a class of which some fields ask for a pseudonym.
    pub fn of_rule(plain: Treatment, asked: Treatment) -> Self {
        let asked_for = Self::of(asked);
        if plain == asked {
            return Self::of(plain);
        }
        Self {
            label: format!("{}; {} where asked for", Self::of(plain).label, asked_for.label.to_lowercase()),
            ..asked_for
        }
    }
}

fn size(bytes: u32) -> String {
    if bytes >= 1024 && bytes.is_multiple_of(1024) {
        format!("{} KiB", bytes / 1024)
    } else {
        format!("{bytes} bytes")
    }
}

fn coarse(to: Generalise) -> String {
    match to {
        Generalise::IpNetwork => "Network only".to_owned(),
        Generalise::MacVendor => "Vendor only".to_owned(),
        Generalise::EmailDomain => "Domain only".to_owned(),
        Generalise::UrlOrigin => "Site only".to_owned(),
        Generalise::LocationCountry => "Country only".to_owned(),
        Generalise::LocationRegion => "Region of a country only".to_owned(),
        Generalise::TimeHour => "Hour only".to_owned(),
        Generalise::Bucket(width) => format!("Rounded down to a multiple of {width}"),
    }
}

/// The treatments with what they mean, from what passes least to what passes most: the word, the
/// name, the meaning.
pub(super) const TREATMENTS: [(&str, &str, &str); 6] = [
    (
        "drop",
        "Not stored",
        "The value is discarded in memory. It is not written to disk, not logged and not passed on.",
    ),
    (
        "pseudonym",
        "Pseudonym",
        "The value is replaced by a code, computed from it with a secret key of this customer. The same value gives the same code, \
         so that it can be counted; without the key nobody can compute or look up a code. A rotating pseudonym also changes \
         from time to time.",
    ),
    (
        "generalise",
        "Coarsened",
        "Only a rough form is stored: the country in place of the town, the network in place of the address, a rounded number.",
    ),
    (
        "vocabulary",
        "Listed words only",
        "The value is stored only if it is one of the words listed here. Any other value is stored as the word “other”.",
    ),
    (
        "redact",
        "Identifiers removed",
        "Text in which every identifier that is found (addresses, names of machines, accounts, keys and so on) is replaced by a code \
         or a marker. Finding identifiers in text is good, and never perfect.",
    ),
    ("keep", "As it is", "The value is stored as it was sent."),
];

/// What a purpose means.
pub(in crate::cli) const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Deliver => "Deliver the product: entitlement, compliance, monitoring, stability",
        Purpose::Recommend => "Give this customer recommendations and support",
        Purpose::Improve => "Diagnose and improve the product",
    }
}

/// What a category means.
pub(super) const fn category(category: Category) -> &'static str {
    match category {
        Category::Configuration => "Configuration",
        Category::FeatureUsage => "Feature usage",
        Category::Performance => "Performance",
        Category::ProductLog => "Product log",
        Category::Operational => "Operational",
    }
}

/// What kind of value a class is.
pub(in crate::cli) const fn class(class: IdentifierClass) -> &'static str {
    use IdentifierClass as Class;
    match class {
        Class::NotIdentifying => "Identifies nobody",
        Class::CustomerId => "Customer",
        Class::EntitlementId => "Entitlement account",
        Class::LicenceKey => "Licence key",
        Class::InstanceId => "Installation of a product",
        Class::ClusterId => "Cluster",
        Class::VmId => "Virtual machine",
        Class::HostName => "Name of a host",
        Class::ObjectName => "Name given by an administrator",
        Class::IpAddress => "IP address",
        Class::MacAddress => "MAC address",
        Class::DeviceId => "Device",
        Class::SerialNumber => "Serial number",
        Class::BiosUuid => "Hardware id of a machine",
        Class::BrowserId => "Browser",
        Class::Cookie => "Cookie",
        Class::PixelId => "Tracking pixel",
        Class::AdvertisingId => "Advertising id",
        Class::UserId => "User account",
        Class::PersonName => "Name of a person",
        Class::Email => "E-mail address",
        Class::Phone => "Telephone number",
        Class::PostalAddress => "Postal address",
        Class::Location => "Place",
        Class::Url => "Web address",
        Class::FilePath => "File path",
        Class::Query => "Search text",
        Class::Argument => "Argument of a command",
        Class::FreeText => "Text that a person wrote",
        Class::ProductLog => "Line of a log",
        Class::CrashText => "Crash report",
        Class::CustomerContent => "Customer content",
        Class::Secret => "Password, key or other secret",
    }
}

/// What is never stored, at no level and by no policy.
pub(super) const NEVER: [(&str, &str); 5] = [
    (
        "Customer content",
        "What customers keep in their products: files, messages, the contents of their machines.",
    ),
    ("Secrets", "Passwords, keys, tokens."),
    (
        "What is not listed here",
        "An event or a field that this dictionary does not declare is discarded, whatever it holds.",
    ),
    (
        "The network address of the sender",
        "The address from which data arrives is used for the connection only.",
    ),
    (
        "Anything without a level",
        "From a customer who has not chosen to take part, nothing of a program is stored.",
    ),
];

/// The name of a region for people.
pub(in crate::cli) fn region(name: &str) -> String {
    match name {
        "eea" => "European Economic Area".to_owned(),
        other => other.to_owned(),
    }
}
