//! What may be listed in a dictionary: a listed value is kept as it is at every level that redacts, so it must
//! not hold what redaction is there to take out.

use super::item::{self, Item};
use crate::model::IdentifierClass;
use crate::sanitize::detect::{Folded, Nothing, What};

/// The first thing in a listed value that a level would replace, by its word; `None` if there is nothing.
/// The name of a host may be listed, alone or in a URL: that of a public service, which whoever writes the
/// dictionary knows and nobody is identified by.
#[must_use]
pub fn in_listed_value(value: &str) -> Option<&'static str> {
    let bytes = value.as_bytes();
    let is_item = |at: usize| match bytes.get(at) {
        Some(b'[') => matches!(item::marker(bytes, at), Some(Item::Marker { .. })),
        Some(b'p') => item::token(bytes, at).is_some(),
        _ => false,
    };
    if (0..bytes.len()).any(is_item) {
        return Some(What::Token.word());
    }
    let mut folded = Folded::default();
    let is_public = |what: What| what == What::Class(IdentifierClass::HostName);
    let mut found = folded.findings(value, Nothing).map(|found| found.what);
    found.find(|what| !is_public(*what)).map(What::word)
}

#[cfg(test)]
mod tests {
    use super::in_listed_value;

    #[test]
    fn the_shipped_dictionaries_list_nobody() {
        let compiled = crate::policy::compile_with(&crate::policy::shipped(), in_listed_value);
        assert!(compiled.is_ok(), "{compiled:?}");
    }

    #[test]
    fn a_public_address_may_be_listed_and_nobodys_own() {
        for (value, expected) in [
            ("https://api.tanzu.cloud.vmware.com", None),
            ("/ui/app/vm/summary", None),
            ("--output", None),
            ("jane.doe@example.com", Some("email")),
            ("https://api.example.com/?key=a1", Some("query")),
            ("10.1.2.3", Some("ip_address")),
            ("/home/jdoe/x", Some("user_id")),
            ("[email]", Some("token")),
            ("p1-host_name-s-0123456789abcdefghijklmnop", Some("token")),
        ] {
            assert_eq!(in_listed_value(value), expected, "{value}");
        }
    }
}
