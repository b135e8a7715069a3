//! What the last label of a host name can be. Not every top-level domain: in a log, `.zip`, `.java` or
//! `.name` are hardly ever one. The lists are patterns, because a pattern is compared in a few steps.

/// Bytes of the longest label that any list has.
const LONGEST: usize = 11;

/// Labels that end a host name and hardly anything else.
const fn is_clear(label: &[u8]) -> bool {
    matches!(
        label,
        b"aero"
            | b"arpa"
            | b"asia"
            | b"biz"
            | b"com"
            | b"coop"
            | b"corp"
            | b"edu"
            | b"eu"
            | b"example"
            | b"fritz"
            | b"gov"
            | b"internal"
            | b"intra"
            | b"intranet"
            | b"io"
            | b"lan"
            | b"local"
            | b"localdomain"
            | b"localnet"
            | b"mil"
            | b"mobi"
            | b"net"
            | b"onion"
            | b"org"
            | b"xyz"
    )
}

/// Domains that only one's own machines are in, and names of properties too: `node1.lab`, `user.home`.
const fn is_own(label: &[u8]) -> bool {
    matches!(label, b"home" | b"lab" | b"prod" | b"private" | b"test" | b"dev" | b"invalid")
}

/// Country codes (ISO 3166 and `uk`), by first letter: those that end nothing else in logs and code, and those
/// that are also endings of file names, words or properties.
const COUNTRIES: [(&str, &str); 26] = [
    ("cefgloqruxz", "dimstw"),
    ("abdfghijnorstvwz", "emy"),
    ("adhiklnoruvxyz", "cfgmw"),
    ("ejkz", "mo"),
    ("ceghrs", "t"),
    ("ijkor", "m"),
    ("befhlnpqrtuwy", "adgims"),
    ("kmnrtu", ""),
    ("elqr", "dmnst"),
    ("ep", "mo"),
    ("eghinprwyz", "m"),
    ("bcikuvy", "ars"),
    ("acghknopqruvwxz", "delmsty"),
    ("acflpruz", "egio"),
    ("m", ""),
    ("afhkntw", "eglmrsy"),
    ("a", ""),
    ("ouw", "es"),
    ("abceginuvxyz", "dhjklmort"),
    ("cdghjklnrtvwz", "fmo"),
    ("agkyz", "s"),
    ("aceginu", ""),
    ("s", "f"),
    ("k", ""),
    ("et", ""),
    ("amw", ""),
];

/// Longer top-level domains that are also words and names of properties: these need more around them, or before
/// them, to be taken for one.
const fn is_unsure(label: &[u8]) -> bool {
    matches!(
        label,
        b"academy"
            | b"agency"
            | b"app"
            | b"bank"
            | b"blog"
            | b"center"
            | b"click"
            | b"cloud"
            | b"club"
            | b"company"
            | b"digital"
            | b"email"
            | b"group"
            | b"host"
            | b"info"
            | b"int"
            | b"jobs"
            | b"life"
            | b"link"
            | b"live"
            | b"media"
            | b"museum"
            | b"name"
            | b"network"
            | b"news"
            | b"nyc"
            | b"one"
            | b"online"
            | b"page"
            | b"post"
            | b"pro"
            | b"run"
            | b"services"
            | b"shop"
            | b"site"
            | b"solutions"
            | b"space"
            | b"store"
            | b"support"
            | b"systems"
            | b"tech"
            | b"tel"
            | b"tools"
            | b"top"
            | b"travel"
            | b"website"
            | b"world"
            | b"zone"
    )
}

/// Whether a label stands between a name and its country: `co.uk`, `com.br`.
pub(super) fn is_second(label: &[u8]) -> bool {
    matches!(
        folded(label, &mut [0; LONGEST]),
        b"ac" | b"co" | b"com" | b"edu" | b"go" | b"gob" | b"gov" | b"gv" | b"ltd" | b"net" | b"or" | b"org"
    )
}

/// Whether a name that begins with this label is that of a package, turned around (`org.apache.net`), or of
/// something in code (`java.net`, `os.name`).
pub(super) fn begins_package(label: &[u8], is_deep: bool) -> bool {
    match folded(label, &mut [0; LONGEST]) {
        b"java" | b"javax" | b"jdk" | b"kotlin" | b"scala" | b"sun" | b"self" | b"this" | b"os" | b"app"
        | b"user" | b"sys" => true,
        b"android" | b"com" | b"edu" | b"eu" | b"gov" | b"io" | b"net" | b"o" | b"org" | b"akka"
        | b"system" | b"spring" => is_deep,
        _ => false,
    }
}

