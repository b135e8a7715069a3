//! The collector's own clock, metrics and logs. Payload types never come here: what can be named
//! is a number, a word of a closed list, or something an operator wrote.

mod clock;
mod late;
mod metrics;
mod process;
mod seldom;
mod series;
mod settled;
mod top;
pub mod trace;

pub use ::metrics::{Counter, Histogram};
pub use clock::Clock;
pub use late::write_late;
pub use metrics::{Kind, Metric};
pub use seldom::Seldom;
pub use top::Top;
