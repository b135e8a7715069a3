//! Texts of the leak hunt: for fields that a level redacts, sentences with a canary of every kind that the
//! detectors know, and one that only the batch knows.

use usaged::model::IdentifierClass as Class;
use usaged::policy::Field;

use crate::hunt_canary::{Canary, Sent, of_class, scrambled};

/// Whether some level redacts fields of this class.
pub fn is_text(field: &Field) -> bool {
    use usaged::policy::Kind;
    let class = field.class();
    let texts = [
        Class::Url,
        Class::FilePath,
        Class::Query,
        Class::Argument,
        Class::FreeText,
        Class::ProductLog,
        Class::CrashText,
    ];
    field.kind() == Kind::Text && texts.contains(&class)
}

/// A sentence around identifiers, none of which may be left of it anywhere: all that come from `own`.
fn sentences(number: usize, own: u64) -> Vec<(String, Vec<String>)> {
    let core = format!("{own:011x}");
    let value = |class| of_class(class, number, own).0;
    let (ip, mac, uuid, phone) =
        (value(Class::IpAddress), value(Class::MacAddress), value(Class::VmId), value(Class::Phone));
    let card = with_luhn(&format!("4{:014}", own % 100_000_000_000_000));
    let iban = iban(&format!("{:018}", own % 1_000_000_000_000_000_000));
    let ssn = format!("{:03}-{:02}-{:04}", own % 600 + 1, own / 600 % 99 + 1, own / 60_000 % 9_999 + 1);
    let nino = format!("AB{:06}C", own % 1_000_000);
    let spaced: String =
        card.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group) + " ").collect();
    let bare_mac = mac.replace(':', "").to_lowercase();
    let lat = format!("{:011}", own % 100_000_000_000);
    let wide: String = ip.chars().map(wide).collect();
    let hidden = format!("jane.{core}\u{200b}@mail\u{3002}exam\u{ad}ple.com");
    let told = |text: String, more: &[&str]| {
        (text, [&[core.as_str()][..], more].concat().iter().map(|text| (*text).to_owned()).collect())
    };
    let address = format!("jane.{core}@mail.example.com");
    let escaped_ip = ip.replace('.', "%2e").replace(':', "%3A");
    let base64 = data_encoding::BASE64.encode(format!("mail {address} now").as_bytes());
    let url64 = data_encoding::BASE64URL_NOPAD.encode(format!("{{{mac}}} of {address}").as_bytes());
    let digits = data_encoding::HEXLOWER.encode(address.as_bytes());
    vec![
        told(
            format!("to=jane%2E{core}%40mail%2Eexample.com&amp;cc=jane.{core}&#64;mail&period;example.com"),
            &[],
        ),
        told(
            format!("{{\\\"a\\\":\\\"jane.{core}\\\\u0040mail.example.com\\\"}} jane.{core}%2540example.com"),
            &[],
        ),
        told(format!("id {base64}, peer {escaped_ip}"), &[&base64, &escaped_ip]),
        told(format!("is {url64}, bytes {digits}"), &[&url64, &digits]),
        told(format!("cannot reach esx-{core}.corp.example.com:443, mail jane.{core}@mail.example.com"), &[]),
        told(format!("peer {ip} ({mac}) and {bare_mac}, vm {uuid}"), &[&ip, &mac, &bare_mac, &uuid]),
        told(
            format!(
                "open /home/jdoe{core}/x or C:\\Users\\Jane {core}\\y: CORP\\jdoe{core}, \\\\fs-{core}\\share"
            ),
            &[],
        ),
        told(format!("tel: {phone}, card {card}, or {spaced}"), &[&phone, &card, spaced.trim()]),
        told(format!("pay to {iban} for {ssn} or {nino}"), &[&iban, &ssn, &nino]),
        told(
            format!("GET https://bob:pw{core}@db-{core}.example.com/x?token={core}#frag{core} HTTP/1.1"),
            &[],
        ),
        told(
            format!("password={core} {{\"client_secret\": \"x {core}\"}} Authorization: Bearer {core}"),
            &[],
        ),
        told(format!("ghp_{core}{core}{core} AKIA{} eyJhbGciOi.{core}.{core}x", core.to_uppercase()), &[]),
        told(format!("-----BEGIN RSA PRIVATE KEY-----\n{core}{core}\n-----END RSA PRIVATE KEY-----"), &[]),
        told(
            format!(
                "<Password>{core}</Password> --token A{core}Z user=jdoe{core} host=esx{core} Cookie: a={core}"
            ),
            &[],
        ),
        told(format!("Jun 14 15:16:01 esx{core} sshd[1]: Invalid user jdoe{core} from {ip}"), &[&ip]),
        told(format!("wide {wide}, hidden {hidden}"), &[&ip, &wide, &hidden]),
        told(format!("at lat=48.{lat}, lon=2.{lat}"), &[&lat]),
        told(
            format!(
                "{{\\\"passwd\\\":\\\"{core}\\\",\\\"path\\\":\\\"C:\\\\\\\\Users\\\\\\\\j{core}\\\\\\\\x\\\"}}"
            ),
            &[],
        ),
    ]
}

fn wide(c: char) -> char {
    let code = u32::from(c);
    if (0x21..=0x7e).contains(&code) { char::from_u32(code + 0xfee0).unwrap() } else { c }
}

fn with_luhn(digits: &str) -> String {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let all = digits.bytes().rev().enumerate();
    let sum: u32 = all
        .map(|(at, digit)| (u32::from(digit - b'0'), at))
        .map(|(d, at)| if at % 2 == 0 { doubled(d) } else { d })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A German IBAN with this account.
fn iban(account: &str) -> String {
    let rest = format!("{account}131400")
        .bytes()
        .fold(0, |rest: u32, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

impl Sent {
    /// A text with identifiers in it, and after them `known`, which a field of the same batch holds.
    pub fn sentence(&mut self, canary: Canary, known: &str) -> String {
        let number = self.canaries.len();
        let mut all = sentences(number, scrambled(number));
        let (text, forms) = all.swap_remove(number % all.len());
        let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
        let kind = format!("{}, sentence {}", canary.what, number % 18);
        self.remember(Canary { what: kind, ..canary }, &forms, Vec::new());
        format!("{text} {known}")
    }
}

#[test]
fn every_sentence_holds_what_is_looked_for_and_fits_in_a_field() {
    let all = sentences(7, scrambled(7));
    assert_eq!(all.len(), 18);
    for (text, forms) in all {
        assert!(text.len() < 250, "{text}");
        assert!(forms.iter().any(|form| text.contains(form)), "{text}");
    }
    assert_eq!(with_luhn("411111111111111"), "4111111111111111");
    assert_eq!(iban("370400440532013000"), "DE89370400440532013000");
}
