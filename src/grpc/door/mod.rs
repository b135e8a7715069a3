//! The door: connections and requests, with a bound on each, before anything is read or decided.
//! tonic's own server leaves most of these open (RELIABILITY, "The door"), so the loop is ours and
//! only `Routes` is tonic's.

mod accept;
mod anyone;
mod begun;
mod budget;
mod connection;
mod finish;
mod frames;
mod guarded;
mod heart;
#[cfg(test)]
mod inside;
mod method;
mod options;
mod peer;
mod peers;
mod slots;
mod socket;
mod standing;
mod strangers;
mod turns;
mod unread;
mod watch;

pub use accept::{Ended, serve, serve_guarded};
pub use budget::{Budget, Reservation, Share};
pub use connection::Caller;
pub use heart::Heart;
#[cfg(test)]
pub(crate) use inside::Inside;
pub use options::Options;
pub(crate) use peer::Peer;
pub use watch::Held;
