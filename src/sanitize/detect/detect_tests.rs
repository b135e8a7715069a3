//! Tests: what each detector finds, and what looks like it and is left alone.

use super::{Folded, Nothing};
use crate::sanitize::canonical::{Canonical, Scratch, canonical, tells_mac};

/// The text with what was found replaced by its word, as redaction without tokens does.
pub(super) fn marked(text: &str) -> String {
    let mut folded = Folded::default();
    let mut scratch = Scratch::default();
    let mut out = String::new();
    let mut at = 0;
    for found in folded.findings(text, Nothing) {
        if let super::What::Class(class) = found.what
            && !found.is_joined
            && !tells_mac(found.text)
            && matches!(canonical(class, found.text, &mut scratch), Canonical::Known(_))
        {
            continue;
        }
        out.push_str(text.get(at..found.start).unwrap_or("<half a character>"));
        out.push('[');
        out.push_str(found.what.word());
        out.push(']');
        at = found.end;
    }
    out.push_str(text.get(at..).unwrap_or("<half a character>"));
    out
}

/// Checks pairs of a text and what is left of it.
pub(super) fn cases(table: &[(&str, &str)]) {
    let wrong: Vec<_> = table
        .iter()
        .map(|(text, expected)| (*text, marked(text), *expected))
        .filter(|(_, told, expected)| told != expected)
        .collect();
    assert!(wrong.is_empty(), "text, what became of it, what should have:\n{wrong:#?}");
}

/// Checks that nothing is found.
pub(super) fn untouched(table: &[&str]) {
    cases(&table.iter().map(|text| (*text, *text)).collect::<Vec<_>>());
}

#[test]
fn addresses_are_found_in_every_form() {
    cases(&[
        ("from 10.1.2.3 port 22", "from [ip_address] port 22"),
        ("src: /10.251.73.220:42557 dest", "src: /[ip_address]:42557 dest"),
        ("net 10.1.2.0/24.", "net [ip_address]/24."),
        ("IP 10.1.2.3.51234 > 10.1.2.4.443:", "IP [ip_address].51234 > [ip_address].443:"),
        ("host_10.1.2.3_eth0", "host_[ip_address]_eth0"),
        ("2001:db8::1_eth0", "[ip_address]_eth0"),
        // The words of nobody's addresses say nothing; one that is made of a MAC address says that.
        ("neighbour fe80::21b:21ff:feab:cdef%vmk0 up", "neighbour [ip_address] up"),
        ("http://[fe80::21b:21ff:feab:cdef]/", "http://[[ip_address]]/"),
        ("010.001.002.003", "[ip_address]"),
        ("2001:DB8:0:0:1::1 up", "[ip_address] up"),
        ("[2001:db8::1]:443", "[[ip_address]]:443"),
        ("via 2001:db8::1%eth0, dev", "via [ip_address], dev"),
        ("peer 2001:db8::7: timeout", "peer [ip_address]: timeout"),
        ("::ffff:10.1.2.3", "[ip_address]"),
        ("dead:beef:1::2", "[ip_address]"),
        ("00:50:56:ab:cd:ef", "[mac_address]"),
        ("AA-BB-CC-DD-EE-FF", "[mac_address]"),
        ("port 0050.56ab.cdef up", "port [mac_address] up"),
        ("005056abcdef", "[mac_address]"),
        ("MAC=a1b2c3d4e5f6", "MAC=[mac_address]"),
        ("0:50:56:a:b:c", "[mac_address]"),
        ("00:1b:44:11:3a:b7:ff:fe", "[mac_address]"),
        ("vm 564d8a3b-1234-abcd-8899-aabbccddeeff.", "vm [bios_uuid]."),
        ("{564D8A3B-1234-ABCD-8899-AABBCCDDEEFF}", "{[bios_uuid]}"),
        ("abcdefab-cdef-abcd-efab-cdefabcdefab", "[bios_uuid]"),
        ("id=d41d8cd98f00b204e9800998ecf8427e", "id=[bios_uuid]"),
        ("uuid.bios = \"56 4d 8a 3b 12 34 ab cd-88 99 aa bb cc dd ee ff\"", "uuid.bios = \"[bios_uuid]\""),
    ]);
    // Addresses of nobody stay, and so does what only looks like an address.
    untouched(&[
        "listening on 127.0.0.1:80, 0.0.0.0 and ::1, broadcast 255.255.255.255",
        "00000000-0000-0000-0000-000000000000 ff:ff:ff:ff:ff:ff",
        "version 8.0.3.1, v1.2.3.4, Chrome/91.0.4472.124 Firefox/1.5.0.12",
        "1.3.6.1.4.1.6876 and 1.2.3 and 300.1.2.3 and 10.1.2.3.4",
        "fe80::1 fe80::a1b2:c3d4:e5f6:708%vmk0",
        "1.2.3.4.5 and 1.2.3.4.5, openjdk-11.0.2.3.4: ok, 1.2.3.4.5 -> 1.2.3.4.6, 1.2.3.4.5.6: x",
        "12:34:56 2024-10-18 18:01:47,978",
        "std::vec::Vec abc::def a::b",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "12-34-56-78-90-12",
        "blk_-1608999687919862906",
    ]);
}

