//! The compiled plan: what one program of one product does, at one level, to every event and field.
//! Made once by the compiler, read by the one pass; flat, so that the pass follows numbers and not texts.

use std::sync::Arc;

use super::NameTable;
use crate::model::{
    Category, EventName, FieldPath, IdentifierClass, LevelName, ProductName, ProgramName, Purposes, Reason,
    RegionName,
};

/// What one program of one product does at one level, in one region, for one accepted dictionary
/// version and one set of purposes.
#[derive(Debug)]
pub struct Plan {
    /// The policy this was compiled from.
    pub policy_version: Arc<str>,
    /// The product.
    pub product: ProductName,
    /// The version of the product's dictionary.
    pub dictionary_version: u32,
    /// The program.
    pub program: ProgramName,
    /// The position of the program in the policy.
    pub program_index: usize,
    /// The level.
    pub level: LevelName,
    /// The position of the level in the ladder; 0 is `none` and has no plan.
    pub rank: u8,
    /// The region overlays that were applied, joined by `-` if they are more than one.
    pub region: Option<RegionName>,
    /// What becomes of the customer's id.
    pub customer: Action,
    /// What becomes of the instance's id.
    pub instance: Action,
    /// What becomes of events, by their index in the product's [`super::EventIndex`].
    pub events: Vec<EventPlan>,
    /// Every field, container and item that events refer to.
    pub fields: Vec<FieldPlan>,
    /// A digest of all of the above but the version of the policy: what was stored under an equal one needs
    /// no second look.
    pub fingerprint: [u8; 8],
}

/// What becomes of an event.
#[derive(Debug)]
pub enum EventPlan {
    /// Not stored.
    Withhold(Reason),
    /// Stored, with what is left of its fields.
    Store {
        /// Its name, as the dictionary spells it.
        name: EventName,
        /// Its fields: the number is an index into [`Plan::fields`].
        fields: NameTable,
        /// The purposes of the fields that the level includes: what the event itself may be used for.
        purposes: Purposes,
        /// Whether some field of it is redacted: then the known identifiers of the request are looked for in it.
        redacts: bool,
    },
}

/// What becomes of a field.
#[derive(Debug)]
pub struct FieldPlan {
    /// Its path, class, category and purposes: what the table of a stored batch says.
    pub spec: FieldSpec,
    /// The type it must have.
    pub shape: Shape,
    /// Bytes of the longest text or bytes value. A longer one is malformed, whatever the level does to the class,
    /// so that a value which a low level stores in some form is there in every form that a higher one stores.
    pub max_bytes: u32,
}

/// What a field is.
#[derive(Debug)]
pub struct FieldSpec {
    /// The path in the dictionary.
    pub path: FieldPath,
    /// The identifier class.
    pub class: IdentifierClass,
    /// The category of data.
    pub category: Category,
    /// The purposes that are left: those of the dictionary and the level, less those switched off. None for
    /// what is not stored: of a record or list of which no part is, nothing is stored, not even that it was there.
    pub purposes: Purposes,
}

/// The type of a field, and what becomes of its value.
#[derive(Debug)]
pub enum Shape {
    /// A value without parts.
    Scalar {
        /// The type it must have.
        kind: Kind,
        /// What becomes of it.
        action: Action,
    },
    /// Named fields, by index into [`Plan::fields`].
    Record(NameTable),
    /// Items that are all alike: an index into [`Plan::fields`].
    List {
        /// The plan of every item.
        item: u32,
    },
    /// Keys that are data, and values that are all alike: indices into [`Plan::fields`].
    Map {
        /// The plan of every key (a scalar text).
        key: u32,
        /// The plan of every value.
        value: u32,
    },
}

/// The type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A whole number.
    Int,
    /// A floating-point number.
    Double,
    /// True or false.
    Bool,
    /// Bytes.
    Bytes,
}

/// What becomes of a scalar.
#[derive(Debug, Clone)]
pub enum Action {
    /// Not stored.
    Withhold(Reason),
    /// As it is, if it has the form that the dictionary declares.
    Keep(Form),
    /// A keyed pseudonym of its canonical form.
    Pseudonym {
        /// The class whose key is used.
        class: IdentifierClass,
        /// Whether the pseudonym changes with the key epoch.
        epoch: super::Epoch,
    },
    /// Coarsened.
    Generalise(super::Generalise),
    /// Kept if it is in the list, else `other`.
    Vocabulary(Arc<NameTable>),
    /// Text in which every identifier that is found is replaced.
    Redact(Arc<Redaction>),
}

/// How text is redacted.
#[derive(Debug)]
pub struct Redaction {
    /// Bytes of the longest text that is taken.
    pub max_bytes: u32,
    /// The bound of what is stored, if there is one: bytes that stay count one each, and what replaces an
    /// identifier counts the same whatever it is, so that a text is cut at the same place at every level.
    pub cut: Option<u32>,
    /// Values that the dictionary lists: one of them is kept as it is.
    pub vocabulary: Option<Arc<NameTable>>,
    /// What replaces an identifier of each class, by [`IdentifierClass::index`]: its pseudonym where the level
    /// makes one (or keeps the class), else a marker.
    pub found: Arc<[Option<super::Epoch>]>,
}

/// The form a kept value must have.
#[derive(Debug, Clone)]
pub enum Form {
    /// Numbers, booleans, and identifiers of a class that the level keeps: text up to so many bytes.
    Any {
        /// The bound.
        max_bytes: u32,
    },
    /// A version: up to 64 of letters, digits and `. - _ +`, with a digit.
    Version,
    /// One of a list, else it is stored as `other`.
    Vocabulary(Arc<NameTable>),
    /// A number, rounded down to a multiple of this width (at least 1).
    Bucket(u64),
}