/// Whether a label is the ending of a file name (`esx01.example.com.log`), or the number of a file that was rotated.
pub(super) fn is_file(label: &[u8]) -> bool {
    let number = label.len() < 9 && !label.is_empty() && label.iter().all(u8::is_ascii_digit);
    number
        || matches!(
            folded(label, &mut [0; LONGEST]),
            b"bak"
                | b"cer"
                | b"cfg"
                | b"conf"
                | b"config"
                | b"crt"
                | b"csr"
                | b"csv"
                | b"db"
                | b"dmp"
                | b"err"
                | b"gz"
                | b"htm"
                | b"html"
                | b"ini"
                | b"jks"
                | b"json"
                | b"key"
                | b"lck"
                | b"lock"
                | b"log"
                | b"out"
                | b"p12"
                | b"pem"
                | b"pfx"
                | b"php"
                | b"pid"
                | b"properties"
                | b"tar"
                | b"tmp"
                | b"txt"
                | b"xml"
                | b"yaml"
                | b"zip"
        )
}

/// How sure the last label of a name makes it that it is a host's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Ending {
    /// No top-level domain.
    None,
    /// One that is also something else.
    Unsure,
    /// One of an organisation's own, which is also something else.
    Own,
    /// A country.
    Country,
    /// A domain and nothing else.
    Clear,
}

/// A label in small letters; a long one, of which there is none in any list, becomes nothing.
#[inline]
fn folded<'b>(label: &[u8], buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
    match buffer.get_mut(..label.len()) {
        Some(slots) => {
            slots.iter_mut().zip(label).for_each(|(to, from)| *to = from.to_ascii_lowercase());
            slots
        }
        None => b"",
    }
}

/// What the last label is.
pub(super) fn ending(label: &[u8]) -> Ending {
    let begins = label.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    if label.len() < 2 || !begins {
        return Ending::None;
    }
    if label.len() > 4 && label.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--")) {
        return Ending::Country;
    }
    let mut buffer = [0; LONGEST];
    let label_folded = folded(label, &mut buffer);
    if is_clear(label_folded) {
        return Ending::Clear;
    }
    if let [first, second] = label_folded
        && let Some((clear, unsure)) = first.checked_sub(b'a').and_then(|row| COUNTRIES.get(usize::from(row)))
    {
        return match second {
            second if clear.as_bytes().contains(second) => Ending::Country,
            second if unsure.as_bytes().contains(second) => Ending::Unsure,
            _ => Ending::None,
        };
    }
    if is_own(label_folded) {
        Ending::Own
    } else if is_unsure(label_folded) {
        Ending::Unsure
    } else if !label.is_ascii() && !label.iter().any(u8::is_ascii_digit) {
        Ending::Country
    } else {
        Ending::None
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTRIES, Ending, ending};

    #[test]
    fn a_label_is_as_sure_as_what_else_it_could_be() {
        for (label, expected) in [
            ("com", Ending::Clear),
            ("COM", Ending::Clear),
            ("local", Ending::Clear),
            ("localdomain", Ending::Clear),
            ("de", Ending::Country),
            ("uk", Ending::Country),
            ("xn--p1ai", Ending::Country),
            ("\u{6d4b}\u{8bd5}", Ending::Country),
            ("lab", Ending::Own),
            ("sh", Ending::Unsure),
            ("py", Ending::Unsure),
            ("info", Ending::Unsure),
            ("java", Ending::None),
            ("localdomains", Ending::None),
            ("log", Ending::None),
            ("7", Ending::None),
            ("c", Ending::None),
            ("", Ending::None),
        ] {
            assert_eq!(ending(label.as_bytes()), expected, "{label}");
        }
    }

    #[test]
    fn a_country_is_in_one_list_only() {
        for (clear, unsure) in COUNTRIES {
            assert!(unsure.chars().all(|c| !clear.contains(c)), "{clear} {unsure}");
        }
        let all: usize = COUNTRIES.iter().map(|(clear, unsure)| clear.len() + unsure.len()).sum();
        assert!((240..=252).contains(&all), "{all} of 249 codes and uk, less io");
    }
}
