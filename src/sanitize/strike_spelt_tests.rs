//! Spellings of an identifier in stored values: those that redaction compares, and the short names that stay.

use std::sync::Arc;

use super::{
    Class, Epoch, Found, HOST, LiveEpochs, RawText, Strike, batch, is_struck, program, secret, text, token,
};

/// covers: P8
#[test]
fn what_redaction_would_find_is_struck_however_it_is_spelt_and_the_same_when_it_is_forgotten() {
    for (class, value, said, found) in [
        (Class::ObjectName, "Prod  VM one", "at PROD VM \t one.", true),
        (Class::PersonName, "Jane van Doe", "by Jane\\nvan Doe", true),
        (Class::ObjectName, "say \"x\" 1", "{\"a\":\"say \\\"x\\\" 1\"}", true),
        (Class::PersonName, "Doe, Jane", "name=Doe%2C+Jane&x=1", true),
        (Class::PersonName, "Jane M. Doe", "name=Jane+M.+Doe&x=1", true),
        (Class::ObjectName, "Prod VM - old", "name=Prod+VM+-+old&x=1", true),
        (Class::ObjectName, "Prod VM (old) 2", "rm Prod\\ VM\\ \\(old\\)\\ 2 now", true),
        (Class::ObjectName, "R+D C++ 1", "r+d c++ 1", true),
        (Class::HostName, "esx01.corp.example.com", "lost#012esx01.corp.example.com", true),
        (Class::IpAddress, "10.1.2.3", "^[[31m10.1.2.3^[[0m", true),
        (Class::IpAddress, "10.1.2.3", "IP 10.1.2.3.22 > x", true),
        (Class::ObjectName, "a%2fb pool", "A/B pool is full", true),
        (Class::UserId, "CORP\\bob", "as corp\\\\bob again", true),
        (Class::UserId, "CN=Jane Doe,OU=Sales", "jane doe left", true),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21-AB.CD ef up", true),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21-AB.CD ee up", false),
        (Class::LicenceKey, "JJ2WR-25L9P-H71A8", "key jj2wr.25l9p/h71a8.", true),
        (Class::Phone, "+49 30 748359133", "ring 030/748359133 now", true),
        (Class::Phone, "+49 30 748359133", "ring 748 359-133 now", true),
        (Class::Phone, "+49 30 748359133", "block 9133 of 5748359133", false),
        (Class::IpAddress, "2001:db8::5", "id=x2001:0DB8:0:0:0:0:0:5y", true),
        (Class::IpAddress, "2001:db8::5", "id=x2001:0DB8:0:0:0:0:0:6y", false),
        (Class::IpAddress, "10.1.2.3", "at ::FFFF:0a01:203", true),
        // In Base64 and hexadecimal digits: `ESX01 is down now`, `x: Prod VM 1; y`, and another one.
        (Class::HostName, HOST, "said RVNYMDEgaXMgZG93biBub3c=, then", true),
        (Class::ObjectName, "prod vm 1", "blob=eDogUHJvZCBWTSAxOyB5", true),
        (Class::ObjectName, "prod vm 1", "0x783a2050726f6420564d20313b2079", true),
        (Class::ObjectName, "prod vm 2", "blob=eDogUHJvZCBWTSAxOyB5", false),
        (Class::HostName, "2001:db8::5", "at_2001:db8:0::0:5", true),
    ] {
        let secret = Arc::new(secret());
        let epochs = LiveEpochs::of(secret.ratchet(), [3]);
        let raw = RawText::new(value.as_bytes());
        let what = Strike::identifier(class, raw, &secret, &[program()], &epochs).unwrap();
        let forgotten = Strike::pseudonyms(what.stable_tokens(), &Found::of(&what), &secret);
        for (kind, treatment) in [(Class::ProductLog, "redact"), (Class::FreeText, "keep")] {
            let body = batch(kind, treatment, &text(said));
            assert_eq!(is_struck(&body, &what), found, "{value} in {said}");
            assert_eq!(is_struck(&body, &forgotten), found, "{value} in {said}, forgotten");
        }
    }
}

