//! Accounts and servers in paths, and accounts with their domain: `/home/bob`, `C:\Users\bob`,
//! `\\fs01\share`, `CORP\bob`.

use super::view::{self, DIGIT, DOT, HYPHEN, LETTER, LOWER, NAME, UNDERSCORE, UPPER, View, WORD, Word};
use super::{Finding, host};
use crate::model::IdentifierClass as Class;

/// Bytes of a name in a path.
const NAME_BYTES: usize = 64;
/// Profiles that every machine has.
const EVERYBODY: [&[u8]; 8] = [
    b"public",
    b"default",
    b"all users",
    b"default user",
    b"shared",
    b"defaultapppool",
    b"all",
    b"default users",
];
/// Directories that homes are in, beside the root.
const ABOVE_HOME: [&[u8]; 8] = [b"export", b"mnt", b"nfs", b"usr", b"var", b"data", b"net", b"rootfs"];
/// What a long path of Windows to a share begins with. In JSON, `UNC` is taken for a server, too, which hides no less.
const LONG: [&[u8]; 4] = [br"\\?\UNC", br"\\.\UNC", br"\\\\?\\UNC", br"\\\\.\\UNC"];
/// Domains that name no domain.
const NO_DOMAIN: [&[u8]; 12] = [
    b"hklm",
    b"hkcu",
    b"hkcr",
    b"hku",
    b"hkcc",
    b"authority",
    b"service",
    b"builtin",
    b"apppool",
    b"systemroot",
    b"device",
    b"manager",
];

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// The account whose home or profile a path names: from the word `home` or `Users` on.
pub(super) fn account(view: View<'_>, word: Word) -> Option<Finding> {
    let name = view.slice(word.start, word.end);
    let before = view.before(word.start);
    let mut end = word.end;
    let windows = before == b'\\';
    let fits = match name.len() {
        4 => name.eq_ignore_ascii_case(b"home") && is_home(view, word.start),
        5 => name.eq_ignore_ascii_case(b"users") && (windows || is_home(view, word.start)),
        9 if windows && view.starts_folded(word.start, b"documents and settings") => {
            end = word.start + 22;
            true
        }
        _ => false,
    };
    if !fits || !is_separator(view.at(end)) {
        return None;
    }
    // In JSON a backslash is written twice.
    let mut start = end + 1;
    while view.at(start) == b'\\' && start < end + 4 {
        start += 1;
    }
    let stop = name_end(view, start, view.at(end) == b'\\');
    let found = view.slice(start, stop);
    let nobody = EVERYBODY.iter().any(|name| found.eq_ignore_ascii_case(name));
    let letters = found.iter().any(|byte| view::is(*byte, WORD));
    if nobody || !letters { None } else { Finding::of(start, stop, Class::UserId) }
}

/// Whether `/home/` or `/Users/` begins at the root, or below a directory that homes are in.
fn is_home(view: View<'_>, start: usize) -> bool {
    if !is_separator(view.before(start)) {
        return false;
    }
    let above = view.before(start - 1);
    if view::is(above, WORD) {
        let name = view.slice(view.run_back(start - 1, LETTER, 8), start - 1);
        // The drives of Windows, as its Linux has them.
        if name.len() == 1 && view.behind(start - 2, 5) == b"/mnt/" {
            return true;
        }
        return ABOVE_HOME.iter().any(|directory| name.eq_ignore_ascii_case(directory));
    }
    !matches!(above, b'.' | b'~' | b'-' | b'_' | b')' | b']' | b'*')
}

/// Where the name that begins at `start` ends, however long it is. A name of Windows may have spaces, if a backslash
/// follows soon.
fn name_end(view: View<'_>, start: usize, spaces: bool) -> usize {
    let mut at = start;
    let mut first_space = None;
    while at < start + NAME_BYTES || first_space.is_none() {
        match view.at(at) {
            b'\\' | b'/' => return at,
            b' ' if spaces => {
                first_space.get_or_insert(at);
            }
            byte if view::is(byte, view::SPACE | view::QUOTE) => break,
            b':' | b'*' | b'?' => break,
            _ => {}
        }
        at += 1;
    }
    let mut end = first_space.unwrap_or(at);
    while end > start && matches!(view.before(end), b'.' | b',') {
        end -= 1;
    }
    end
}

