//! Raw values, borrowed from the request. They have no `Display`, no `Serialize` and a `Debug`
//! that hides them: the only way to the bytes is [`Raw::expose`], which the tidy test allows in
//! `sanitize` and nowhere else.

/// Bytes as a sender wrote them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Raw<'a>(&'a [u8]);

/// Raw bytes that are meant to be text; UTF-8 is checked where the text is used.
pub type RawText<'a> = Raw<'a>;
/// Raw bytes that are bytes.
pub type RawBytes<'a> = Raw<'a>;

impl<'a> Raw<'a> {
    /// Marks `bytes` as raw.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The bytes themselves. Only `sanitize`, and the door that hands a sender back its own
    /// names, may call this.
    #[must_use]
    pub const fn expose(self) -> &'a [u8] {
        self.0
    }
}

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

/// What is wrong with the bytes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// The bytes end in the middle of a value.
    #[error("the bytes end in the middle of a value")]
    Truncated,
    /// A number runs over ten bytes.
    #[error("a varint is longer than ten bytes")]
    Varint,
    /// A field number or wire type that protobuf does not have.
    #[error("a tag is not valid protobuf")]
    Tag,
    /// A field of this schema has another wire type than the schema says.
    #[error("a field has the wrong wire type")]
    WireType,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// Records, lists and maps are nested too deep.
    #[error("nesting is deeper than 8")]
    Depth,
    /// Too many fields in one event.
    #[error("an event has more than 256 fields")]
    Fields,
    /// Too many events in one batch.
    #[error("a batch has more than 10000 events")]
    Events,
    /// A value is too long.
    #[error("a value is longer than 64 KiB")]
    ValueLength,
}

/// A request that could not be read, with the place: never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault}{}{}",
    offset.map(|at| format!(", at byte {at}")).unwrap_or_default(),
    event.map(|n| format!(", in events[{n}]")).unwrap_or_default())]
pub struct WireError {
    /// What is wrong.
    pub fault: WireFault,
    /// The offset in the request, in bytes, where it is known.
    pub offset: Option<usize>,
    /// The event it is in, counted from 0.
    pub event: Option<u32>,
}

/// One event, borrowed.
#[derive(Debug, Clone)]
pub struct RawEvent<'a, F> {
    /// Its name.
    pub name: RawText<'a>,
    /// When it happened, in milliseconds since the epoch, if the sender said so.
    pub time_ms: Option<i64>,
    /// The highest level it needs; empty if not said.
    pub needed_level: RawText<'a>,
    /// Its fields.
    pub fields: F,
}

/// A value, borrowed.
#[derive(Debug, Clone)]
pub enum RawValue<'a, F: RawFields<'a>> {
    /// No kind is set.
    Empty,
    /// Text.
    Text(RawText<'a>),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(RawBytes<'a>),
    /// Named values.
    Record(F),
    /// Values in order.
    List(F::Items),
}

/// Reads the events of one request. The formats (usaged's own, later OTLP) implement this.
pub trait WireReader<'a> {
    /// The fields of an event or record.
    type Fields: RawFields<'a>;

    /// The next event, or `None` after the last.
    ///
    /// # Errors
    /// If the bytes are not what the format says, or pass a bound.
    fn next_event(&mut self) -> Result<Option<RawEvent<'a, Self::Fields>>, WireError>;
}

/// Reads named values.
pub trait RawFields<'a>: Sized + Clone + std::fmt::Debug {
    /// The items of a list.
    type Items: RawItems<'a, Fields = Self>;

    /// The next name and value, or `None` after the last.
    ///
    /// # Errors
    /// If the bytes are not what the format says.
    fn next_field(&mut self) -> Result<Option<(RawText<'a>, RawValue<'a, Self>)>, WireError>;
}

/// Reads values in order.
pub trait RawItems<'a>: Sized + Clone + std::fmt::Debug {
    /// The fields of records among the items.
    type Fields: RawFields<'a, Items = Self>;

    /// The next value, or `None` after the last.
    ///
    /// # Errors
    /// If the bytes are not what the format says.
    fn next_item(&mut self) -> Result<Option<RawValue<'a, Self::Fields>>, WireError>;
}
