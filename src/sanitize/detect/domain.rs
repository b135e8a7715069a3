//! What the last label of a host name can be. Not every top-level domain: in a log, `.zip`, `.java` or
//! `.name` are hardly ever one.

/// Labels that end a host name and hardly anything else.
const CLEAR: [&str; 26] = [
    "aero",
    "arpa",
    "asia",
    "biz",
    "com",
    "coop",
    "corp",
    "edu",
    "eu",
    "example",
    "fritz",
    "gov",
    "internal",
    "intra",
    "intranet",
    "io",
    "lan",
    "local",
    "localdomain",
    "localnet",
    "mil",
    "mobi",
    "net",
    "onion",
    "org",
    "xyz",
];

/// Domains that only one's own machines are in, and names of properties too: `node1.lab`, `user.home`.
const OWN: [&str; 7] = ["home", "lab", "prod", "private", "test", "dev", "invalid"];

/// Country codes of two letters that end nothing else in logs and code (ISO 3166 and `uk`), by first letter.
const COUNTRIES: [&str; 26] = [
    "cefgolqrtuxz",     // a: not ad, ai, am, as, at, aw
    "abdfghijnorstvwz", // b: not be, bm, by
    "adhiklnoruvxyz",   // c: not cc, cf, cg, cm, cw
    "ejkz",             // d: not do, dm
    "ceghrs",           // e: not et
    "ijkor",            // f: not fm
    "befghlnpqrtuwy",   // g: not ga, gd, gg, gi, gm, gs
    "kmnrtu",           // h
    "elqr",             // i: not id, im, in, is, it, io is clear
    "ep",               // j: not jm, jo
    "eghinprwyz",       // k: not km
    "bciktuvy",         // l: not la, lr, ls
    "acghknopqruvwxyz", // m: not md, me, ml, mm, ms, mt, my
    "acefglpruz",       // n: not ne, ng, ni, no
    "m",                // o
    "aefhkntw",         // p: not pa, pe, pg, pl, pm, pr, ps, py
    "a",                // q
    "ouw",              // r: not re, rs
    "abceginuvxyz",     // s: not sd, sh, sj, sk, sl, sm, so, sr, st
    "cdghjklnortvwz",   // t: not tf, tm, to
    "agkyz",            // u: not us
    "aceginu",          // v
    "s",                // w: not wf
    "k",                // x
    "et",               // y
    "amw",              // z
];

/// Top-level domains that are also endings of file names, words or property names: these need more around
/// them, or before them, to be taken for one.
const UNSURE: [&str; 121] = [
    "cloud",
    "int",
    "jobs",
    "museum",
    "nyc",
    "online",
    "post",
    "pro",
    "py",
    "shop",
    "site",
    "store",
    "systems",
    "tech",
    "tel",
    "tools",
    "travel",
    "zone",
    "ad",
    "ai",
    "am",
    "as",
    "at",
    "aw",
    "be",
    "bm",
    "br",
    "by",
    "cc",
    "cf",
    "cg",
    "cm",
    "cw",
    "do",
    "dm",
    "et",
    "fm",
    "ga",
    "gd",
    "gg",
    "gi",
    "gm",
    "gs",
    "id",
    "im",
    "in",
    "is",
    "it",
    "jm",
    "jo",
    "km",
    "la",
    "lr",
    "ls",
    "md",
    "me",
    "ml",
    "mm",
    "ms",
    "mt",
    "my",
    "ne",
    "ng",
    "ni",
    "no",
    "pa",
    "pe",
    "pg",
    "pl",
    "pm",
    "pr",
    "ps",
    "re",
    "ro",
    "rs",
    "sd",
    "se",
    "sh",
    "si",
    "sj",
    "sk",
    "sl",
    "sm",
    "so",
    "sr",
    "st",
    "tf",
    "tm",
    "to",
    "us",
    "wf",
    "academy",
    "agency",
    "app",
    "bank",
    "blog",
    "center",
    "click",
    "club",
    "company",
    "digital",
    "email",
    "group",
    "host",
    "info",
    "life",
    "link",
    "live",
    "media",
    "name",
    "network",
    "news",
    "one",
    "page",
    "run",
    "services",
    "solutions",
    "space",
    "support",
    "top",
    "world",
];

/// Labels before a country's that make a name of its own kind: `co.uk`, `com.br`.
const SECOND: [&str; 12] = ["ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ltd", "net", "or", "org"];

