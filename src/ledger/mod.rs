//! placeholder
mod checkpoint;
mod entry;
mod key;
mod leaf;
pub mod number;
mod parts;
mod proof;
mod tree;
