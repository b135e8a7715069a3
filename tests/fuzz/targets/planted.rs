//! Identifiers that are planted in a text: which one, in which encoding, where and between what, by four bytes of the
//! input. None of them needs a neighbour to be found, so each is found wherever it stands, whatever stands around it.

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::Choices;

/// In pieces, so that nobody who looks for secrets in these files takes them for some.
const IDENTIFIERS: [&[&str]; 10] = [
    &["zq7xjane@example.com"],
    &["zq7x.jane@corp.example.org"],
    &["AKIA", "IOSFODNN7EXAMPLE"],
    &["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"],
    &["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"],
    &["xoxb-", "123456789012-abcdefghijkl"],
    &["glpat-", "a1B2c3D4e5F6g7H8i9J0"],
    &["eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"],
    &["564d8a3b-1234-abcd-8899-aabbccddeeff"],
    &["2001:db8:17:1::a7f3"],
];

/// What stands around it. An identifier that is glued to a letter is another word.
const FRAMES: [(&str, &str); 10] = [
    (" ", " "),
    ("\n", "\n"),
    ("'", "'"),
    ("\"", "\""),
    ("(", ")"),
    ("<", ">"),
    ("{", "}"),
    (", ", ", "),
    (" | ", " | "),
    ("\t", ""),
];

/// How one character is written.
type Escape = fn(char) -> String;

/// Escapes of one level, each of which can be written in any other.
const ESCAPES: [Escape; 10] = [
    |c| format!("%{:02X}", u32::from(c)),
    |c| format!("%{:02x}", u32::from(c)),
    |c| format!("%u{:04x}", u32::from(c)),
    |c| format!("&#{};", u32::from(c)),
    |c| format!("&#x{:x};", u32::from(c)),
    |c| format!("\\u{:04x}", u32::from(c)),
    |c| format!("\\\\u{:04X}", u32::from(c)),
    |c| format!("\\x{:02x}", u32::from(c)),
    |c| format!("\\u{{{:x}}}", u32::from(c)),
    |c| format!("\\U{:08x}", u32::from(c)),
];

/// Alphabets, of the bytes of a text.
const ALPHABETS: [fn(&[u8]) -> String; 6] = [
    |bytes| BASE64.encode(bytes),
    |bytes| BASE64URL.encode(bytes),
    |bytes| BASE64URL_NOPAD.encode(bytes),
    |bytes| HEXLOWER.encode(bytes),
    |bytes| HEXUPPER.encode(bytes),
    |bytes| format!("0x{}", HEXLOWER.encode(bytes)),
];

/// A text with something planted in it.
#[derive(Debug)]
pub struct Planted {
    pub text: String,
    /// Where it stands, without what stands around it.
    pub start: usize,
    pub end: usize,
    /// The identifier as it is read.
    pub identifier: String,
    /// How an `@` in it is written, if it is written by itself: before a URL's host nothing else is left.
    pub sign: String,
}

impl Planted {
    /// Plants in a text what four bytes say.
    pub fn new(text: &str, choices: &[u8]) -> Self {
        let mut choices = Choices(choices);
        let identifier = choices.one(&IDENTIFIERS).concat();
        let how = choices.byte();
        let written = written(&identifier, how);
        let (before, after) = *choices.one(&FRAMES);
        let mut at = text.len() * usize::from(choices.byte()) / 255;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (head, tail) = text.split_at(at);
        let start = head.len() + before.len();
        // A letter that follows would belong to it.
        let after = if after.is_empty() && !tail.is_empty() { "\r" } else { after };
        let end = start + written.len();
        let text = [head, before, &written, after, tail].concat();
        Self { text, start, end, identifier, sign: sign(how) }
    }
}

/// An `@` as an identifier has it in an encoding.
fn sign(how: u8) -> String {
    if (136..240).contains(&how) { String::new() } else { written("@", how) }
}

/// The identifier in one of the encodings, or in one inside another.
fn written(identifier: &str, choice: u8) -> String {
    let choice = usize::from(choice);
    let escape = |text: &str, which: usize, all: bool| -> String {
        let write = ESCAPES[which % ESCAPES.len()];
        let is_written = |c: char| all || c.is_ascii_punctuation();
        text.chars().map(|c| if is_written(c) { write(c) } else { c.to_string() }).collect()
    };
    let encode = |text: &str, which: usize| -> String {
        let said = match which / ALPHABETS.len() % 4 {
            0 => format!("mail {text} now"),
            1 => format!("{{\"a\":\"{text}\"}}"),
            2 => format!("<>?~> {text}; \u{e9}\u{4f8b}"),
            _ => text.to_owned(),
        };
        ALPHABETS[which % ALPHABETS.len()](said.as_bytes())
    };
    match choice {
        0..=15 => identifier.to_owned(),
        16..=35 => escape(identifier, choice, choice % 20 >= 10),
        36..=135 => {
            let inner = escape(identifier, choice, choice % 4 == 0);
            escape(&inner, choice / 10, false)
        }
        136..=183 => encode(identifier, choice),
        // What an encoding has beside letters and digits, in an escape.
        184..=231 => escape(&encode(identifier, choice), choice / 6, false),
        232..=239 => {
            let wide: Vec<u8> = identifier.encode_utf16().flat_map(u16::to_le_bytes).collect();
            ALPHABETS[choice % ALPHABETS.len()](&wide)
        }
        // UTF-16, as programs print bytes.
        240..=247 => identifier.chars().map(|c| format!("{c}\\x00")).collect(),
        _ => identifier.chars().map(|c| format!("{c}\0")).collect(),
    }
}