/// Labels that begin the name of a package, turned around: `org.apache.net`.
const REVERSED: [&str; 12] =
    ["android", "com", "edu", "eu", "gov", "io", "net", "o", "org", "akka", "system", "spring"];

/// Labels that begin names in code and of properties: `java.net`, `os.name`.
const CODE: [&str; 12] =
    ["java", "javax", "jdk", "kotlin", "scala", "sun", "self", "this", "os", "app", "user", "sys"];

/// Endings of file names that follow a host name: `esx01.example.com.log`.
const FILES: [&str; 34] = [
    "bak",
    "cer",
    "cfg",
    "conf",
    "config",
    "crt",
    "csr",
    "csv",
    "db",
    "dmp",
    "err",
    "gz",
    "htm",
    "html",
    "ini",
    "jks",
    "json",
    "key",
    "lck",
    "lock",
    "log",
    "out",
    "p12",
    "pem",
    "pfx",
    "php",
    "pid",
    "properties",
    "tar",
    "tmp",
    "txt",
    "xml",
    "yaml",
    "zip",
];

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

fn folded<'b>(label: &[u8], buffer: &'b mut [u8; 16]) -> Option<&'b str> {
    let slots = buffer.get_mut(..label.len())?;
    slots.iter_mut().zip(label).for_each(|(to, from)| *to = from.to_ascii_lowercase());
    std::str::from_utf8(slots).ok()
}

fn has(list: &[&str], label: &[u8]) -> bool {
    let mut buffer = [0; 16];
    folded(label, &mut buffer).is_some_and(|label| list.contains(&label))
}

/// What the last label is.
pub(super) fn ending(label: &[u8]) -> Ending {
    let first = label.first().map_or(0, u8::to_ascii_lowercase);
    if label.len() < 2 || label.iter().any(|byte| byte.is_ascii_digit()) && !is_ace(label) {
        return Ending::None;
    }
    if is_ace(label) || !label.is_ascii() {
        return Ending::Country;
    }
    if let [_, second] = label
        && let Some(row) = first.checked_sub(b'a').and_then(|row| COUNTRIES.get(usize::from(row)))
        && row.as_bytes().contains(&second.to_ascii_lowercase())
    {
        return Ending::Country;
    }
    if has(&CLEAR, label) {
        Ending::Clear
    } else if has(&OWN, label) {
        Ending::Own
    } else if has(&UNSURE, label) {
        Ending::Unsure
    } else {
        Ending::None
    }
}

/// Whether a label is an A-label (RFC 5890).
fn is_ace(label: &[u8]) -> bool {
    label.len() > 4 && label.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"))
}

/// Whether a label stands between a name and its country.
pub(super) fn is_second(label: &[u8]) -> bool {
    has(&SECOND, label)
}

/// Whether a name that begins with this label is that of a package.
pub(super) fn begins_package(label: &[u8], is_deep: bool) -> bool {
    has(&CODE, label) || (is_deep && has(&REVERSED, label))
}

/// Whether a label is the ending of a file name, or the number of a file that was rotated.
pub(super) fn is_file(label: &[u8]) -> bool {
    has(&FILES, label) || (label.len() < 9 && !label.is_empty() && label.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::{CLEAR, CODE, COUNTRIES, Ending, FILES, OWN, REVERSED, SECOND, UNSURE, ending};

    #[test]
    fn the_lists_do_not_contradict_each_other() {
        for list in [&CLEAR[..], &UNSURE, &SECOND, &REVERSED, &FILES, &CODE, &OWN] {
            for word in list {
                assert!(word.len() <= 16 && word.bytes().all(|b| b.is_ascii_alphanumeric()), "{word}");
            }
        }
        for word in UNSURE {
            assert_ne!(ending(word.as_bytes()), Ending::None, "{word}");
            assert!(!CLEAR.contains(&word), "{word}");
        }
        assert_eq!(COUNTRIES.iter().map(|row| row.len()).sum::<usize>(), 185);
    }

    #[test]
    fn a_label_is_as_sure_as_what_else_it_could_be() {
        for (label, expected) in [
            ("com", Ending::Clear),
            ("COM", Ending::Clear),
            ("local", Ending::Clear),
            ("de", Ending::Country),
            ("uk", Ending::Country),
            ("xn--p1ai", Ending::Country),
            ("sh", Ending::Unsure),
            ("info", Ending::Unsure),
            ("java", Ending::None),
            ("log", Ending::None),
            ("7", Ending::None),
            ("c", Ending::None),
        ] {
            assert_eq!(ending(label.as_bytes()), expected, "{label}");
        }
    }
}
