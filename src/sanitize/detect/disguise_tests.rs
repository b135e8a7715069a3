//! Identifiers in disguise: between markers, in other scripts, with marks that nobody sees.

use super::detect_tests::{cases, marked, untouched};

#[test]
fn markers_around_and_inside_of_an_identifier_hide_nothing_and_stay_what_they_are() {
    let hidden = [
        "jane@example.com",
        "10.1.2.3",
        "4111111111111111",
        "00:50:56:ab:cd:ef",
        "AKIAIOSFODNN7EXAMPLE",
        "DE89370400440532013000",
    ];
    let around = [
        "[#]",
        "[[#]]",
        "[email]#[email]",
        "[#",
        "#]",
        "[secret]#",
        "[email: #]",
        "[email:#]",
        "x [[[[#]]]] [#][ip_address]",
    ];
    for (identifier, frame) in hidden.iter().flat_map(|one| around.iter().map(move |frame| (one, frame))) {
        let text = frame.replace('#', identifier);
        let once = marked(&text);
        assert!(!once.contains(identifier), "{text:?} became {once:?}");
        assert_eq!(marked(&once), once, "{text:?}, a second time");
    }
    // What looks like a marker or a token and is none of ours is text like any other.
    let forged = "[email] [secret] [nothing] p1-host_name-s-0123456789abcdefghijklmnop";
    assert_eq!(marked(&marked(forged)), marked(forged));
}

#[test]
fn identifiers_in_other_scripts_and_in_mixed_ones_are_found() {
    for (text, part) in [
        // Letters of one script that look like those of another.
        ("mail j\u{430}ne@ex\u{430}mple.com now", "mple.com"),
        (
            "mail \u{438}\u{432}\u{430}\u{43d}@\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.\u{440}\u{444} now",
            "\u{43f}\u{440}\u{438}",
        ),
        ("\u{7528}\u{6237}@\u{4f8b}\u{5b50}.\u{516c}\u{53f8}", "\u{4f8b}"),
        // Wide forms, and stops of other scripts.
        ("\u{ff4a}\u{ff41}\u{ff4e}\u{ff45}\u{ff20}example\u{ff0e}com", "example"),
        ("\u{ff11}\u{ff10}.1.2.3 fails", "1.2.3"),
        ("card \u{ff14}111 1111 1111 1111", "1111"),
        // Marks that nobody sees.
        ("ja\u{200b}ne@exam\u{2060}ple.com", "ple.com"),
        ("AKIA\u{200d}IOSFODNN7EXAMPLE", "IOSFODNN"),
        // Written from right to left before and after it.
        ("\u{5e9}\u{5dc}\u{5d5}\u{5dd} jane@example.com \u{202e}", "example"),
        ("\u{202e}10.1.2.3\u{202c}", "10.1"),
    ] {
        let told = marked(text);
        assert!(!told.contains(part), "{text:?} became {told:?}");
    }
}

// covers: P1
#[test]
fn what_begins_inside_of_a_finding_and_ends_beyond_it_is_replaced_with_it() {
    cases(&[
        ("in /home/jane(2001:db8:17:1::a7f3) x", "in /home/[ip_address]) x"),
        ("call 48.8(2001:db8:17:1::a7f3) x", "call [ip_address]) x"),
        ("https://db.example.com/x?y(2001:db8:17:1::a7f3) z", "https://[host_name]/x?[ip_address]) z"),
        // An account has no more than 64 bytes, a word in Base64 has, and a path ends at its `/`.
        (
            "for user PD4_fj4gNTY0ZDhhM2ItMTIzNC1hYmNkLTg4OTktYWFiYmNjZGRlZWZmOyDDqeS-iw== x",
            "for user [encoded] x",
        ),
        ("C:\\Users\\jane PD4/fj4genE3eGphbmVAZXhhbXBsZS5jb207IMOp5L6L x", "C:\\Users\\[encoded] x"),
        ("-----BEGIN PRIVATE KEY-----MIIEpAIB -----END \tAKIAIOSFODNN7EXAMPLE x", "[secret] x"),
        // The letter of a side of the world is no word's first.
        ("at 1\u{b0} 123 NTY0ZDhhM2ItMTIzNC1hYmNkLTg4OTktYWFiYmNjZGRlZWZm", "at 1\u{b0} 123 [secret]"),
        ("at 48\u{b0}51'29.6\"N2\u{b0}17'40.2\"E", "at [location]"),
    ]);
}

