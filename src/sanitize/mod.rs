//! Borrowed raw in, sanitised out: the wire reader, the one pass, pseudonyms and their keys. Pure,
//! and the only maker of sanitised types.
//!
//! ```text
//! bytes ──Head::read──► head ──Permit::grant──► permit ──sanitize──► SanitizedBatch (0 to n), tally, places
//!          who, what              policy, level            one pass
//! ```

mod batch;
mod builder;
mod detect;
mod encode;
mod explain;
mod filter;
mod hmac;
mod keys;
mod pass;
mod permit;
mod redact;
mod seal;
mod treat;
mod value;
mod walk;

pub mod canonical;
pub mod wire;

pub use batch::{Sanitized, SanitizedBatch, WithheldPlace};
pub use explain::{FieldFate, explain};
pub use filter::{Filtered, filter_purpose};
pub use hmac::HmacKey;
pub use keys::{CustomerSalt, CustomerSecret, KeyError, ProgramKeys, RootKey};
pub use pass::{Scratch, sanitize, withheld};
pub use permit::{Applicant, Permit};
pub use redact::{Finder, Found, find, in_listed_value};
pub use seal::{NONCE_BYTES, SealBroken, SealKey, TAG_BYTES};
