//! The text forms of events, batches and explanations: what a person types and reads, on the command line and on the
//! admin port.

pub mod batch;
pub mod event;
pub mod explained;
