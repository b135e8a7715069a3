//! What counts as one peer.

use std::net::IpAddr;

/// An IPv4 address or an IPv6 /64, which is what one host commonly has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Peer {
    /// An address.
    V4([u8; 4]),
    /// The first 64 bits of one.
    V6([u16; 4]),
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}