#[test]
fn names_of_hosts_and_mail_are_found_and_packages_and_files_are_not() {
    cases(&[
        ("cannot reach esx-04.corp.example.com: timeout", "cannot reach [host_name]: timeout"),
        ("ESX01.CORP.EXAMPLE.COM.", "[host_name]."),
        ("node1.lab nas.local dc01.intranet", "[host_name] [host_name] [host_name]"),
        ("see esx01.example.com.log", "see [host_name].log"),
        ("[HttpConnector-repo.example.org-0]", "[HttpConnector-[host_name]-0]"),
        ("b\u{fc}cher.example", "[host_name]"),
        ("esx01\u{3002}example\u{ff0e}com", "[host_name]"),
        ("\u{ff45}sx01.example.com", "[host_name]"),
        ("esx\u{200b}01.exam\u{ad}ple.com", "[host_name]"),
        ("https://intranet/wiki", "https://[host_name]/wiki"),
        ("host=esx01, user", "host=[host_name], user"),
        ("DESKTOP-4F2K9QX joined", "[host_name] joined"),
        ("on ip-10-0-0-12:", "on [host_name]:"),
        ("Jun 14 15:16:01 combo sshd[19939]: x", "Jun 14 15:16:01 [host_name] sshd[19939]: x"),
        ("Bob.Smith+x@Mail.Example.COM", "[email]"),
        ("<jane@example.co.uk>,", "<[email]>,"),
        ("root@esx01 and root@10.1.2.3", "[email] and [user_id]@[ip_address]"),
        (
            "root@2001:db8::7 and root@2001:db8::a7-365",
            "[user_id]@[ip_address] and [user_id]@[ip_address]-365",
        ),
        ("root@::2945 and root@[fd12::17a]:22", "[user_id]@[ip_address] and [user_id]@[[ip_address]]:22"),
        ("jos\u{e9}@b\u{fc}cher.example", "[email]"),
        ("jane\u{ff20}example\u{3002}com", "[email]"),
        ("a@b.cd@e.fr", "[email]@[host_name]"),
    ]);
    untouched(&[
        "org.apache.hadoop.hdfs.server.datanode.DataNode java.io.IOException java.net",
        "main.rs lib.so app.py config.yaml index.html access.log.1 README.md done.It",
        "mapreduce.job.id spark.app.name user.name os.name",
        "java.lang.Object@1f2e3d lodash@4.17.21 @Override",
        "localhost localhost.localdomain",
        "i.e. e.g. 3.5 1.2.x ..",
    ]);
}

