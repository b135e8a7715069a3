//! How a value is written that a level keeps: what a drainer looks for, who has received the value itself.

use super::canonical::{self, Canonical, canonical_str};
use crate::model::IdentifierClass;

/// A value as it was given, without what stands around it, and in its canonical form. What was received can be written
/// otherwise, as its class allows: it has the same canonical form.
#[must_use]
pub fn written(class: IdentifierClass, value: &str) -> Vec<String> {
    let mut scratch = canonical::Scratch::default();
    let given = value.trim();
    let canonical = match canonical_str(class, value, &mut scratch) {
        Canonical::Identifier(canonical) => std::str::from_utf8(canonical).ok(),
        Canonical::Known(_) | Canonical::Malformed => None,
    };
    let other = canonical.filter(|canonical| *canonical != given);
    [Some(given), other].into_iter().flatten().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_as_it_was_given_and_in_its_canonical_form() {
        let table: [(IdentifierClass, &str, &[&str]); 4] = [
            (IdentifierClass::EntitlementId, " EA-40001234 ", &["EA-40001234"]),
            (IdentifierClass::EntitlementId, "40001234", &["40001234"]),
            (IdentifierClass::HostName, "ESX-7.Example.com.", &["ESX-7.Example.com.", "esx-7.example.com"]),
            (IdentifierClass::MacAddress, "0050.56AB.CDEF", &["0050.56AB.CDEF", "00:50:56:ab:cd:ef"]),
        ];
        for (class, value, expected) in table {
            assert_eq!(written(class, value), expected, "{class}");
        }
    }
}
