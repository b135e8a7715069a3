//! The types of configuration values: each knows how it is written, and how to say what it should have been.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::model::{CustomerId, LevelName, ProgramName};

/// A value of a key: read from TOML, written back as TOML.
pub trait KeyValue: Clone {
    /// How it is written, with an example: what a remedy says.
    const FORM: &'static str;

    /// What the sample shows where a key is not set by default.
    const EXAMPLE: &'static str = "\"/a/path\"";

    /// Reads it; `None` if the value is of another form.
    fn read(value: &DeValue<'_>) -> Option<Self>;

    /// Writes it as TOML; `None` if it is not set.
    fn write(&self) -> Option<String>;
}

/// A number of bytes, written with a unit: `"64MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// So many times 1024 bytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// So many times 1024² bytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// So many times 1024³ bytes.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The bytes as a `usize`; saturates where that is smaller.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl std::str::FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text).ok_or(Self::FORM)?;
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        factor.and_then(|factor| number.checked_mul(factor)).map(Self).ok_or(Self::FORM)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl KeyValue for Size {
    const FORM: &'static str = "a size with a unit, such as \"64MiB\" (B, KiB, MiB, GiB, TiB)";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

/// A length of time, written with a unit: `"30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn ms(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(n: u64) -> Self {
        Self(Duration::from_secs(n * 3_600))
    }

    /// So many days.
    #[must_use]
    pub const fn days(n: u64) -> Self {
        Self::hours(n * 24)
    }
}

impl std::str::FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text).ok_or(Self::FORM)?;
        let factor = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        factor.and_then(|factor| number.checked_mul(factor)).map(Self::ms).ok_or(Self::FORM)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) = TIMES
            .iter()
            .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor))
            .unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", ms / factor)
    }
}

impl KeyValue for Span {
    const FORM: &'static str = "a time with a unit, such as \"30s\" (ms, s, m, h, d)";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

/// The digits and the unit after them.
fn split(text: &str) -> Option<(u64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    Some((number.parse().ok()?, unit))
}

/// Defines how a whole number is read.
macro_rules! whole_number {
    ($($kind:ty),+) => {$(
        impl KeyValue for $kind {
            const FORM: &'static str = "a whole number, such as 128";

            fn read(value: &DeValue<'_>) -> Option<Self> {
                let number = value.as_integer()?;
                Self::from_str_radix(number.as_str(), number.radix()).ok()
            }

            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}
whole_number!(u32, u64, usize);

impl KeyValue for bool {
    const FORM: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KeyValue for PathBuf {
    const FORM: &'static str = "a path, such as \"./usaged-data\"";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().filter(|text| !text.is_empty()).map(Self::from)
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::String(self.display().to_string()).to_string())
    }
}

impl KeyValue for String {
    const FORM: &'static str = "a text in quotes";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::String(self.clone()).to_string())
    }
}

impl KeyValue for Vec<String> {
    const FORM: &'static str = "a list of texts, such as [\"one\", \"another\"]";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::from(self.clone()).to_string())
    }
}

impl KeyValue for SocketAddr {
    const FORM: &'static str = "an address and a port, such as \"127.0.0.1:7171\"";
    const EXAMPLE: &'static str = "\"192.0.2.1:7173\"";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

impl<T: KeyValue> KeyValue for Option<T> {
    const FORM: &'static str = T::FORM;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<String> {
        self.as_ref().and_then(T::write)
    }
}

impl KeyValue for BTreeMap<ProgramName, LevelName> {
    const FORM: &'static str = "a table of levels by program, such as { ceip = \"standard\" }";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let pairs = value.as_table()?.iter();
        pairs
            .map(|(program, level)| {
                let program = ProgramName::new(program.get_ref()).ok()?;
                Some((program, LevelName::new(level.get_ref().as_str()?).ok()?))
            })
            .collect()
    }

    fn write(&self) -> Option<String> {
        let pairs: Vec<String> =
            self.iter().map(|(program, level)| format!("{program} = \"{level}\"")).collect();
        Some(if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) })
    }
}

impl KeyValue for BTreeSet<CustomerId> {
    const FORM: &'static str = "a list of at most 100 customer ids, such as [\"acme\"]";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let ids = value.as_array().filter(|ids| ids.len() <= 100)?.iter();
        ids.map(|id| CustomerId::new(id.get_ref().as_str()?).ok()).collect()
    }

    fn write(&self) -> Option<String> {
        let ids: Vec<String> = self.iter().map(|id| format!("\"{id}\"")).collect();
        Some(format!("[{}]", ids.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, Span};

    #[test]
    fn sizes_and_times_are_written_as_they_are_read() {
        for text in ["0B", "1B", "1000B", "3KiB", "64MiB", "10GiB", "2TiB"] {
            assert_eq!(text.parse::<Size>().map(|size| size.to_string()), Ok(text.to_owned()));
        }
        for text in ["0ms", "250ms", "30s", "15m", "1h", "30d"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_size_or_time_without_a_unit_or_with_another_is_refused() {
        for text in ["", "10", "MiB", "10 MiB", "10MB", "10mib", "-1B", "1.5GiB", "99999999999TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for text in ["", "10", "s", "1 s", "1sec", "-1s", "1.5h", "99999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