#[test]
fn a_marker_announces_nothing_so_redacting_again_finds_no_more() {
    let once = marked("+49 30 7483-4584}} 131245310-36}} 131245310-37");
    assert_eq!(once, "[phone]}} 131245310-36}} 131245310-37");
    assert_eq!(marked(&once), once);
    let card = "[payment_card] 5018000000000009 [phone] 5551234567";
    assert_eq!(marked(card), card);
}

// covers: P1
#[test]
fn nobody_is_left_before_the_sign_of_an_address_that_is_replaced() {
    cases(&[
        ("to jane@moOp@example.com x", "to [email] x"),
        ("to jane@bob@mallory@example.com x", "to [email] x"),
        ("to jane@.doe@example.com x", "to [email] x"),
        ("to jane@moO7@moOp x", "to [email] x"),
        ("to jane%40bob%40example.com x", "to [email] x"),
        ("to jane@x-10.1.2.3 x", "to [ip_address] x"),
        // The sign is seen in one reading, the address with its zone in another.
        ("to jane&commat;\0fe79::1%49-x", "to [ip_address]-x"),
        // Each by itself, where each is found by itself.
        ("to root@10.1.2.3 x", "to [user_id]@[ip_address] x"),
        ("to root%4010.1.2.3 x", "to [user_id]%40[ip_address] x"),
        ("to jane@example.com,bob@example.com x", "to [email],[email] x"),
    ]);
}

#[test]
fn a_finding_before_a_url_hides_nothing_of_it() {
    cases(&[
        ("at d8OOOOOOOOOOOO_OO6d06c0020006a0l://db01/x?a=1 z", "at [secret]://[host_name]/x?[query] z"),
        ("at AKIAIOSFODNN7EXAMPLEhttps://bob:pw@db01/x z", "at [secret]@[host_name]/x z"),
        (
            "at AKIAIOSFODNN7EXAMPLEhttps://db01/?AKIAIOSFODNN7EXAMPLE z",
            "at [secret]://[host_name]/?[query] z",
        ),
    ]);
}

#[test]
fn an_account_at_a_token_of_ours_is_one_and_a_token_is_no_account() {
    let token = "p1-ip_address-s-0123456789abcdefghijklmnop";
    for (text, expected) in [
        (format!("to jane@{token} x"), "to [user_id]@[token] x"),
        (format!("to jane%40{token}-x"), "to [user_id]%40[token]-x"),
        (format!("to jane%2f{token}@example x"), "to jane%2f[token]@example x"),
        // Nobody's account, as before the address that the token stands for.
        (format!("to 0@{token} x"), "to 0@[token] x"),
    ] {
        assert_eq!(marked(&text), expected);
    }
}

#[test]
fn a_name_that_its_place_gives_away_is_replaced_to_its_end_however_long_it_is() {
    let long = "a1-\u{e9}b.".repeat(60) + "z";
    cases(&[
        (&format!("in /home/{long}/x"), "in /home/[user_id]/x"),
        (&format!("in C:\\Users\\{long}\\x"), "in C:\\Users\\[user_id]\\x"),
        (&format!("by CORP\\{long} x"), "by [user_id] x"),
        (&format!("Invalid user {long} from"), "Invalid user [user_id] from"),
        (&format!("at https://{long}/x"), "at https://[host_name]/x"),
    ]);
}

