//! Levels, classes, treatments and dictionaries: parsed from TOML, proved, compiled into plans and
//! explained. Pure: it is given the texts of files and never reads one.

mod alike;
mod bind;
mod class_use;
mod collection;
mod compile;
mod compiled;
mod decide;
mod dictionary;
mod dictionary_diff;
mod diff;
mod document;
mod explain;
mod field_file;
mod field_path;
mod field_type;
mod fingerprint;
mod handle;
mod name_table;
mod nearest;
mod pair;
mod participation_check;
mod plan;
mod planner;
mod problem;
mod product_file;
mod program;
mod program_file;
mod proof;
mod raw_index;
mod rule_entry;
mod shipped;
mod sight;
mod touched;
mod treatment;

#[cfg(test)]
mod decisions;
#[cfg(test)]
mod diff_tests;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod region_tests;
#[cfg(test)]
mod sample;

pub use bind::{Binding, Bound, Drainable, StoredUnder};
pub use class_use::ClassUse;
pub use collection::{
    Collection, CollectionState, CollectionVersion, EventWish, FieldWish, ProgramWish, Wish,
};
pub use compile::{PolicyFile, compile, compile_with};
pub use compiled::{Overlay, PlanKey, Policy, REGION_JOINT};
pub use decide::{Ask, Decision, ProgramDecision};
pub use dictionary::{Event, EventIndex, EventRef, Field, Product};
pub use dictionary_diff::{DictionaryChange, Part as PolicyPart, StructureChange, dictionaries, structure};
pub use diff::{Change, Chosen, Direction, Spot, Subject, between, diff, since};
pub use explain::{EventExplanation, FieldExplanation};
pub use fingerprint::caps_print;
pub use handle::Handle;
pub use name_table::NameTable;
pub use plan::{Action, EventPlan, FieldPlan, FieldSpec, Form, Kind, Plan, Redaction, Shape};
pub use problem::{Problem, Severity};
pub use program::{Level, Program};
pub use shipped::shipped;
pub use touched::{Tally as TouchedTally, Touched};
pub use treatment::{Epoch, Generalise, Rule, Treatment};
