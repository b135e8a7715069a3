//! Compressed messages: which ways are known, how large a message says it is, and expanding it into
//! exactly so much memory. Nothing is expanded before its size is known and was paid for, and nothing
//! is written beyond it: a bomb costs at most what it admits to, and that has a bound.

mod gzip;
pub mod outgoing;
mod zstd_frame;

use http::{HeaderMap, HeaderValue};

use super::status::{Cause, Fault};
use crate::model::limits;

/// The header that names how the messages of a request are compressed.
pub const ENCODING: &str = "grpc-encoding";

/// The header that tells which ways are known.
pub const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The ways that are known, as the header lists them.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// How many times its size a message may become ...
const RATIO: usize = 200;

/// ... beyond so many bytes. Batches of a few hundred events that say the same stay below it.
const FREE: usize = 256 * 1024;

/// How the messages of a request are compressed, those that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, one member.
    Gzip,
    /// RFC 8878, one frame without a dictionary.
    Zstd,
}

/// Why a message is not expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// It is not what the header says, or not whole.
    Broken,
    /// It becomes more than a request may have.
    TooLarge,
    /// It becomes so many times its size that no sender of events made it.
    Ratio,
}

impl Encoding {
    /// The name in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The way that a request with these `headers` uses; `None` if none.
    ///
    /// # Errors
    /// If it is none that is known. The answer lists those that are, and never repeats it.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        let Some(name) = headers.get(ENCODING) else { return Ok(None) };
        match name.as_bytes() {
            b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            _ => Err(Fault::of(
                Cause::UnknownCompression,
                "requests may be compressed by gzip or zstd, or not at all (identity)",
            )),
        }
    }

    /// Bytes that `message` needs when it is expanded: what it says of itself, within the bounds.
    ///
    /// # Errors
    /// If it does not say, or says too much. Nothing was expanded.
    pub fn size(self, message: &[u8]) -> Result<usize, Bad> {
        let size = match self {
            Self::Gzip => gzip::size(message),
            Self::Zstd => zstd_frame::size(message),
        };
        let size = size.ok_or(Bad::Broken)?;
        if size > FREE && size > message.len().saturating_mul(RATIO) {
            return Err(Bad::Ratio);
        }
        if size > limits::REQUEST_BYTES {
            return Err(Bad::TooLarge);
        }
        Ok(size)
    }

    /// Expands `message` into at most `size` bytes, which [`Encoding::size`] told.
    ///
    /// # Errors
    /// If it is broken, or becomes more than it said.
    pub fn expand(self, message: &[u8], size: usize) -> Result<Vec<u8>, Bad> {
        let expanded = match self {
            Self::Gzip => gzip::expand(message, size),
            Self::Zstd => zstd_frame::expand(message, size),
        };
        let mut expanded = expanded.ok_or(Bad::Broken)?;
        // A message that does not say its size exactly got too much.
        if expanded.len() < size / 2 {
            expanded.shrink_to_fit();
        }
        Ok(expanded)
    }

    /// Compresses `message`, quickly rather than well.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn compress(self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip => gzip::compress(message),
            Self::Zstd => zstd_frame::compress(message),
        }
    }
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Broken => Self::of(
                Cause::Malformed,
                "a message is not one whole gzip member or zstd frame, as its header says",
            ),
            Bad::TooLarge => {
                Self::of(Cause::TooLarge, "a request is at most 4 MiB when expanded; send several batches")
            }
            Bad::Ratio => Self::of(
                Cause::TooLarge,
                "a compressed request becomes at most 200 times its size; send it uncompressed, or in several batches",
            ),
        }
    }
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
