//! What `build.rs` makes of `proto/`: messages, clients and typed doors, and the descriptors.

/// The descriptors of every file, with comments: what reflection serves.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/usaged.descriptors.bin"));

/// `usaged.ingest.v1`: the senders' door.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod ingest {
    include!(concat!(env!("OUT_DIR"), "/usaged.ingest.v1.rs"));
}

/// `usaged.drain.v1`: the drainers' door.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod drain {
    pub use crate::grpc::carrier::{DeadLetter, ReceivedBatch};
    include!(concat!(env!("OUT_DIR"), "/usaged.drain.v1.rs"));
}

/// `usaged.admin.v1`: the operators' door.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod admin {
    include!(concat!(env!("OUT_DIR"), "/usaged.admin.v1.rs"));
}
