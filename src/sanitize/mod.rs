//! Borrowed raw in, sanitised out: the wire reader, the one pass, pseudonyms and their keys. Pure,
//! and the only maker of sanitised types.
//!
//! ```text
//! bytes ──Head::read──► head ──Permit::grant──► permit ──sanitize──► SanitizedBatch (0 to n), tally, places
//!          who, what              policy, level            one pass
//! ```

mod addresses;
mod batch;
mod builder;
mod compared;
mod copy;
mod counts;
mod detect;
mod encode;
mod erased;
mod erased_marks;
mod explain;
mod filter;
mod hmac;
mod keys;
mod keys_derive;
mod keys_root;
mod live;
mod look_up;
mod lower;
mod lower_counts;
mod lower_fields;
mod lower_step;
mod lower_walk;
mod meant;
mod named;
mod outline;
mod pass;
mod permit;
mod pieces;
mod ratchet;
mod redact;
mod rotation;
mod seal;
mod spelling;
mod stored;
mod strike;
mod strike_find;
mod strike_marks;
mod suppress;
mod treat;
mod value;
mod walk;
mod written;

pub mod canonical;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod wire;

pub use batch::{Sanitized, SanitizedBatch, WithheldPlace};
pub use counts::count_fields;
pub use erased::{Erased, Sought};
pub use explain::{FieldFate, explain};
pub use filter::{Filtered, filter_purpose};
pub use hmac::HmacKey;
pub use keys::{CustomerSalt, CustomerSecret, ProgramKeys, pseudonym_text};
pub use keys_root::{DataRoot, KeyError, RootKey, key_id};
pub use live::LiveEpochs;
pub use look_up::{LookUp, LookedUp, Pseudonym};
pub use lower::{LowerTo, Lowered, lower, say_the_same};
pub use lower_counts::{FieldCounts, LowerCounts};
pub use named::{Named, named};
pub use pass::{Scratch, sanitize, withheld};
pub use permit::{Applicant, Permit};
pub use ratchet::{EpochSeed, Ratchet};
pub use redact::{Finder, Found, Hits, find, in_listed_value};
pub use rotation::Rotation;
pub use seal::{NONCE_BYTES, SealBroken, SealKey, TAG_BYTES};
pub use strike::{Strike, StrikeError, Struck, StruckFrom, strike};
pub use suppress::Suppressions;
pub use written::written;