/// covers: P8
#[test]
fn a_field_has_the_value_in_other_letters_and_with_more_blanks_too() {
    for (class, erased, said, found) in [
        (Class::ObjectName, "PROD  VM 1", "prod vm 1", true),
        (Class::ObjectName, "prod vm 1", "PROD VM 1", true),
        (Class::ObjectName, "prod vm 1", "prod vm 2", false),
        (Class::ObjectName, "prod vm 1", "Prod VM 1", true),
        (Class::ObjectName, "PROD  vm 1", "Prod Vm 1", true),
        (Class::PersonName, "jane van doe", "Jane van Doe", true),
        (Class::PersonName, "Jane Van Doe", "jane van doe", true),
        (Class::UserId, "corp\\jane.doe", "corp\\Jane.Doe", true),
        (Class::Email, "JANE.DOE@mail.one.example.com", "Jane.Doe@mail.one.example.com", true),
        // Of a long word only the ways in which people write.
        (Class::ObjectName, "production", "Production", true),
        (Class::ObjectName, "production", "proDUCtion", false),
        (Class::UserId, "Bob@corp.example.com", "bob@corp.example.com", true),
        (Class::ObjectName, "a%2fb", "a/b", true),
        // Of an installation all is taken, so only it is meant.
        (Class::InstanceId, "Node-1", "node-1", false),
    ] {
        let secret = Arc::new(secret());
        let (raw, epochs) = (RawText::new(erased.as_bytes()), LiveEpochs::of(secret.ratchet(), [3]));
        let what = Strike::identifier(class, raw, &secret, &[program()], &epochs).unwrap();
        let forgotten = Strike::pseudonyms(what.stable_tokens(), &Found::of(&what), &secret);
        let keys = secret.program(&program(), 3);
        let token = keys.token(class, Epoch::Stable, said.as_bytes()).unwrap();
        for token in [token, keys.rotate(class, &token).unwrap()] {
            let body = batch(class, "pseudonym", &super::token(token));
            assert_eq!(is_struck(&body, &what), found, "{said} by {erased}");
            assert_eq!(is_struck(&body, &forgotten), found, "{said} by {erased}, forgotten");
        }
        // What was kept is compared in any letter case, also when it is forgotten.
        let same = !said.ends_with('2');
        let kept = batch(class, "keep", &text(said));
        assert_eq!(
            (is_struck(&kept, &what), is_struck(&kept, &forgotten)),
            (same, same),
            "{said} by {erased}"
        );
    }
}

/// covers: P8
#[test]
fn a_field_that_says_only_a_short_name_stays_and_can_be_told() {
    let secret = secret();
    let of = |class, value: &str, said: &str| {
        let epochs = LiveEpochs::of(secret.ratchet(), [3]);
        let raw = RawText::new(value.as_bytes());
        let what = Strike::identifier(class, raw, &secret, &[program()], &epochs).unwrap();
        let stable = secret.program(&program(), 3).token(class, Epoch::Stable, said.as_bytes()).unwrap();
        let rotating = secret.program(&program(), 3).rotate(class, &stable).unwrap();
        [stable, rotating].map(|pseudonym| {
            let body = batch(class, "pseudonym", &token(pseudonym));
            (is_struck(&body, &what), what.short_name().map(|short| is_struck(&body, short)))
        })
    };
    for (class, value, said, told) in [
        (Class::HostName, "www.example.com", "www", Some(true)),
        (Class::HostName, HOST, "esx02", Some(false)),
        (Class::UserId, "CORP\\jdoe", "jdoe", Some(true)),
        (Class::UserId, "jdoe@corp.example.com", "jdoe", Some(true)),
        (Class::HostName, "esx01", "esx02", None),
        (Class::HostName, "10.1.2.3", "esx02", None),
        (Class::ObjectName, "a.b", "a", None),
    ] {
        assert_eq!(of(class, value, said), [(false, told); 2], "{said} of {value}");
    }
    // A word that can be any is kept as it is.
    let raw = RawText::new(b"www.example.com");
    let what =
        Strike::identifier(Class::HostName, raw, &secret, &[program()], &LiveEpochs::default()).unwrap();
    let kept = batch(Class::HostName, "keep", &text("WWW"));
    assert!(!is_struck(&kept, &what) && what.short_name().is_some_and(|short| is_struck(&kept, short)));
}
