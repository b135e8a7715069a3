//! Who is calling, decided before a request's body is read. Without identities only loopback callers are
//! served and each names its customer; with them the customer comes from the identity, and what the table of
//! grants does not allow is refused.
//!
//! - `gate`: what is asked of a request, and of a connection
//! - `access`: what a call may do, also later, while it runs
//! - `authority`: who a certificate or a token proves somebody to be
//! - `narrowing`: what is taken away from that while files are refused
//! - `awaited`: keys of an identity provider that are not here, and may come
//! - `tokens`: the bearer tokens in the store
//! - `tls`: certificates, keys, CAs and revocation lists, checked whole
//! - `revocation`: whether revocation lists are those of the CAs that clients come from
//! - `provider`: the keys of an identity provider, fetched

mod access;
mod authority;
mod awaited;
mod certificate;
mod gate;
mod narrowing;
mod provider;
mod refused;
mod revocation;
mod seen;
mod tls;
mod tokens;

use std::net::SocketAddr;

pub use access::Access;
pub use authority::{Authority, Standing};
pub use awaited::KeyFetch;
pub use gate::{Gate, Visitor};
pub use narrowing::{ClientNarrowing, Narrowing};
pub(in crate::grpc) use provider::roots;
pub use provider::{FetchError, Provider};
pub use tls::{TlsError, TlsMaterial, TlsTexts, build as build_tls};
pub use tokens::{NewToken, Tokens};

/// The metadata key in which a caller names its customer.
pub const CUSTOMER_KEY: &str = "usaged-customer";

/// An address that may not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refused to listen on {listen}: it can be reached from outside this machine, and callers would not be \
     authenticated; set [tls] and [identity], or listen on a loopback address such as 127.0.0.1:7171"
)]
pub struct NotLoopback {
    /// The address, as the operator gave it.
    pub listen: SocketAddr,
}

impl NotLoopback {
    /// Whether callers of a socket bound to `listen` can be told apart, if they prove nothing.
    ///
    /// # Errors
    /// If `listen` can be reached from other machines.
    pub const fn check(listen: SocketAddr) -> Result<(), Self> {
        if listen.ip().is_loopback() { Ok(()) } else { Err(Self { listen }) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_may_be_listened_on_without_identities() {
        for good in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:7171"] {
            assert_eq!(NotLoopback::check(good.parse().unwrap()), Ok(()), "{good}");
        }
        for bad in ["0.0.0.0:0", "192.0.2.1:1", "[::]:1", "[::ffff:127.0.0.1]:1"] {
            let refused = NotLoopback::check(bad.parse().unwrap()).unwrap_err();
            assert!(refused.to_string().contains("loopback"), "{bad}");
        }
    }
}
