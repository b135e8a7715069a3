//! From request to receipt: admission, the one pass, sealing and the store's group commit. What
//! this room answers is durable.

mod explain;
mod intake;
mod receipt;

pub use crate::sanitize::Rotation;
pub use explain::{Explain, FieldFate, LevelExplanation};
pub use intake::{Intake, Options, Refusal};
pub use receipt::{Receipt, State};
