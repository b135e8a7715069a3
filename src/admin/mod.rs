//! The only room that knows HTTP: whether the collector lives, whether it is ready, its metrics, and what it
//! would store or has stored, explained. On loopback; the operators' console comes here later.

mod explain;
mod exposition;
mod pages;
mod patient;
mod places;
mod serve;

pub use explain::Explaining;
pub use exposition::{Exposition, InstallError};
pub use pages::{Readiness, pages, scraped_pages};
pub use serve::{Options, serve};
