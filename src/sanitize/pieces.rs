//! What is long is looked for in pieces, so that no walk is longer than a piece.

use std::ops::Range;

/// Shows the pieces of at most `most` bytes that a value is looked for in, and whether each was cut within a word: the
/// whole of it, or if it is long as many as it takes, cut at white space, at other borders, or wherever it has to be.
pub(super) fn pieces(value: &[u8], most: usize, mut see: impl FnMut(Range<usize>, bool)) {
    let mut from = 0;
    while let Some(rest) = value.get(from..).filter(|rest| !rest.is_empty()) {
        let share = rest.len().div_ceil(rest.len().div_ceil(most));
        let (len, is_open) = if share == rest.len() { (share, false) } else { cut(rest, share) };
        see(from..from + len, is_open);
        from += len;
    }
}

/// Where to cut a spelling: within the second half of what may be had of it, and whether that is within a word.
fn cut(spelling: &[u8], most: usize) -> (usize, bool) {
    let piece = spelling.get(..most).unwrap_or(spelling);
    let last = |is: fn(&u8) -> bool| piece.iter().rposition(is).filter(|at| *at > most / 2);
    let border = last(u8::is_ascii_whitespace)
        .or_else(|| last(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric()));
    if let Some(at) = border {
        return (at + 1, false);
    }
    // Not in the middle of a character.
    let is_inside = |at: usize| spelling.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    ((1..=most).rev().find(|at| !is_inside(*at)).unwrap_or(most), true)
}

#[cfg(test)]
mod tests {
    use super::pieces;
    use crate::sanitize::spelling::LONGEST;

    #[test]
    fn what_is_long_is_cut_at_borders_and_no_piece_is_lost() {
        let cut = |text: &str| {
            let mut all = Vec::new();
            pieces(text.as_bytes(), LONGEST, |piece, is_open| {
                all.push((text.get(piece).unwrap_or("<half a character>").to_owned(), is_open));
            });
            all
        };
        assert_eq!(cut("prod vm 1"), [("prod vm 1".to_owned(), false)]);
        for unit in ["word and ", "a-b.", "x", "\u{8d22}", "a\u{8d22}\u{1f600}"] {
            for bytes in [257, 512, 513, 4_000] {
                let text = unit.repeat(bytes / unit.len() + 1);
                let all = cut(&text);
                assert!(all.iter().all(|(piece, _)| piece.len() <= LONGEST));
                assert!(all.len() <= 1 + bytes / 64, "{} pieces of {bytes}", all.len());
                let word =
                    |text: &str| text.chars().filter(|c| c.is_alphanumeric() || !c.is_ascii()).collect();
                let (of_all, pieces): (String, String) =
                    (word(&text), all.iter().map(|(piece, _)| word(piece)).collect());
                assert_eq!(of_all, pieces);
                let is_word = unit == "x" || !unit.is_ascii();
                assert!(all.iter().rev().skip(1).all(|(_, is_open)| *is_open == is_word));
            }
        }
    }
}
