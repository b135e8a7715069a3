//! Escapes: how URLs, HTML, JSON and programming languages write a character that they would read as something
//! else. One escape is read at a time; [`mod@super::fold`] decodes a text with them.
//!
//! ```text
//! percent    %40, of UTF-8 %C3%A9, %u0040
//! HTML       &#64; &#x40; (the semicolon may be missing), the names in `NAMES`
//! backslash  \u0040, pairs of surrogates, \u{40}, \U00000040, \x40, of UTF-8 \xc3\xa9, \x{40}, \/
//!            behind two backslashes, four or eight too: text that was escaped more than once; behind another number
//!            the first are backslashes of the text (`CORP\\\u00dcser` is what JSON in ASCII has for `CORP\Üser`)
//! zero       a zero by itself, which is half of a character in UTF-16; whoever decodes drops it
//! ```

use zeroize::Zeroizing;

/// Backslashes in front of one escape.
const BACKSLASHES: usize = 8;
/// Digits of the longest number that HTML and `\u{…}` have for a character, with zeros in front.
const DIGITS: usize = 8;

/// The named characters of HTML that stand in identifiers or around them.
const NAMES: [(&[u8], char); 38] = [
    (b"Tab", '\t'),
    (b"NewLine", '\n'),
    (b"nbsp", ' '),
    (b"excl", '!'),
    (b"quot", '"'),
    (b"num", '#'),
    (b"dollar", '$'),
    (b"percnt", '%'),
    (b"amp", '&'),
    (b"apos", '\''),
    (b"lpar", '('),
    (b"rpar", ')'),
    (b"ast", '*'),
    (b"midast", '*'),
    (b"plus", '+'),
    (b"comma", ','),
    (b"hyphen", '-'),
    (b"dash", '-'),
    (b"minus", '-'),
    (b"period", '.'),
    (b"sol", '/'),
    (b"colon", ':'),
    (b"semi", ';'),
    (b"lt", '<'),
    (b"equals", '='),
    (b"gt", '>'),
    (b"quest", '?'),
    (b"commat", '@'),
    (b"lsqb", '['),
    (b"lbrack", '['),
    (b"bsol", '\\'),
    (b"rsqb", ']'),
    (b"rbrack", ']'),
    (b"lowbar", '_'),
    (b"lcub", '{'),
    (b"verbar", '|'),
    (b"rcub", '}'),
    (b"shy", '\u{ad}'),
];
/// Bytes of the longest name.
const NAME_BYTES: usize = 7;

/// Where the first escape of a text begins.
pub(super) fn first(text: &[u8]) -> Option<usize> {
    let zero = memchr::memchr(0, text);
    let sign = memchr::memchr3_iter(b'%', b'&', b'\\', text).find(|at| read(text, *at).is_some());
    match (zero, sign) {
        (Some(zero), Some(sign)) => Some(zero.min(sign)),
        (zero, sign) => zero.or(sign),
    }
}

/// The character that an escape at a place stands for, and where the escape ends.
pub(super) fn read(text: &[u8], at: usize) -> Option<(char, usize)> {
    match text.get(at)? {
        0 => Some(('\0', at + 1)),
        b'%' if matches!(text.get(at + 1), Some(b'u' | b'U')) => {
            let (code, end) = hex(text, at + 2, 4)?;
            Some((char::from_u32(code)?, end))
        }
        b'%' => bytes(text, at, percent_byte),
        b'&' => entity(text, at + 1),
        b'\\' => backslash(text, at),
        _ => None,
    }
}

/// A text with its escapes decoded once; `None` if it has none.
pub(in crate::sanitize) fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let mut at = first(text.as_bytes())?;
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    out.push_str(text.get(..at)?);
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (c, end) = read(text.as_bytes(), at).unwrap_or((c, at + c.len_utf8()));
        if c != '\0' {
            out.push(c);
        }
        at = end;
    }
    Some(out)
}

