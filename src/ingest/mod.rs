//! From request to receipt: admission, the one pass, sealing and the store's group commit. What
//! this room answers is durable.

mod changes;
mod explain;
pub mod fair;
#[doc(hidden)]
pub mod fuzzing;
mod intake;
mod meters;
mod plan;
mod prepared;
mod queued;
mod receipt;
mod refusal;
mod stored;
mod sums;
mod told;
mod untold;

pub use crate::sanitize::Rotation;
pub use changes::{Since, changes_since};
pub use explain::{EventShape, Explain, FieldFate, LevelExplanation};
pub use intake::{Intake, Options};
pub use plan::{CollectionPlan, PlanAsk, PlanTtl, Told};
pub use receipt::{Receipt, State};
pub use refusal::Refusal;
pub use stored::{Content, FoundBatch, Opened, Page, WhyStored, find_batch, list_stored};
pub use told::Watched;
