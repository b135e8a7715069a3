//! The only room that knows HTTP: whether the collector lives, whether it is ready, and its
//! metrics. On loopback; the operators' console comes here later.

mod exposition;
mod pages;
mod serve;

pub use exposition::{Exposition, InstallError};
pub use pages::{Readiness, pages, scraped_pages};
pub use serve::{Options, serve};