// covers: P1
#[test]
fn neither_a_colour_nor_json_in_json_parts_a_name_from_its_value() {
    cases(&[
        ("\u{1b}[31mpassword\u{1b}[0m: S3cr3t9xQv", "\u{1b}[31mpassword\u{1b}[0m: [secret]"),
        ("\u{1b}[36mpassword\u{1b}[0m=S3cr3t9xQv x", "\u{1b}[36mpassword\u{1b}[0m=[secret] x"),
        ("password\u{1b}[0m=\u{1b}[31mS3cr3t9xQv", "password\u{1b}[0m=\u{1b}[31m[secret]"),
        ("password#033[0m=S3cr3t9xQv", "password#033[0m=[secret]"),
        ("password^[[0m: S3cr3t9xQv", "password^[[0m: [secret]"),
        ("password\\e[0m=S3cr3t9xQv", "password\\e[0m=[secret]"),
        ("{\"password\":\"S3cr3t9xQv\"}", "{\"password\":\"[secret]\"}"),
        (r#"{\"password\":\"S3cr3t9xQv\"}"#, r#"{\"password\":\"[secret]\"}"#),
        (r#"{\\\"password\\\":\\\"S3cr3t9xQv\\\"}"#, r#"{\\\"password\\\":\\\"[secret]\\\"}"#),
    ]);
}

// covers: P1
#[test]
fn servers_and_accounts_of_windows_are_found_in_long_paths_and_behind_their_name() {
    cases(&[
        (r"copy \\?\UNC\fs01q\home\x", r"copy \\?\UNC\[host_name]\home\x"),
        (r"copy \\\\?\\UNC\\fs01q\\home", r"copy \\\\?\\[host_name]\\[host_name]\\home"),
        (r"user:CORP\qzjansen x", r"user:[user_id] x"),
        ("/mnt/c/Users/qzjansen/x", "/mnt/c/Users/[user_id]/x"),
    ]);
}

#[test]
fn what_is_replaced_neither_announces_nor_denies_what_follows() {
    let digits = "0123456789abcdef0123456789abcdef";
    cases(&[
        // The word is beyond reach of the second number, and stays so when the first one is a marker.
        (
            "card 4111 1111 1111 1111, IBAN a:9 3704 0044 0532 0065 00",
            "card [payment_card], IBAN a:9 3704 0044 0532 0065 00",
        ),
        (
            "card [payment_card], IBAN a:9 3704 0044 0532 0065 00",
            "card [payment_card], IBAN a:9 3704 0044 0532 0065 00",
        ),
        ("[mac_address] 0a1b2c3d4e5f", "[mac_address] 0a1b2c3d4e5f"),
        // An account with the name of a digest, of a version.
        (&format!("user=sha256 {digits}"), "user=[user_id] [bios_uuid]"),
        (&format!("sha256 {digits}"), &format!("sha256 {digits}")),
        ("user=version 10.1.2.3", "user=[user_id] [ip_address]"),
        ("version 10.1.2.3", "version 10.1.2.3"),
    ]);
}

// covers: P1
#[test]
fn what_stands_beside_characters_beyond_ascii_or_a_written_line_end_is_found() {
    cases(&[
        ("\u{7528}\u{6237}10.1.2.3\u{767b}\u{5f55}", "\u{7528}\u{6237}[ip_address]\u{767b}\u{5f55}"),
        ("a\u{2192}10.1.2.3\u{2192}b", "a\u{2192}[ip_address]\u{2192}b"),
        ("a\u{2026}10.1.2.3\u{2026}b", "a\u{2026}[ip_address]\u{2026}b"),
        ("boot\\n10.1.2.3 up", "boot\\n[ip_address] up"),
        ("{\\\"m\\\":\\\"x\\\\t2001:db8::17\\\"}", "{\\\"m\\\":\\\"x\\\\t[ip_address]\\\"}"),
        ("\u{1b}[31m10.1.2.3\u{1b}[0m", "\u{1b}[31m[ip_address]\u{1b}[0m"),
        ("\\u7528\\u623710.1.2.3\\u767b", "\\u7528\\u6237[ip_address]\\u767b"),
        ("%E6%88%B710.1.2.3%E7%99%BB", "%E6%88%B7[ip_address]%E7%99%BB"),
        ("\u{5730}\u{5740}\u{ff1a}2001:db8::a7f3", "\u{5730}\u{5740}\u{ff1a}[ip_address]"),
        ("peer:2001:db8::a7f3 up", "peer:[ip_address] up"),
        ("\u{2192}/home/jdoe/x", "\u{2192}/home/[user_id]/x"),
        ("b\u{fc}cher.example Zo\u{eb}", "[host_name] Zo\u{eb}"),
        (
            "\\\\nas01\\share and CORP\\nancy and C:\\Users\\roger\\x",
            "\\\\[host_name]\\share and [user_id] and C:\\Users\\[user_id]\\x",
        ),
    ]);
    untouched(&[
        "Zo\u{eb} said \u{2014} nothing\u{2026}",
        "\u{8fd9}\u{662f}vSphere\u{7248}\u{672c}8.0.3\u{3002}",
        "C:\\temp\\new\\readme.txt C:\\Windows\\notepad.exe",
        "caf\u{e9}12 na\u{ef}ve",
    ]);
}
