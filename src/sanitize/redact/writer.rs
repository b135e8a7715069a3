//! Writes redacted text up to its bound. A byte that stays counts one unit and an item [`ITEM_UNITS`], whatever
//! item it is, so that a text is cut at the same place at every level.

use super::item::{self, Item};

/// Units of a token or marker.
pub(super) const ITEM_UNITS: usize = 16;

/// A text as it grows.
pub(super) struct Writer<'o> {
    pub(super) out: &'o mut Vec<u8>,
    /// Units that still fit, if there is a bound.
    left: Option<usize>,
    /// Whether the text was cut: nothing more is written.
    is_cut: bool,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, cut: Option<u32>) -> Self {
        let left = cut.map(|cut| usize::try_from(cut).unwrap_or(usize::MAX));
        Self { out, left, is_cut: false }
    }

    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Writes text that stays. A marker in it is an item, and what looks like a token of ours becomes one.
    pub(super) fn literal(&mut self, text: &[u8]) {
        let mut from = 0;
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'[', b'p', rest)) {
            at += found;
            let item =
                if text.get(at) == Some(&b'[') { item::marker(text, at) } else { item::token(text, at) };
            let Some(Item::Marker { end } | Item::Token { end, .. }) = item else {
                at += 1;
                continue;
            };
            self.plain(text.get(from..at).unwrap_or_default());
            match item {
                Some(Item::Marker { .. }) => {
                    let marker = text.get(at..end).unwrap_or_default();
                    self.item(|out| out.extend_from_slice(marker));
                }
                _ => self.item(|out| item::write_marker("token", out)),
            }
            (from, at) = (end, end);
        }
        self.plain(text.get(from..).unwrap_or_default());
    }

    /// Writes text without items in it.
    pub(super) fn plain(&mut self, text: &[u8]) {
        if self.is_cut {
            return;
        }
        match &mut self.left {
            Some(left) if text.len() > *left => {
                let mut end = *left;
                while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    end -= 1;
                }
                self.out.extend_from_slice(text.get(..end).unwrap_or_default());
                self.cut();
            }
            Some(left) => {
                *left -= text.len();
                self.out.extend_from_slice(text);
            }
            None => self.out.extend_from_slice(text),
        }
    }

    /// Writes an item.
    pub(super) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_cut {
            return;
        }
        match &mut self.left {
            Some(left) if *left < ITEM_UNITS => self.cut(),
            Some(left) => {
                *left -= ITEM_UNITS;
                write(self.out);
            }
            None => write(self.out),
        }
    }

    fn cut(&mut self) {
        self.is_cut = true;
        item::write_marker(item::CUT, self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;

    fn cut(text: &str, at: u32) -> String {
        let mut out = Vec::new();
        Writer::new(&mut out, Some(at)).literal(text.as_bytes());
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn a_byte_counts_one_and_an_item_sixteen() {
        for (text, at, expected) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab[cut]"),
            ("abc", 0, "[cut]"),
            ("", 0, ""),
            ("aé", 2, "a[cut]"),
            ("aé", 3, "aé"),
            ("a[ip_address]b", 16, "a[cut]"),
            ("a[ip_address]b", 17, "a[ip_address][cut]"),
            ("a[ip_address]b", 18, "a[ip_address]b"),
            ("a[ip address]b", 14, "a[ip address]b"),
            ("[[email]]", 18, "[[email]]"),
        ] {
            assert_eq!(cut(text, at), expected, "{text} {at}");
        }
    }

    #[test]
    fn what_looks_like_a_token_of_ours_stays_nowhere() {
        let forged = "xp1-host_name-s-0123456789abcdefghijklmnopq";
        assert_eq!(cut(forged, 99), "x[token]q");
    }
}