#[test]
fn people_are_found_in_paths_accounts_and_numbers() {
    cases(&[
        ("/home/jdoe/.ssh/id", "/home/[user_id]/.ssh/id"),
        ("open('/Users/jane.doe')", "open('/Users/[user_id]')"),
        ("C:\\Users\\Jane Doe\\AppData", "C:\\Users\\[user_id]\\AppData"),
        ("\"C:\\\\Users\\\\bob\\\\x\"", "\"C:\\\\Users\\\\[user_id]\\\\x\""),
        ("C:\\Documents and Settings\\bob\\x", "C:\\Documents and Settings\\[user_id]\\x"),
        ("\\\\fs01\\share\\x", "\\\\[host_name]\\share\\x"),
        ("CORP\\bob logged on", "[user_id] logged on"),
        (
            "sub=CORP\\jdoe:vim, CORP\\jdoe:x:1000 CORP\\jdoe:",
            "sub=[user_id]:vim, [user_id]:x:1000 [user_id]:",
        ),
        ("corp.example.com\\bob", "[user_id]"),
        ("user=root rhost=10.1.2.3", "user=[user_id] rhost=[ip_address]"),
        ("Invalid user webmaster from 1.2.3.4", "Invalid user [user_id] from [ip_address]"),
        ("Accepted password for jdoe from 1.2.3.4", "Accepted password for [user_id] from [ip_address]"),
        ("call +1 (555) 123-4567 now", "call [phone] now"),
        ("(555) 123-4567, 555.123.4567, 555-123-4567x12", "[phone], [phone], [phone]"),
        ("tel: 030/123456", "tel: [phone]"),
        ("+44 (0)20 7946 0000", "[phone]"),
        ("+44\u{a0}20\u{a0}7946\u{2011}0000", "[phone]"),
        ("0044 20 7946 0000", "[phone]"),
        ("01 23 45 67 89", "[phone]"),
        ("phone \u{661}\u{662}\u{663}-\u{664}\u{665}\u{666}\u{667}", "phone [phone]"),
        ("lat=48.8584, lon=2.2945", "lat=[location], lon=[location]"),
        ("at 48.858370, 2.294481.", "at [location]."),
        ("48.8584\u{b0} N, 2.2945\u{b0} E", "[location]"),
        ("48\u{b0}51'29.6\"N 2\u{b0}17'40.2\"E", "[location]"),
    ]);
    untouched(&[
        "C:\\Windows\\System32\\drivers\\x.sys HKLM\\Software C:\\Users\\Public\\x",
        "line\\nnext \\d+ foo\\bar\\baz",
        "NT AUTHORITY\\SYSTEM",
        "2024-06-20 1234567890 555 12 0x1234567",
        "took 12.345, 67.890 ms; 0.1234, 0.5678",
        "/opt/home/x user: the one",
    ]);
}

#[test]
fn numbers_with_a_check_digit_are_found_by_it() {
    cases(&[
        ("4111 1111 1111 1111", "[payment_card]"),
        ("paid with 4111-1111-1111-1111.", "paid with [payment_card]."),
        ("378282246310005", "[payment_card]"),
        ("card 503802053770", "card [payment_card]"),
        ("\u{ff14}111111111111111", "[payment_card]"),
        ("DE89 3704 0044 0532 0130 00", "[iban]"),
        ("GB82WEST12345698765432", "[iban]"),
        ("gb82-west-1234-5698-7654-32", "[iban]"),
        ("SSN 078-05-1120", "SSN [national_id]"),
        ("AB 12 34 56 C / AB123456C", "[national_id] / [national_id]"),
        ("12345678Z X1234567L", "[national_id] [national_id]"),
        ("RSSMRA85T10A562S", "[national_id]"),
        ("1 85 05 78 006 084 91", "[national_id]"),
        ("Steuer-ID: 86095742719", "Steuer-ID: [national_id]"),
        ("PESEL 44051401359", "PESEL [national_id]"),
        ("BSN 111222333", "BSN [national_id]"),
        ("756.9217.0769.85", "[national_id]"),
        ("131052-308T", "[national_id]"),
        ("811218-9876", "[national_id]"),
        ("529.982.247-25", "[national_id]"),
        ("11010519491231002X", "[national_id]"),
        ("93.05.18-223.61", "[national_id]"),
        ("NHS number 401 023 2137", "NHS number [national_id]"),
    ]);
    untouched(&[
        "4111 1111 1111 1112 4111111111111112",
        "DE89 3704 0044 0532 0130 01",
        "000-12-3456 666-12-3456",
        "AB123456E DF123456A",
        "12345678A",
        "86095742719",
        "1429666888006 10858223235969 20240620110018172",
    ]);
}

