//! The nouns: ids, bounded text, raw borrowed views, outcomes. Pure: no I/O, no clock, no other room.

mod class;
mod counts;
mod id;
mod outcome;
mod participation;
mod raw;
mod subscription;
mod time;

pub mod limits;

pub use class::{Category, IdentifierClass, Purpose, Purposes, UnknownWord};
pub use counts::{ClassCounts, ClassTally, Handling};
pub use id::{
    BatchId, CommitNumber, CustomerId, CustomerKey, ErasureId, EventName, FieldPath, InvalidId, LevelName,
    ProductName, ProgramName, RegionName, SubscriptionName,
};
pub use outcome::{Fate, Reason, Tally};
pub use participation::{Change, Delivery, Participation, ProductLevel, Under};
pub use raw::{
    Raw, RawBytes, RawEvent, RawFields, RawItems, RawText, RawValue, WireError, WireFault, WireReader,
};
pub use subscription::Subscription;
pub use time::UnixMillis;
