//! What a field is: its category, identifier class and purposes. The words are those of DESIGN section 1.

use serde::{Deserialize, Serialize};

/// A word that names no member of a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not one of {expected}")]
pub struct UnknownWord {
    /// The words that would have been right, separated by commas.
    pub expected: String,
}

/// Defines a closed list of words: an enum, its texts, and the way back.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every member, in the order of the design.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for this member, as files, the API and the CLI use it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::UnknownWord;
            fn from_str(text: &str) -> Result<Self, $crate::model::UnknownWord> {
                Self::ALL.iter().copied().find(|w| w.as_str() == text).ok_or_else(|| $crate::model::UnknownWord {
                    expected: [$($text,)+].join(", "),
                })
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The category of data that an event's field belongs to.
    Category {
        /// How the product is set up.
        Configuration = "configuration",
        /// Which features are used, and how often.
        FeatureUsage = "feature_usage",
        /// How fast and how well it runs.
        Performance = "performance",
        /// Logs and crash reports of the product.
        ProductLog = "product_log",
        /// What is needed to deliver the product: entitlement, health, integrity.
        Operational = "operational",
    }
}

words! {
    /// Why data may be used.
    Purpose {
        /// Entitlement, compliance, monitoring, stability.
        Deliver = "deliver",
        /// Recommendations and support.
        Recommend = "recommend",
        /// Diagnose and improve.
        Improve = "improve",
    }
}

/// A set of purposes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Purposes(u8);

impl Purposes {
    /// No purpose: what has none is not stored.
    pub const NONE: Self = Self(0);
    /// Every purpose.
    pub const ALL: Self = Self(0b111);

    const fn bit(purpose: Purpose) -> u8 {
        match purpose {
            Purpose::Deliver => 1,
            Purpose::Recommend => 2,
            Purpose::Improve => 4,
        }
    }

    /// The set of one purpose.
    #[must_use]
    pub const fn only(purpose: Purpose) -> Self {
        Self(Self::bit(purpose))
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, purpose: Purpose) -> Self {
        Self(self.0 | Self::bit(purpose))
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `purpose` is in it.
    #[must_use]
    pub const fn has(self, purpose: Purpose) -> bool {
        self.0 & Self::bit(purpose) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One bit for each purpose (1 deliver, 2 recommend, 4 improve), for the record header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set with these bits; bits that mean nothing are left out.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The purposes in it, in the order of the design.
    pub fn iter(self) -> impl Iterator<Item = Purpose> {
        Purpose::ALL.iter().copied().filter(move |p| self.has(*p))
    }
}

impl FromIterator<Purpose> for Purposes {
    fn from_iter<I: IntoIterator<Item = Purpose>>(purposes: I) -> Self {
        purposes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl std::fmt::Debug for Purposes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

words! {
    /// What kind of personal or identifying value a field holds (DESIGN section 3).
    IdentifierClass {
        /// Identifies nobody: counts, sizes, versions, states. Kept at every level that has its category.
        NotIdentifying = "not_identifying",
        /// The customer.
        CustomerId = "customer_id",
        /// An entitlement account.
        EntitlementId = "entitlement_id",
        /// A licence key.
        LicenceKey = "licence_key",
        /// An installation of a product.
        InstanceId = "instance_id",
        /// A cluster.
        ClusterId = "cluster_id",
        /// A virtual machine.
        VmId = "vm_id",
        /// The DNS or machine name of a host.
        HostName = "host_name",
        /// A name that an administrator gave: VM, datastore, network.
        ObjectName = "object_name",
        /// An IPv4 or IPv6 address.
        IpAddress = "ip_address",
        /// A MAC address.
        MacAddress = "mac_address",
        /// A device.
        DeviceId = "device_id",
        /// A serial number.
        SerialNumber = "serial_number",
        /// The UUID of a machine's firmware.
        BiosUuid = "bios_uuid",
        /// A browser.
        BrowserId = "browser_id",
        /// A cookie.
        Cookie = "cookie",
        /// A tracking pixel.
        PixelId = "pixel_id",
        /// An advertising id.
        AdvertisingId = "advertising_id",
        /// A user account.
        UserId = "user_id",
        /// The name of a person.
        PersonName = "person_name",
        /// An e-mail address.
        Email = "email",
        /// A telephone number.
        Phone = "phone",
        /// A postal address.
        PostalAddress = "postal_address",
        /// A place: an ISO 3166 code of a country or of its subdivision.
        Location = "location",
        /// A URL.
        Url = "url",
        /// A file path.
        FilePath = "file_path",
        /// A search or query text.
        Query = "query",
        /// An argument of a command.
        Argument = "argument",
        /// Text that a person wrote.
        FreeText = "free_text",
        /// A line of a product's log.
        ProductLog = "product_log",
        /// A crash report or stack trace.
        CrashText = "crash_text",
        /// The customer's own content. Never stored.
        CustomerContent = "customer_content",
        /// A password, key or token. Never stored.
        Secret = "secret",
    }
}

impl IdentifierClass {
    /// Whether no file can have this class stored, at any level.
    #[must_use]
    pub const fn is_forbidden(self) -> bool {
        matches!(self, Self::CustomerContent | Self::Secret)
    }

    /// Whether a value of this class, seen in a field, is looked for in the redacted text of its batch: not those
    /// that identify nobody, and not those that are text, in which identifiers are looked for themselves.
    #[must_use]
    pub const fn is_found_in_text(self) -> bool {
        !matches!(
            self,
            Self::NotIdentifying
                | Self::Url
                | Self::FilePath
                | Self::Query
                | Self::Argument
                | Self::FreeText
                | Self::ProductLog
                | Self::CrashText
        )
    }

    /// Whether a value of this class is text that names hosts and accounts where they say what they are, so that the
    /// same names are looked for in the redacted text of its batch.
    #[must_use]
    pub const fn has_names_in_it(self) -> bool {
        matches!(self, Self::Url | Self::FilePath)
    }

    /// Whether a field of this class has another pseudonym for each letter case of its value, so that an erasure by the value
    /// has to guess how it was written. Not those of which everything is taken that was sent, nor text.
    #[must_use]
    pub const fn keeps_letter_case(self) -> bool {
        self.is_found_in_text()
            && !self.is_forbidden()
            && !matches!(
                self,
                Self::CustomerId
                    | Self::InstanceId
                    | Self::HostName
                    | Self::IpAddress
                    | Self::MacAddress
                    | Self::Phone
                    | Self::BiosUuid
                    | Self::LicenceKey
                    | Self::Location
            )
    }

    /// A number that is part of key derivation. It never changes and is never used again.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the position in a fieldless enum of 33 members")]
    pub const fn index(self) -> usize {
        self as usize
    }
}
