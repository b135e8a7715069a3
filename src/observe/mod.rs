//! The collector's own clock, metrics and logs. Payload types never come here: what can be named
//! is a number, a word of a closed list, or something an operator wrote.

mod clock;
mod metrics;

pub use clock::Clock;
pub use metrics::{Kind, Metric};
