//! `usaged`: a usage-data collector daemon. What a customer has not agreed to is never stored,
//! logged or exported.
//!
//! The folders of `src/` are rooms with one-way doors; ARCHITECTURE.md is the map, and
//! `tests/it/architecture.rs` holds the doors shut.

pub mod admin;
pub mod amend;
pub mod backup;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod drain;
pub mod grpc;
pub mod identity;
pub mod ingest;
pub mod ledger;
pub mod model;
pub mod observe;
pub mod policy;
pub mod sanitize;
pub mod store;
