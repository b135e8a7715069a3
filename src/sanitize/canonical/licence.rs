//! Licence keys: upper case, without the dashes and white space that only help a reader.

use unicode_normalization::UnicodeNormalization as _;

use super::{Found, digest, known, text};

const fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(word) = known::placeholder(text.as_bytes()) {
        return Found::Known(word);
    }
    // A zero can come to an end that way, where none is kept.
    let kept = |c: &char| !is_dash(*c) && !c.is_whitespace() && *c != '\0';
    if text.is_ascii() {
        let kept = |byte: &u8| !matches!(*byte, b'-' | 0) && !char::from(*byte).is_whitespace();
        out.extend(text.bytes().filter(kept).map(|byte| byte.to_ascii_uppercase()));
    } else {
        // Taking a character out can bring two together that compose.
        text::push_all(text.nfc().filter(kept).map(|c| c.to_ascii_uppercase()).nfc(), out);
    }
    if out.is_empty() {
        return Found::Known(known::PLACEHOLDER);
    }
    if let Some(word) = known::placeholder(out) {
        return Found::Known(word);
    }
    // A digest is in lower case in every class.
    if digest::is_hex(out) {
        out.make_ascii_lowercase();
    }
    Found::Written
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass::LicenceKey;
    use crate::sanitize::canonical::checks::cases;

    #[test]
    fn dashes_spaces_and_case_do_not_matter() {
        cases(
            LicenceKey,
            &[
                ("JJ2WR-25L9P-H71A8-6J20P-C0K3F", "JJ2WR25L9PH71A86J20PC0K3F"),
                ("jj2wr 25l9p h71a8 6j20p c0k3f", "JJ2WR25L9PH71A86J20PC0K3F"),
                ("JJ2WR25L9PH71A86J20PC0K3F", "JJ2WR25L9PH71A86J20PC0K3F"),
                ("JJ2WR\0-", "JJ2WR"),
                ("JJ2WR\u{2011}25L9P", "JJ2WR25L9P"),
                ("00000-00000-00000-00000-00000", "=zero"),
                ("N-O-N-E", "=placeholder"),
                ("- - -", "=placeholder"),
                ("AAAABBBB-CCCCDDDD-EEEEFFFF-00001111", "aaaabbbbccccddddeeeeffff00001111"),
                ("aaaabbbbccccddddeeeeffff00001111", "aaaabbbbccccddddeeeeffff00001111"),
            ],
        );
    }
}
