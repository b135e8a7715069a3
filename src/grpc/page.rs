//! Pages of lists (AIP-158): a size with a default and a bound, and a token that means nothing to
//! the caller.

use data_encoding::BASE64URL_NOPAD;

use super::status::Fault;

/// The page size when none is asked for, and the largest.
const SIZES: (usize, usize) = (100, 1000);

/// The size of a page for what was asked: 0 is the default, and more than the largest is the largest.
///
/// # Errors
/// If it is negative.
pub(super) fn size(asked: i32) -> Result<usize, Fault> {
    match usize::try_from(asked) {
        Ok(0) => Ok(SIZES.0),
        Ok(n) => Ok(n.min(SIZES.1)),
        Err(_) => Err(Fault::field("page_size", "must not be negative")),
    }
}

/// The token of the page after the item whose key is `last`.
pub(super) fn token(last: &[u8]) -> String {
    BASE64URL_NOPAD.encode(last)
}

/// The key in `token`; `None` for the first page.
///
/// # Errors
/// If it is not a token of ours.
pub(super) fn after<T>(token: &str, key: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Fault> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    match bytes.and_then(|bytes| key(&bytes)) {
        Some(key) => Ok(Some(key)),
        None => Err(Fault::field("page_token", "give back `next_page_token` of the page before, unchanged")),
    }
}

/// The text in a key of a token.
pub(super) fn text(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()
}

/// The number in a key of a token.
pub(super) fn number(key: &[u8]) -> Option<u64> {
    <[u8; 8]>::try_from(key).ok().map(u64::from_be_bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_default_and_a_bound() {
        assert_eq!((size(0).unwrap(), size(7).unwrap(), size(i32::MAX).unwrap()), (100, 7, 1000));
        assert!(size(-1).is_err());
    }

    #[test]
    fn a_token_is_given_back_as_it_was_or_refused() {
        assert_eq!(after("", number).unwrap(), None);
        assert_eq!(after(&token(&7_u64.to_be_bytes()), number).unwrap(), Some(7));
        for bad in ["!", "AAAA", "a b", "AAAAAAAAAAA=", "AAAAAAAAAAB"] {
            assert!(after(bad, number).is_err(), "{bad}");
        }
    }
}
