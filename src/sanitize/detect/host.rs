//! Host names: names with a top-level domain, and names that their place gives away.

use super::Finding;
use super::domain::{self, Ending};
use super::view::{self, DIGIT, DOT, HIGH, HYPHEN, LETTER, NAME, UNDERSCORE, UPPER, View, WORD, Word};
use crate::model::IdentifierClass as Class;

/// Bytes of the longest name (RFC 1035).
pub(super) const NAME_BYTES: usize = 253;
/// Labels at the end of a name that may be the endings of a file name.
pub(super) const FILE_LABELS: usize = 3;

/// A name in the text, seen from its end.
pub(super) struct Labels<'t> {
    view: View<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'t> Labels<'t> {
    /// The last label.
    pub(super) fn last(&self) -> (usize, &'t [u8]) {
        let mut at = self.end;
        while at > self.start && self.view.before(at) != b'.' {
            at -= 1;
        }
        (at, self.view.slice(at, self.end))
    }

    /// The same without its last label; `None` if there is no other.
    pub(super) fn without_last(&self) -> Option<Self> {
        let (at, _) = self.last();
        (at > self.start).then(|| Self { view: self.view, start: self.start, end: at - 1 })
    }

    fn first(&self) -> &'t [u8] {
        let end = self.view.run_within(self.start, NAME & !DOT, NAME_BYTES);
        self.view.slice(self.start, end.min(self.end))
    }

    /// Where the name itself begins: `Connector-repo.example.org` is a thread's name before a host's.
    fn own_start(&self) -> usize {
        let first = self.first();
        let after = first.iter().rposition(|byte| *byte == b'-').map_or(0, |at| at + 1);
        let (before, own) = first.split_at(after);
        let has = |text: &[u8], set| text.iter().any(|byte| view::is(*byte, set));
        let camel = has(before, UPPER) && has(before, view::LOWER) && !has(own, UPPER) && !own.is_empty();
        if camel { self.start + after } else { self.start }
    }

    pub(super) fn count(&self) -> usize {
        self.view.slice(self.start, self.end).split(|byte| *byte == b'.').count()
    }
}