#[test]
fn secrets_are_found_by_their_mark_their_name_and_their_look() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let aws = "AKIAIOSFODNN7EXAMPLE";
    // Put together here, so that no scanner of repositories takes a sample for a leak.
    let made = [
        ["AIza", "SyA-1234567890abcdefghijklmnopqrstuv"],
        ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"],
        ["github_pat_", "11ABCDEFG0abcdefghij_klmnopqrstuv"],
        ["glpat-", "20chars-abcdefghij1"],
        ["xoxb-", "123456789012-abcdefghijkl"],
        ["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"],
        ["SG.", "ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"],
        ["npm_", "abcdefghij0123456789ABCDEFGHIJ012345"],
        ["hvs.", "CAESIJ1234567890abcdef"],
        ["wJ4lrXUtnFEMIK7MD3NG", "bPxRfiCYzX4MP1EKEY9z"],
        ["3b5d5c3712955042212316", "173ccf37be8001f1a2"],
        ["123456789:AA", "HdqTcvCH1vGWJxfSeofSAs0K5PALDsaw8"],
    ]
    .map(|parts| parts.concat());
    for secret in made.iter().map(String::as_str).chain([jwt, aws]) {
        assert_eq!(marked(&format!("x {secret} y")), "x [secret] y", "{secret}");
        assert_eq!(marked(&format!("'{secret}'")), "'[secret]'", "{secret}");
    }
    cases(&[
        ("password=hunter2 x", "password=[secret] x"),
        ("{\"password\": \"a b,c\"}", "{\"password\": \"[secret]\"}"),
        ("password=\"it's; a<b &c\" x", "password=\"[secret]\" x"),
        ("{\\\"passwd\\\":\\\"x1\\\"}", "{\\\"passwd\\\":\\\"[secret]\\\"}"),
        ("<Password>hunter2</Password>", "<Password>[secret]</Password>"),
        ("DB_PASSWORD: 'hunter2'", "DB_PASSWORD: '[secret]'"),
        ("clientSecret = x9", "clientSecret = [secret]"),
        ("--admin-password hunter2 --verbose", "--admin-password [secret] --verbose"),
        ("api_key=a1b2c3d4e5", "api_key=[secret]"),
        ("Server=db;Password=p1;x=y", "Server=[host_name];Password=[secret];x=y"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [secret]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("Cookie: sid=1; theme=dark", "Cookie: [cookie]"),
        ("https://bob:pw@db.example.com/x", "https://[secret]@[host_name]/x"),
        ("https://db.example.com/x?token=1#y z", "https://[host_name]/x?[query] z"),
        // What is left of a query that begins inside of a value.
        ("https://db.example.com/password=a?b;jane z", "https://[host_name]/password=[secret][query] z"),
        ("GET /search?q=bob HTTP/1.1", "GET /search?[query] HTTP/1.1"),
        ("jdbc:mysql://db01:3306/x?user=a&password=b", "jdbc:mysql://[host_name]:3306/x?[query]"),
        ("https://hooks.slack.com/x/T0/B0/xyz", "https://hooks.slack.com/[secret]"),
        ("key: -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- z", "key: [secret] z"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B", "[secret]"),
        ("p1-host_name-s-0123456789abcdefghijklmnop!", "[token]!"),
        ("https://db.example.com/x?[query] z", "https://[host_name]/x?[query] z"),
        ("https://db.example.com/x?[query]&a=b z", "https://[host_name]/x?[query] z"),
        ("jane@example.com--password", "[email]--password"),
        ("jane@db.example.com_old", "[email]_old"),
        // Also where a host or an account is announced.
        (
            "Jun 14 15:16:01 p1-host_name-s-0123456789abcdefghijklmnop sshd[7]: x",
            "Jun 14 15:16:01 [token] sshd[7]: x",
        ),
        ("user=p1-user_id-r3-0123456789abcdefghijklmnop,", "user=[token],"),
    ]);
    untouched(&[
        "password=*** token: null password: required secret=${SECRET}",
        "the password field, the token was refused, 3 tokens: 5",
        "compass: north; bypass=1; surpass: 2; monkey: 3",
        "AetherRepositoryConnector TransferListenerAdapter2 SpringApplication0",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "-----BEGIN CERTIFICATE-----",
        "[mac_address] [secret] [cut]",
    ]);
}

#[test]
fn of_two_findings_the_longer_wins_and_then_the_more_sensitive() {
    cases(&[
        ("bob@esx01.example.com", "[email]"),
        ("password=bob@example.com", "password=[secret]"),
        ("card: 4111111111111111", "card: [payment_card]"),
        ("phone 4111111111111111", "phone [payment_card]"),
        ("00:1b:44:11:3a:b7:ff:fe", "[mac_address]"),
    ]);
}
