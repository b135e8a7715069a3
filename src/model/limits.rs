//! Bounds on everything that a sender can make large. Each is part of the API's contract (`proto/`).

/// Bytes of one request, compressed or not. Larger ones are refused before they are read.
pub const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Events in one batch.
pub const EVENTS: usize = 10_000;
/// Fields of one event, nested ones, list items and map pairs counted.
pub const FIELDS_PER_EVENT: usize = 256;
/// Records, lists and maps inside each other.
pub const DEPTH: usize = 8;
/// Bytes of one text or bytes value.
pub const VALUE_BYTES: usize = 64 * 1024;
/// Bytes of one name of an event or field.
pub const NAME_BYTES: usize = 128;
/// Bytes of the instance id of a request.
pub const INSTANCE_BYTES: usize = 256;
/// Level caps in one request.
pub const LEVEL_CAPS: usize = 16;
/// Places that a receipt names.
pub const WITHHELD_PLACES: usize = 32;
/// How far ahead of the collector's clock an event may be, in milliseconds: one hour.
pub const CLOCK_AHEAD_MS: i64 = 3_600_000;
/// How old an event may be, in milliseconds: 31 days, a spool that was offline for a month.
pub const CLOCK_BEHIND_MS: i64 = 31 * 24 * 3_600_000;
/// Programs in one policy. A batch becomes at most one stored record for each.
pub const PROGRAMS: usize = 8;
