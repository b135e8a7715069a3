//! The ends of names that announce what their value is.

/// What a name announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Announced {
    /// A password: whatever follows.
    Password,
    /// A token or key: what follows, if it is no word.
    Token,
    /// Cookies, to the end of the line.
    Cookie,
    /// An account.
    User,
    /// A host, by its short name too.
    Host,
    /// A latitude or longitude.
    Coordinate,
}

use Announced::{Cookie, Coordinate, Host, Password, Token, User};

/// Ends of names, without `_` and `-`, by their last letter.
pub(super) const fn ends(last: u8) -> &'static [(&'static [u8], Announced)] {
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
            (b"credential", Password),
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
            (b"jwt", Token),
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