/// The server of `\\server\share`, from its first word on.
pub(super) fn server(view: View<'_>, word: Word) -> Option<Finding> {
    let mut start = word.start;
    let mut slashes = 0;
    while view.before(start) == b'\\' && slashes < 5 {
        start -= 1;
        slashes += 1;
    }
    let above = view.before(start);
    let is_long = matches!(slashes, 1 | 2)
        && LONG.iter().any(|long| view.behind(start, long.len()).eq_ignore_ascii_case(long));
    let is_other = matches!(above, b':' | b'.' | b')' | b'%' | b'*');
    if !is_long && (!matches!(slashes, 2 | 4) || view::is(above, WORD) || is_other) {
        return None;
    }
    let end = view.run_within(word.start, NAME, 253);
    let share = end + 1 + usize::from(view.at(end + 1) == b'\\');
    let shared = view.at(end) == b'\\' && view::is(view.at(share), WORD | UNDERSCORE);
    let number = view.slice(word.start, end).iter().all(|byte| view::is(*byte, DIGIT | DOT));
    if shared && !number { host::label(view, word.start, end) } else { None }
}

/// `DOMAIN\user`, from the first word of the domain on.
pub(super) fn domain_account(view: View<'_>, word: Word) -> Option<Finding> {
    let slash = view.run_within(word.start, NAME, NAME_BYTES);
    if view.at(slash) != b'\\' || matches!(view.before(word.start), b'\\' | b'/' | b':' | b'%' | b'$' | b'@')
    {
        return None;
    }
    let user = slash + 1 + usize::from(view.at(slash + 1) == b'\\');
    let mut end = view.run(user, NAME);
    while end > user && matches!(view.before(end), b'.' | b'-') {
        end -= 1;
    }
    // `$` ends the account of a machine.
    end += usize::from(view.at(end) == b'$');
    let (domain, name) = (view.slice(word.start, slash), view.slice(user, end));
    let begins = name.first().is_some_and(|byte| view::is(*byte, WORD | UNDERSCORE));
    if !begins || name.len() < 2 || goes_on(view, name, end) {
        return None;
    }
    if NO_DOMAIN.iter().any(|word| domain.eq_ignore_ascii_case(word)) || domain.starts_with(b"HKEY") {
        return None;
    }
    let is_file = name.contains(&b'.') && is_program(name);
    if is_file || !is_domain(domain, name) { None } else { Finding::of(word.start, end, Class::UserId) }
}

/// Whether what stands behind a name makes it a part of something else: a path, a function, a method, a line of a file.
fn goes_on(view: View<'_>, name: &[u8], end: usize) -> bool {
    let next = view.at(end + 1);
    match view.at(end) {
        b'\\' | b'/' | b'(' => next != b' ',
        b':' => matches!(next, b'\\' | b'/' | b':') || view::is(next, DIGIT) && is_source(name),
        _ => false,
    }
}

/// Whether a name is that of a file of source code: `src\main.rs:12`.
fn is_source(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 24] = [
        b"c", b"cc", b"cxx", b"h", b"hpp", b"rs", b"go", b"java", b"kt", b"js", b"jsx", b"ts", b"tsx", b"rb",
        b"php", b"pl", b"ps1", b"psm1", b"vb", b"sql", b"swift", b"lua", b"m", b"scala",
    ];
    let dot = name.iter().rposition(|byte| *byte == b'.');
    let ending = dot.and_then(|dot| name.get(dot + 1..)).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

fn is_program(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 14] = [
        b".exe", b".dll", b".sys", b".txt", b".log", b".ini", b".xml", b".inf", b".cat", b".mum", b".dat",
        b".cs", b".cpp", b".py",
    ];
    let ends = |end: &&[u8]| {
        name.len() > end.len() && {
            let (_, tail) = name.split_at(name.len() - end.len());
            tail.eq_ignore_ascii_case(end)
        }
    };
    ENDINGS.iter().any(ends)
}

/// Whether a text is the name of a domain: capitals as in `NetBIOS`, a name with dots, or anything if the
/// account cannot be the rest of an escape such as `\n`.
fn is_domain(domain: &[u8], user: &[u8]) -> bool {
    let all = |set| domain.iter().all(|byte| view::is(*byte, set));
    if domain.len() < 2 || all(DIGIT | DOT | HYPHEN) {
        return false;
    }
    let capitals = all(UPPER | DIGIT | HYPHEN | UNDERSCORE) && domain.len() <= 15;
    let dotted = domain.contains(&b'.') && !domain.starts_with(b".");
    let escape = user.first().is_some_and(|byte| b"nrtx0u".contains(byte));
    let lower = all(LOWER | DIGIT | HYPHEN) && domain.len() <= 15 && !escape;
    capitals || dotted || lower
}
