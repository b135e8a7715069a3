//! The head of a request: everything but the events, and how many events there are. It is read
//! before the events, in whatever order the sender wrote them, because it decides their fate.

use super::Cursor;
use crate::model::{BatchId, Raw, RawText, WireError, WireFault, limits};

/// Level caps of a request: program and level, as the sender wrote them.
pub type LevelCaps<'a> = Vec<(RawText<'a>, RawText<'a>)>;

/// The head of a request, borrowed.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// The id of the batch.
    pub batch_id: BatchId,
    /// The product that reports.
    pub product: RawText<'a>,
    /// The installation that reports; may be empty.
    pub instance: RawText<'a>,
    /// The region of the source; may be empty.
    pub region: RawText<'a>,
    /// What the installation agrees to at most. Allocated only when there are any.
    pub level_caps: LevelCaps<'a>,
    /// The version of the collection plan that the sender holds; may be empty.
    pub plan_version: RawText<'a>,
    /// How many events follow.
    pub events: u32,
}

/// A head that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The bytes are not protobuf.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A field of the head is missing or wrong.
    #[error("{field}: {rule}")]
    Field {
        /// The field of `SubmitRequest`.
        field: &'static str,
        /// What it has to be.
        rule: &'static str,
    },
}

impl<'a> Head<'a> {
    /// Reads the head of `request`.
    ///
    /// # Errors
    /// If the bytes are not protobuf, or a field of the head is missing, repeated beyond its
    /// bound, or too long.
    pub fn read(request: &'a [u8]) -> Result<Self, HeadError> {
        let mut cursor = Cursor::new(request);
        let mut batch_id: &[u8] = &[];
        let mut head = Self {
            batch_id: BatchId::NIL,
            product: Raw::default(),
            instance: Raw::default(),
            region: Raw::default(),
            level_caps: Vec::new(),
            plan_version: Raw::default(),
            events: 0,
        };
        loop {
            let at = cursor.offset();
            let wire = |fault| WireError { fault, offset: Some(at), event: None };
            let Some((number, kind)) = cursor.tag().map_err(wire)? else { break };
            match number {
                1 => batch_id = cursor.expect_bytes(kind).map_err(wire)?,
                2 => head.product = Raw::new(cursor.expect_bytes(kind).map_err(wire)?),
                3 => head.instance = Raw::new(cursor.expect_bytes(kind).map_err(wire)?),
                4 => head.region = Raw::new(cursor.expect_bytes(kind).map_err(wire)?),
                5 => {
                    let cap = cursor.expect_message(kind).and_then(level_cap).map_err(wire)?;
                    head.level_caps.push(cap);
                    if head.level_caps.len() > limits::LEVEL_CAPS {
                        return Err(HeadError::Field { field: "level_caps", rule: "at most 16 are allowed" });
                    }
                }
                6 => {
                    cursor.expect_bytes(kind).map_err(wire)?;
                    head.events = head.events.saturating_add(1);
                }
                7 => head.plan_version = Raw::new(cursor.expect_bytes(kind).map_err(wire)?),
                _ => cursor.skip(kind).map_err(wire)?,
            }
        }
        head.check(batch_id)
    }

    fn check(mut self, batch_id: &[u8]) -> Result<Self, HeadError> {
        let wrong = |field, rule| Err(HeadError::Field { field, rule });
        match BatchId::parse(batch_id) {
            Ok(id) => self.batch_id = id,
            Err(invalid) => return wrong("batch_id", invalid.rule),
        }
        if self.product.is_empty() {
            return wrong("product", "name the product that reports");
        }
        if self.product.len() > limits::NAME_BYTES {
            return wrong("product", "at most 128 bytes are allowed");
        }
        if self.instance.len() > limits::INSTANCE_BYTES {
            return wrong("instance", "at most 256 bytes are allowed");
        }
        if std::str::from_utf8(self.instance.expose()).is_err() {
            return wrong("instance", "must be UTF-8");
        }
        if self.events == 0 {
            return wrong("events", "a batch has at least one event");
        }
        if usize::try_from(self.events).is_ok_and(|n| n > limits::EVENTS) {
            return wrong("events", "at most 10000 are allowed; send several batches");
        }
        Ok(self)
    }
}

fn level_cap(mut cursor: Cursor<'_>) -> Result<(RawText<'_>, RawText<'_>), WireFault> {
    let mut cap = (Raw::default(), Raw::default());
    while let Some((number, kind)) = cursor.tag()? {
        match number {
            1 => cap.0 = Raw::new(cursor.expect_bytes(kind)?),
            2 => cap.1 = Raw::new(cursor.expect_bytes(kind)?),
            _ => cursor.skip(kind)?,
        }
    }
    Ok(cap)
}
