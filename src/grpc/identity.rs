//! Who is calling. For now only loopback callers are served, and they name their customer in the
//! request metadata; certificates and tokens become further members of [`Identity`].

use std::net::SocketAddr;

use http::HeaderMap;

use super::status::{Cause, Fault};
use crate::model::CustomerId;

/// The metadata key in which a loopback caller names its customer.
pub const CUSTOMER_KEY: &str = "usaged-customer";

/// How the door learns for which customer a caller reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Callers on this machine are believed; each names its customer in [`CUSTOMER_KEY`].
    Loopback,
}

/// An address that may not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refused to listen on {listen}: it can be reached from outside this machine, and callers are not \
     authenticated yet; listen on a loopback address such as 127.0.0.1:7171"
)]
pub struct NotLoopback {
    /// The address, as the operator gave it.
    pub listen: SocketAddr,
}

impl Identity {
    /// Whether callers of a socket bound to `listen` can be told apart.
    ///
    /// # Errors
    /// If `listen` is not a loopback address while loopback is the only identity.
    pub const fn check_listen(self, listen: SocketAddr) -> Result<(), NotLoopback> {
        match self {
            Self::Loopback if listen.ip().is_loopback() => Ok(()),
            Self::Loopback => Err(NotLoopback { listen }),
        }
    }

    /// The customer for whom a request with these `headers` reports.
    ///
    /// # Errors
    /// If it names none, several, or something that is no customer id. The answer never repeats it.
    pub fn customer(self, headers: &HeaderMap) -> Result<CustomerId, Fault> {
        match self {
            Self::Loopback => {
                let mut given = headers.get_all(CUSTOMER_KEY).iter();
                let (first, second) = (given.next(), given.next());
                let Some(value) = first else {
                    return Err(Fault::of(
                        Cause::NoCustomer,
                        "name the customer in the request metadata `usaged-customer`",
                    ));
                };
                let id = value.to_str().ok().filter(|_| second.is_none()).map(CustomerId::new);
                match id {
                    Some(Ok(id)) => Ok(id),
                    Some(Err(_)) | None => Err(Fault::of(
                        Cause::BadCustomer,
                        format!(
                            "the request metadata `usaged-customer` must be given once: {}",
                            CustomerId::RULE
                        ),
                    )),
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CUSTOMER_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_loopback_caller_is_the_customer_it_names() {
        let id = Identity::Loopback.customer(&headers(&[b"acme.example"])).unwrap();
        assert_eq!(id.as_str(), "acme.example");
    }

    #[test]
    fn a_caller_without_one_valid_customer_is_refused_and_not_quoted() {
        let long = [b'a'; 129];
        let cases: [&[&[u8]]; 6] = [&[], &[b""], &[b"no spaces"], &[b"a", b"b"], &[b"\xff\xfe"], &[&long]];
        for values in cases {
            let fault = Identity::Loopback.customer(&headers(values)).unwrap_err();
            let status = fault.status();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(!status.message().contains("no spaces") && !status.message().contains("aaaa"));
        }
    }

    #[test]
    fn only_loopback_addresses_may_be_listened_on() {
        for good in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:7171"] {
            assert_eq!(Identity::Loopback.check_listen(good.parse().unwrap()), Ok(()), "{good}");
        }
        for bad in ["0.0.0.0:0", "192.0.2.1:1", "[::]:1", "[::ffff:127.0.0.1]:1"] {
            let refused = Identity::Loopback.check_listen(bad.parse().unwrap()).unwrap_err();
            assert!(refused.to_string().contains("loopback"), "{bad}");
        }
    }
}
