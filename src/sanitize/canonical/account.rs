//! User accounts: NFC, with the domain of `DOMAIN\user` or `user@domain` in lower case. The user's part
//! keeps its letter case, because some systems tell accounts apart by it.

use unicode_normalization::UnicodeNormalization as _;

use super::{Found, digest, known, text};

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(word) = known::placeholder(text.as_bytes()) {
        return Found::Known(word);
    }
    if let Some(found) = digest::hex(text.as_bytes(), out) {
        return found;
    }
    let (before, domain, after) = split(text);
    if text.is_ascii() {
        if !domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Found::AsIs(text.as_bytes());
        }
        out.extend_from_slice(before.as_bytes());
        out.extend(domain.bytes().map(|byte| byte.to_ascii_lowercase()));
        out.extend_from_slice(after.as_bytes());
        return Found::Written;
    }
    if text::is_nfc(text) && !domain.chars().any(|c| !is_lower(c)) {
        return Found::AsIs(text.as_bytes());
    }
    text::push_nfc(before, out);
    // NFC before and after: some letters fold only when composed, some compose only when folded.
    text::push_all(domain.nfc().flat_map(char::to_lowercase).nfc(), out);
    text::push_nfc(after, out);
    known::placeholder(out).map_or(Found::Written, Found::Known)
}

/// What comes before the domain, the domain, and what comes after.
#[inline]
fn split(text: &str) -> (&str, &str, &str) {
    let halves = |at: usize| text.split_at_checked(at).unwrap_or((text, ""));
    if let Some(at) = text.find('\\') {
        let (domain, user) = halves(at);
        return if user.len() > 1 { ("", domain, user) } else { (text, "", "") };
    }
    match text.rfind('@') {
        Some(at) if at > 0 => {
            let (user, domain) = halves(at);
            (user, domain, "")
        }
        _ => (text, "", ""),
    }
}

fn is_lower(c: char) -> bool {
    let mut lower = c.to_lowercase();
    lower.next() == Some(c) && lower.next().is_none()
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass::UserId;
    use crate::sanitize::canonical::checks::{borrowed, cases};

    #[test]
    fn the_domain_is_folded_and_the_user_is_not() {
        cases(
            UserId,
            &[
                ("administrator", "administrator"),
                ("Administrator", "Administrator"),
                ("CORP\\Bob", "corp\\Bob"),
                ("corp\\Bob", "corp\\Bob"),
                ("VSPHERE.LOCAL\\Administrator", "vsphere.local\\Administrator"),
                ("Administrator@VSPHERE.LOCAL", "Administrator@vsphere.local"),
                ("CORP\\bob@Home", "corp\\bob@Home"),
                ("jose\u{301}@CORP", "jos\u{e9}@corp"),
                ("bob@BU\u{308}CHER", "bob@b\u{fc}cher"),
                ("S-1-5-21-1-2-3-500", "S-1-5-21-1-2-3-500"),
                ("CORP\\", "CORP\\"),
                ("@CORP", "@CORP"),
                ("bob@", "bob@"),
                ("1000", "1000"),
                ("0", "=zero"),
                ("none", "=placeholder"),
            ],
        );
        borrowed(UserId, "Administrator@vsphere.local");
    }
}