/// Exactly `count` hexadecimal digits.
fn hex(text: &[u8], from: usize, count: usize) -> Option<(u32, usize)> {
    let digits = text.get(from..from + count)?;
    let code = digits
        .iter()
        .try_fold(0_u32, |code, digit| Some(code.checked_mul(16)? | char::from(*digit).to_digit(16)?))?;
    Some((code, from + count))
}

/// Digits up to what is none of them.
fn number(text: &[u8], from: usize, radix: u32) -> Option<(u32, usize)> {
    let (mut code, mut at) = (0_u32, from);
    while let Some(digit) = text.get(at).and_then(|byte| char::from(*byte).to_digit(radix)) {
        if at - from >= DIGITS {
            return None;
        }
        code = code.checked_mul(radix)?.checked_add(digit)?;
        at += 1;
    }
    (at > from).then_some((code, at))
}

/// A number of hexadecimal digits in braces.
fn braced(text: &[u8], from: usize) -> Option<(u32, usize)> {
    if text.get(from) != Some(&b'{') {
        return None;
    }
    let (code, end) = number(text, from + 1, 16)?;
    (text.get(end) == Some(&b'}')).then_some((code, end + 1))
}

/// The byte that `%40` stands for.
fn percent_byte(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let (code, end) = if text.get(at) == Some(&b'%') { hex(text, at + 1, 2)? } else { return None };
    Some((u8::try_from(code).ok()?, end))
}

/// The byte that `\x40` stands for.
fn backslash_byte(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let from = past_backslashes(text, at);
    if from == at || text.get(from) != Some(&b'x') {
        return None;
    }
    let (code, end) = hex(text, from + 1, 2)?;
    Some((u8::try_from(code).ok()?, end))
}

/// Reads the byte at a place, and where what it is written as ends.
type ReadByte = fn(&[u8], usize) -> Option<(u8, usize)>;

/// A character that is written byte by byte, in UTF-8.
fn bytes(text: &[u8], at: usize, byte: ReadByte) -> Option<(char, usize)> {
    let (first, mut end) = byte(text, at)?;
    let count = match first {
        0..=0x7f => return Some((char::from(first), end)),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut all = [first, 0, 0, 0];
    for place in all.get_mut(1..count)? {
        (*place, end) = byte(text, end)?;
    }
    let c = std::str::from_utf8(all.get(..count)?).ok()?.chars().next()?;
    Some((c, end))
}

/// What follows `&`.
fn entity(text: &[u8], from: usize) -> Option<(char, usize)> {
    if text.get(from) == Some(&b'#') {
        let (code, end) = match text.get(from + 1) {
            Some(b'x' | b'X') => number(text, from + 2, 16)?,
            _ => number(text, from + 1, 10)?,
        };
        let end = if text.get(end) == Some(&b';') { end + 1 } else { end };
        return Some((char::from_u32(code)?, end));
    }
    let len = text.get(from..)?.iter().take(NAME_BYTES + 1).position(|byte| *byte == b';')?;
    let name = text.get(from..from + len)?;
    let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, c)| (*c, from + len + 1))
}

fn past_backslashes(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

/// What begins with a backslash: a character, or a backslash before others that are of one.
fn backslash(text: &[u8], at: usize) -> Option<(char, usize)> {
    let from = past_backslashes(text, at);
    let found = behind_backslashes(text, at, from)?;
    let is_itself = text.get(from) != Some(&b'/') && !(from - at).is_power_of_two();
    Some(if is_itself { ('\\', at + 1) } else { found })
}

/// What the backslashes from `at` to `from` are the beginning of.
fn behind_backslashes(text: &[u8], at: usize, from: usize) -> Option<(char, usize)> {
    match text.get(from)? {
        b'/' => Some(('/', from + 1)),
        b'u' => {
            let (code, end) = braced(text, from + 1).or_else(|| hex(text, from + 1, 4))?;
            match code {
                0xd800..=0xdbff => surrogates(text, code, end),
                _ => Some((char::from_u32(code)?, end)),
            }
        }
        b'U' => {
            let (code, end) = hex(text, from + 1, 8)?;
            Some((char::from_u32(code)?, end))
        }
        b'x' => match braced(text, from + 1) {
            Some((code, end)) => Some((char::from_u32(code)?, end)),
            None => bytes(text, at, backslash_byte),
        },
        _ => None,
    }
}

/// The second of two surrogates, at a place, after the first.
fn surrogates(text: &[u8], first: u32, at: usize) -> Option<(char, usize)> {
    let from = past_backslashes(text, at);
    if from == at || text.get(from) != Some(&b'u') {
        return None;
    }
    let (second, end) = hex(text, from + 1, 4)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)?, end))
}

