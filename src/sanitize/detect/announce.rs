//! What a name says of the value after it, by its last word: `admin_password`, `userName`, `X-Auth-Token`.

use super::view::{self, DIGIT, LETTER, LOWER, UPPER, View, WORD, Word};

/// What a name announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Announced {
    /// A password: whatever follows.
    Password,
    /// A token or key: what follows, if it is no word.
    Token,
    Cookie,
    User,
    Host,
    Coordinate,
}

use Announced::{Cookie, Coordinate, Host, Password, Token, User};

/// Ends of names, without `_` and `-`, by their last letter.
const fn ends(last: u8) -> &'static [(&'static [u8], Announced)] {
    match last {
        b'd' => &[
            (b"password", Password),
            (b"passwd", Password),
            (b"pwd", Password),
            (b"sessionid", Token),
            (b"sid", Token),
            (b"userid", User),
        ],
        b'e' => &[
            (b"passphrase", Password),
            (b"cookie", Cookie),
            (b"username", User),
            (b"logname", User),
            (b"hostname", Host),
            (b"machinename", Host),
            (b"computername", Host),
            (b"servername", Host),
            (b"latitude", Coordinate),
            (b"longitude", Coordinate),
            (b"signature", Token),
            (b"nodename", Host),
        ],
        b'g' => &[(b"lng", Coordinate), (b"sig", Token)],
        b'h' => &[(b"auth", Token)],
        b'l' => &[(b"credential", Password)],
        b'n' => &[
            (b"token", Token),
            (b"login", User),
            (b"lon", Coordinate),
            (b"authorization", Token),
            (b"fqdn", Host),
        ],
        b'r' => &[(b"user", User), (b"server", Host), (b"owner", User), (b"vcenter", Host)],
        b's' => &[(b"pass", Password), (b"credentials", Password), (b"sas", Token)],
        b't' => &[
            (b"secret", Password),
            (b"host", Host),
            (b"lat", Coordinate),
            (b"jwt", Token),
            (b"account", User),
            (b"passwort", Password),
        ],
        b'w' => &[(b"pw", Password)],
        b'y' => &[
            (b"apikey", Token),
            (b"accesskey", Token),
            (b"secretkey", Token),
            (b"privatekey", Token),
            (b"accountkey", Token),
            (b"sharedkey", Token),
            (b"storagekey", Token),
            (b"encryptionkey", Token),
            (b"signingkey", Token),
            (b"masterkey", Token),
            (b"authkey", Token),
            (b"licensekey", Token),
        ],
        _ => &[],
    }
}

/// The end of a name, folded and without what joins its words.
struct Name {
    text: [u8; 16],
    len: usize,
}

/// What the name that ends with this word announces.
pub(super) fn announced(view: View<'_>, word: Word) -> Option<Announced> {
    let last = view.before(word.end) | 0x20;
    let second = word.end.checked_sub(2).map_or(0, |at| view.at(at) | 0x20);
    let is_end = match last {
        b'd' => matches!(second, b'r' | b'w' | b'i'),
        b'e' => matches!(second, b's' | b'i' | b'm' | b'd' | b'r'),
        b'g' => matches!(second, b'n' | b'i'),
        b'h' => second == b't',
        b'l' => second == b'a',
        b'n' => matches!(second, b'e' | b'i' | b'o' | b'd'),
        b'r' | b'y' => second == b'e',
        b's' => matches!(second, b's' | b'l' | b'a'),
        b't' => matches!(second, b'e' | b's' | b'a' | b'w' | b'n' | b'r'),
        b'w' => second == b'p',
        _ => false,
    };
    if !is_end {
        return None;
    }
    let list = ends(last);
    let mut name = Name { text: [0; 16], len: 0 };
    let mut at = word.end;
    // The words of the name from its end, with where each begins in it.
    while name.len < name.text.len() {
        let byte = view.before(at);
        match byte {
            byte if view::is(byte, LETTER | DIGIT) => {
                if let Some(slot) = name.text.iter_mut().rev().nth(name.len) {
                    *slot = byte.to_ascii_lowercase();
                }
                name.len += 1;
            }
            b'_' | b'-' if name.len > 0 => {}
            _ => break,
        }
        at -= 1;
    }
    let tail = name.text.get(name.text.len() - name.len..)?;
    let (end, what) = list.iter().filter(|(end, _)| tail.ends_with(end)).max_by_key(|(end, _)| end.len())?;
    begins_word(view, word.end, end.len()).then_some(*what)
}

/// Whether the last `len` letters of a name begin a word of it: after `_`, `-` or another sign, or with a capital
/// after a small letter.
fn begins_word(view: View<'_>, end: usize, len: usize) -> bool {
    let (mut at, mut left) = (end, len);
    while left > 0 {
        at -= 1;
        left -= usize::from(view::is(view.at(at), LETTER | DIGIT));
    }
    let (before, first) = (view.before(at), view.at(at));
    let hump = view::is(first, UPPER) && view::is(before, LOWER | DIGIT);
    // `DBPASSWORD` and `dbpassword`: a long end is one whatever comes before it.
    hump || !view::is(before, WORD) || len >= 8
}

#[cfg(test)]
mod tests {
    use super::ends;

    #[test]
    fn every_end_is_listed_under_its_last_letter_and_can_be_reached() {
        for last in 0..=u8::MAX {
            for (end, what) in ends(last) {
                let reached = end.last() == Some(&last)
                    || (*end == b"jwt" && last == b'n')
                    || (*end == b"credential" && last == b'e');
                assert!(reached && end.len() <= 16, "{what:?}");
            }
        }
    }
}
