//! A name that a rule asks for: word for word, or with one place for a customer's id. There are no wildcards:
//! a rule that fits more than it says is a door.

use crate::model::CustomerId;

/// The place for a customer's id.
pub(super) const PLACE: &str = "{customer}";

/// A name that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This text and no other.
    Exact(String),
    /// A customer's id between these two texts.
    Customer {
        before: String,
        after: String,
        /// What the id must not hold, so that it stays within one part of the name.
        apart: &'static str,
    },
}

/// What a name is to a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// It fits, and names no customer.
    Plain,
    /// It fits, and names this customer.
    Customer(CustomerId),
}

impl Pattern {
    /// Reads a pattern. `apart` is what separates the parts of such a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(text: &str, apart: &'static str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > 512 {
            return Err("a name has 1 to 512 bytes");
        }
        if text.contains('*') {
            return Err(
                "there are no wildcards, which would let in whoever gets a name that fits; write each name, \
                        or `{customer}` where a sender's own id stands",
            );
        }
        let mut parts = text.split(PLACE);
        let (before, after, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if more.is_some() {
            return Err("`{customer}` can stand in one place only");
        }
        let braces = |part: &str| part.contains(['{', '}']);
        if braces(before) || after.is_some_and(braces) {
            return Err("the one thing that can stand in braces is `{customer}`");
        }
        Ok(match after {
            None => Self::Exact(text.to_owned()),
            Some(after) => Self::Customer { before: before.to_owned(), after: after.to_owned(), apart },
        })
    }

    /// Whether it has a place for a customer's id.
    pub(super) const fn names_customer(&self) -> bool {
        matches!(self, Self::Customer { .. })
    }

    /// Whether `name` fits.
    pub(super) fn fit(&self, name: &str) -> Option<Fit> {
        match self {
            Self::Exact(text) => (text == name).then_some(Fit::Plain),
            Self::Customer { before, after, apart } => {
                let id = name.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                let id = Some(id).filter(|id| !id.contains(|c| apart.contains(c)))?;
                CustomerId::new(id).ok().map(Fit::Customer)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_word_for_word_or_with_one_valid_customer_in_its_place() {
        let uri = Pattern::read("spiffe://v.example/c/{customer}/sender", "/?#:").unwrap();
        let customer = |name: &str| Some(Fit::Customer(CustomerId::new(name).unwrap()));
        assert_eq!(uri.fit("spiffe://v.example/c/acme/sender"), customer("acme"));
        for other in [
            "spiffe://v.example/c//sender",
            "spiffe://v.example/c/acme/x/sender",
            "spiffe://v.example/c/a:b/sender",
            "spiffe://v.example/c/acme%2Fx/sender",
            "spiffe://v.example/c/acme/sender/",
            "spiffe://v.example.evil/c/acme/sender",
            "spiffe://v.example/c/sender",
        ] {
            assert_eq!(uri.fit(other), None, "{other}");
        }
        let exact = Pattern::read("relay.example.com", ".").unwrap();
        assert_eq!(exact.fit("relay.example.com"), Some(Fit::Plain));
        assert_eq!(exact.fit("xrelay.example.com"), None);
        let bare = Pattern::read("{customer}", "").unwrap();
        assert_eq!(bare.fit("acme.example"), customer("acme.example"));
    }

    #[test]
    fn wildcards_and_other_braces_are_refused() {
        for bad in ["*", "*.example.com", "{customer}{customer}", "{user}", "a{b", "", &"x".repeat(513)] {
            assert!(Pattern::read(bad, "").is_err(), "{bad}");
        }
    }
}