#[cfg(test)]
mod tests {
    use super::{decoded, first, read};

    #[test]
    fn every_escape_stands_for_its_character_and_ends_where_it_ends() {
        for (text, expected) in [
            ("%40", '@'),
            ("%2e", '.'),
            ("%C3%a9", '\u{e9}'),
            ("%F0%9F%98%80", '\u{1f600}'),
            ("%u0040", '@'),
            ("&#64;", '@'),
            ("&#0064;", '@'),
            ("&#x40;", '@'),
            ("&#X40;", '@'),
            ("&commat;", '@'),
            ("&period;", '.'),
            ("&AMP;", '&'),
            ("\\u0040", '@'),
            ("\\\\u0040", '@'),
            ("\\\\\\\\u0040", '@'),
            ("\\u{40}", '@'),
            ("\\ud83d\\ude00", '\u{1f600}'),
            ("\\U0001f600", '\u{1f600}'),
            ("\\x40", '@'),
            ("\\xC3\\xA9", '\u{e9}'),
            ("\\x{e9}", '\u{e9}'),
            ("\\/", '/'),
            ("\0", '\0'),
        ] {
            for after in ["", "z", "\\", "%", " "] {
                let whole = format!("z{text}{after}");
                assert_eq!(read(whole.as_bytes(), 1), Some((expected, text.len() + 1)), "{whole:?}");
                assert_eq!(first(whole.as_bytes()), Some(1), "{whole:?}");
            }
        }
        assert_eq!(read(b"&#64example", 0), Some(('@', 4)));
        assert_eq!(read(b"%C3%41", 0), None);
        assert_eq!(read(b"\\ud83d\\u0041", 0), None);
    }

    #[test]
    fn backslashes_before_that_of_an_escape_are_of_the_text() {
        for (text, expected) in [
            ("CORP\\\\\\u00dcser", "CORP\\\u{dc}ser"),
            ("CORP\\\\\\xc3\\x9cser", "CORP\\\u{dc}ser"),
            ("CORP\\\\\\\\\\\\u00dcser", "CORP\\\\\u{dc}ser"),
            ("\\\\\\ud83d\\ude00 \\\\\\/", "\\\u{1f600} /"),
            ("CORP\\\\u00dcser", "CORP\u{dc}ser"),
        ] {
            assert_eq!(decoded(text).as_deref().map(String::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_only_begins_like_an_escape_is_none() {
        for text in [
            "%",
            "%4",
            "%4g",
            "%C3",
            "%ff",
            "85% of",
            "&",
            "&x;",
            "&commat",
            "&commatcommat;",
            "&#;",
            "&#xg;",
            "&#1114112;",
            "&#999999999;",
            "\\",
            "\\u004",
            "\\udc00",
            "\\ud83d",
            "\\ud83d\\",
            "\\x4",
            "\\xe9",
            "\\u{}",
            "\\u{110000}",
            "\\u{40",
            "\\Users",
            "\\n",
            "plain",
        ] {
            assert_eq!(read(text.as_bytes(), 0), None, "{text:?}");
            assert_eq!(first(text.as_bytes()), None, "{text:?}");
        }
    }
}
