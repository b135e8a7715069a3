//! Reading `usaged.ingest.v1.SubmitRequest` as borrowed protobuf bytes, without decoding it into
//! owned values: the head first (who, what, how much), then event by event.

mod cursor;
mod events;
mod head;

pub use events::{Fields, Items, ProtoReader};
pub use head::{Head, HeadError, LevelCaps};

pub(super) use cursor::{Cursor, WireType};