/// The run of a name from a word on, without what ends a sentence.
pub(super) fn run(view: View<'_>, start: usize) -> Labels<'_> {
    run_to(view, start, view.run(start, NAME))
}

/// [`run`], if it is known where it ends.
fn run_to(view: View<'_>, start: usize, mut end: usize) -> Labels<'_> {
    while end > start && matches!(view.before(end), b'.' | b'-' | b'_') {
        end -= 1;
    }
    // Only the last labels of a run without end can be a name.
    let mut from = start;
    if end - start > NAME_BYTES {
        from = end - NAME_BYTES;
        while from < end && view.before(from) != b'.' {
            from += 1;
        }
    }
    Labels { view, start: from, end }
}

/// A name with a top-level domain, from the first word of a run on, which ends at `end`.
pub(super) fn name(view: View<'_>, word: Word, end: usize) -> Option<Finding> {
    let mut labels = run_to(view, word.start, end);
    if labels.last().0 == labels.start {
        return None;
    }
    let whole = Labels { ..labels };
    let mut files = 0;
    loop {
        let (at, last) = labels.last();
        let ending = domain::ending(last);
        let is_name = ending != Ending::None
            && at > labels.start
            && is_host(&labels, ending, is_strong(view, &whole), files > 0);
        if is_name {
            return Finding::of(labels.own_start(), labels.end, Class::HostName);
        }
        // `db01.example.com-backup`: the name ends before the hyphen.
        if let Some(cut) = last.iter().position(|byte| matches!(byte, b'-' | b'_'))
            && files == 0
            && domain::ending(last.get(..cut).unwrap_or_default()) == Ending::Clear
        {
            labels.end = at + cut;
            files += 1;
            continue;
        }
        if files >= FILE_LABELS || !domain::is_file(last) {
            return None;
        }
        labels = labels.without_last()?;
        files += 1;
    }
}

/// Whether what stands around a run says that it is a host: a scheme before it, or a port after it.
fn is_strong(view: View<'_>, labels: &Labels<'_>) -> bool {
    let before = view.behind(labels.start, 3);
    let port = view.at(labels.end) == b':' && {
        let digits = view.run_within(labels.end + 1, DIGIT, 6);
        (3..=6).contains(&(digits - labels.end)) && !view::is(view.at(digits), LETTER)
    };
    before.ends_with(b"//") || before.ends_with(b"@") || port
}

fn is_host(labels: &Labels<'_>, ending: Ending, strong: bool, was_file: bool) -> bool {
    let (at, last) = labels.last();
    let upper = |text: &[u8]| text.iter().filter(|byte| view::is(**byte, UPPER)).count();
    // `done.It`, `Foo.Com`: a top-level domain is not written so, but names are in capitals as a whole.
    let capitals = upper(last);
    let whole = labels.view.slice(labels.start, labels.end);
    if capitals > 0 && (capitals < last.len() || whole.iter().any(|byte| view::is(*byte, view::LOWER))) {
        return strong;
    }
    if whole.split(|byte| *byte == b'.').any(|label| label.is_empty() || label.len() > 63) {
        return false;
    }
    if strong {
        return true;
    }
    if domain::begins_package(labels.first(), labels.count() > 2) {
        return false;
    }
    let Some(rest) = (at > labels.start).then(|| labels.view.slice(labels.start, at - 1)) else {
        return false;
    };
    let (_, second) = Labels { end: at - 1, ..*labels }.last();
    let has_letters = rest.iter().any(|byte| view::is(*byte, LETTER | HIGH));
    let named = rest.iter().any(|byte| view::is(*byte, DIGIT) || *byte == b'-');
    let deep = labels.count() > 2;
    let web = labels.first().eq_ignore_ascii_case(b"www");
    has_letters
        && match ending {
            Ending::Clear => second.len() > 1 || deep,
            Ending::Country => {
                let camel = upper(rest) > 0 && upper(rest) < rest.len() && !web && !deep;
                second.len() > 1 && !camel && (!was_file || deep)
            }
            Ending::Own => named || (deep && !was_file),
            Ending::Unsure => web || (deep && (domain::is_second(second) || (named && second.len() > 2))),
            Ending::None => false,
        }
}

/// Whether a word is in the middle of a name whose beginning was looked at already.
pub(super) fn is_inside(view: View<'_>, word: Word) -> bool {
    view::is(view.before(word.start), DOT | HYPHEN | UNDERSCORE)
        && word.start > 1
        && view::is(view.before(word.start - 1), NAME)
}

/// The name that a URL has for its host, whatever it looks like: from a word on, to where it ends.
pub(super) fn of_url(view: View<'_>, word: Word) -> Option<Finding> {
    let end = view.run(word.start, NAME);
    let end = if view.before(end) == b'.' { end - 1 } else { end };
    let number = view.slice(word.start, end).iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if number { None } else { Finding::of(word.start, end, Class::HostName) }
}

/// A name of one label, which its place says is a host's: letters, and not a word for none.
pub(super) fn label(view: View<'_>, start: usize, end: usize) -> Option<Finding> {
    let text = view.slice(start, end);
    let fits = (2..=63).contains(&text.len())
        && text.iter().any(|byte| view::is(*byte, LETTER | HIGH))
        && text.first().is_some_and(|byte| view::is(*byte, WORD))
        && text.iter().all(|byte| view::is(*byte, NAME));
    if fits { Finding::of(start, end, Class::HostName) } else { None }
}

/// Names that operating systems and clouds make up: `DESKTOP-4F2K9QX`, `WIN-…`, `ip-10-0-0-12`.
pub(super) fn made_up(view: View<'_>, word: Word) -> Option<Finding> {
    let (len, numbers) = match view.slice(word.start, word.end) {
        b"DESKTOP" | b"LAPTOP" => (7..=8, false),
        b"WIN" => (11..=11, false),
        b"ip" => (7..=15, true),
        _ => return None,
    };
    if view.at(word.end) != b'-' || is_inside(view, word) {
        return None;
    }
    let rest = word.end + 1;
    let end = if numbers { view.run_within(rest, DIGIT | HYPHEN, 16) } else { view.word(rest).end };
    let text = view.slice(rest, end);
    let fits = len.contains(&text.len())
        && if numbers {
            text.split(|byte| *byte == b'-').count() == 4
        } else {
            text.iter().all(|byte| view::is(*byte, UPPER | DIGIT))
        };
    if fits { Finding::of(word.start, end, Class::HostName) } else { None }
}
