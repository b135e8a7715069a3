//! Secrets without a vendor's mark: JSON web tokens, `Bearer` and `Basic`, private key blocks, and runs of
//! characters too random to be words.

use super::view::{self, BASE64, DIGIT, HYPHEN, LETTER, LOWER, TOKEN, UNDERSCORE, UPPER, View, WORD, Word};
use super::{Finding, What};

#[expect(clippy::unnecessary_wraps, reason = "what every detector gives")]
const fn found(start: usize, end: usize) -> Option<Finding> {
    Some(Finding { start, end, what: What::SECRET })
}

/// A JSON web token, whole or cut: Base64 of `{"`, and what is joined to it by dots.
pub(super) fn web_token(view: View<'_>, word: Word) -> Option<Finding> {
    const LEAST: usize = 8;
    if !view.starts(word.start, b"eyJ") {
        return None;
    }
    let mut end = view.run(word.start, TOKEN | BASE64);
    if end - word.start < LEAST {
        return None;
    }
    for _ in 0..4 {
        let part = view.run(end + 1, TOKEN | BASE64);
        if view.at(end) != b'.' || part == end + 1 && view.at(end + 1) != b'.' {
            break;
        }
        end = part;
    }
    found(word.start, end)
}

/// What follows `Bearer` and the like.
pub(super) fn scheme(view: View<'_>, word: Word) -> Option<Finding> {
    let least = match view.slice(word.start, word.end) {
        name if name.eq_ignore_ascii_case(b"bearer") => 8,
        name if name.eq_ignore_ascii_case(b"basic") => 8,
        name if name.eq_ignore_ascii_case(b"negotiate") => 16,
        name if name.eq_ignore_ascii_case(b"digest") => 24,
        _ => return None,
    };
    let start = view.past_spaces(word.end, 2);
    let end = value_end(view, start);
    let value = view.slice(start, end);
    let odd =
        value.iter().any(|byte| view::is(*byte, DIGIT | BASE64)) || mixes_cases(value) || value.len() > 20;
    if start > word.end && value.len() >= least && odd { found(start, end) } else { None }
}

fn value_end(view: View<'_>, start: usize) -> usize {
    let mut end = view.run(start, TOKEN | BASE64 | view::DOT | view::LOCAL);
    while end > start && matches!(view.before(end), b'.' | b'-') {
        end -= 1;
    }
    end
}

/// Whether capitals come after small letters, as in no word of a sentence.
pub(super) fn mixes_cases(text: &[u8]) -> bool {
    text.windows(2).any(|pair| matches!(pair, [a, b] if view::is(*a, LOWER) && view::is(*b, UPPER)))
}

/// A private key block, from the word `BEGIN` on: to its end mark, or as far as it goes.
pub(super) fn key_block(view: View<'_>, word: Word) -> Option<Finding> {
    const LABEL: usize = 40;
    if view.slice(word.start, word.end) != b"BEGIN" || view.behind(word.start, 5) != b"-----" {
        return None;
    }
    let label = view.ahead(word.end, LABEL);
    let marks = label.windows(11).position(|part| part == b"PRIVATE KEY")?;
    let body = word.end + marks + 11;
    // Everything of the block: Base64, headers, line ends (as they are or as `\n`), up to the end mark.
    let mut at = body;
    loop {
        at = view.find(at, HYPHEN);
        if at >= view.len() {
            return found(word.start - 5, key_body_end(view, body));
        }
        let after = view.run(at, HYPHEN);
        if after - at >= 5 && view.starts(after, b"END") {
            let label = view.run_within(after, LETTER | view::SPACE, LABEL);
            return found(word.start - 5, view.run_within(label, HYPHEN, 5).min(view.len()));
        }
        if after - at >= 5 && view.starts(after, b"BEGIN") {
            return found(word.start - 5, after - 5);
        }
        at = after;
    }
}

/// Where a key block ends that has no end mark: at the first word of a sentence after it, at the earliest.
fn key_body_end(view: View<'_>, from: usize) -> usize {
    const BODY: view::Set = TOKEN | BASE64 | view::SPACE | view::PUNCTUATION;
    let mut at = from;
    let mut last = from;
    while at < view.len()
        && (view::is(view.at(at), BODY) || matches!(view.at(at), b'\\' | b':' | b',' | b'"'))
    {
        let word = view.word(at);
        // Whatever is joined to it or long enough to be a line of a key.
        if word.len() >= 16 || at == from {
            last = word.end;
        }
        at = word.end.max(at + 1);
    }
    view.run(last, TOKEN | BASE64).max(last)
}

/// A run of letters and digits so mixed that no one wrote it as a word: 32 characters or more, from `floor` on.
pub(super) fn random(view: View<'_>, word: Word, floor: usize) -> Option<Finding> {
    const SEED: usize = 12;
    const LEAST: usize = 32;
    /// The longest run that is judged by its whole; beyond, its beginning tells.
    const MOST: usize = 256;
    let has = |set| word.bits & set != 0;
    if word.len() < SEED || !has(DIGIT) || !has(UPPER) || !has(LOWER) || word.bits & view::HIGH != 0 {
        return None;
    }
    let start = view.run_back(word.start, TOKEN | BASE64, LEAST);
    let end = view.run_within(word.end, TOKEN | BASE64, MOST);
    let text = view.slice(start, end);
    // What begins before `floor` counts for nothing, and is not read to its end for each word.
    if text.len() < LEAST || start < floor {
        return None;
    }
    let kinds = text.iter().map(|byte| view::class(*byte) & (LETTER | DIGIT));
    let (changes, _) =
        kinds.fold((0_usize, 0), |(count, last), kind| (count + usize::from(kind != last), kind));
    let digits = text.iter().filter(|byte| view::is(**byte, DIGIT)).count();
    let breaks = text.iter().filter(|byte| matches!(byte, b'/' | b'_' | b'-' | b'=')).count();
    let mixed = changes * 100 >= text.len() * 40 && digits * 100 >= text.len() * 5;
    if mixed && breaks * 8 <= text.len() { found(start, view.run(end, TOKEN | BASE64)) } else { None }
}

/// Whether a text that a key announces as a token looks like one and not like a word.
pub(super) fn is_opaque(text: &[u8]) -> bool {
    const LEAST: usize = 8;
    let has = |set| text.iter().any(|byte| view::is(*byte, set));
    let odd = text.iter().any(|byte| !view::is(*byte, WORD | UNDERSCORE | HYPHEN | view::DOT));
    let is_code = text.iter().any(|byte| matches!(byte, b'(' | b'[' | b'{' | b')'));
    text.len() >= LEAST && !is_code && (has(DIGIT) || odd || mixes_cases(text) || text.len() >= 20)
}
