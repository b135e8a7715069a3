//! Canonical forms: one spelling for each identifier, so that one thing has one pseudonym however a
//! product writes it; the words for what is not an identifier at all; and the generalisations.
//!
//! | class | canonical form | refused (the field is withheld) |
//! |---|---|---|
//! | MAC address | `00:50:56:ab:cd:ef`; EUI-64 has eight octets | unpadded octets, mixed separators |
//! | IP address | dotted decimal; RFC 5952 without zone; IPv4-mapped is IPv4 | ports, brackets, prefixes, leading zeros in IPv4 |
//! | host name | lower-case A-labels (UTS #46) without the last dot; an IP literal as the IP address | ports, brackets, other ASCII than LDH and `_`, names that end in a number and are no IPv4 |
//! | e-mail | local part in NFC, `@`, domain as a host name | quoted local parts, address literals, display names |
//! | telephone | `+` and digits, or digits | extensions, letters, under 3 or over 15 digits |
//! | BIOS UUID | 8-4-4-4-12 lower case, octets in the order in which they are written | anything else |
//! | instance, cluster, VM, device, browser, cookie, pixel, advertising id | as the BIOS UUID where it is a UUID, else text | |
//! | licence key | upper case without dashes and white space | |
//! | user id | NFC; the domain of `DOMAIN\user` and `user@domain` in lower case | |
//! | location | ISO 3166 code in upper case | anything else |
//! | customer content, secret | | everything |
//! | all others | NFC without outer white space | |
//!
//! What arrives already hashed is an identifier of any class: hexadecimal digests (128 to 512 bits) become
//! lower case, Base64 ones stay as they are. Two exceptions keep one value at one form: 32 hexadecimal
//! digits in a UUID class are a UUID, and an unpadded Base64 digest in a host name that could be a
//! host name is folded like one. UUIDs are not put in another byte order: versions of SMBIOS
//! disagree about the first three groups, and nothing in a text says which was meant.

mod account;
mod bytes;
#[cfg(test)]
mod checks;
mod digest;
mod email;
mod generalise;
mod hex;
mod host;
mod hour;
mod ip;
mod known;
mod licence;
mod mac;
mod number;
mod origin;
mod phone;
mod place;
#[cfg(test)]
mod properties;
mod text;
mod unique;

use zeroize::Zeroize;

use crate::model::IdentifierClass;

pub use bytes::{canonical_bytes, canonical_int};
pub use generalise::{generalise, generalise_bytes};
pub(in crate::sanitize) use ip::tells_mac;
pub use known::{WORDS, known_word};
pub use number::{generalise_double, generalise_number};
pub(in crate::sanitize) use phone::without_extension;

/// A value in its canonical form. `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Canonical<'s> {
    /// An identifier: the bytes that a pseudonym is made of.
    Identifier(&'s [u8]),
    /// Not an identifier: one of [`WORDS`], which is stored in its place.
    Known(&'static str),
    /// Not of the form that its class has. Nothing may be stored.
    Malformed,
}

impl std::fmt::Debug for Canonical<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identifier(bytes) => write!(f, "Identifier({} bytes)", bytes.len()),
            Self::Known(word) => write!(f, "Known({word})"),
            Self::Malformed => f.write_str("Malformed"),
        }
    }
}

/// Buffers that are used again for every value, so that none is allocated per value. Zeroed when
/// dropped, and when they move to grow.
pub struct Scratch {
    out: Vec<u8>,
}

impl Scratch {
    /// Room for every value of ordinary length.
    const BYTES: usize = 1024;
    /// NFC makes at most three bytes of one; the rest is for what forms add (`urn:`, `/48`, `xn--`).
    const GROWTH: usize = 3;
    const MARGIN: usize = 64;

    /// An empty buffer with room for the forms of a value of `len` bytes.
    #[inline]
    fn for_value(&mut self, len: usize) -> &mut Vec<u8> {
        let room = len.saturating_mul(Self::GROWTH).saturating_add(Self::MARGIN);
        if self.out.capacity() < room {
            self.out.zeroize();
            self.out = Vec::with_capacity(room);
        }
        self.out.clear();
        &mut self.out
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self { out: Vec::with_capacity(Self::BYTES) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.out.zeroize();
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch(..)")
    }
}

/// Where a canonical form is.
#[derive(Clone, Copy)]
enum Found<'t> {
    /// Part of what was given.
    AsIs(&'t [u8]),
    /// In the buffer.
    Written,
    /// Not an identifier.
    Known(&'static str),
    /// Not of the class.
    Malformed,
}

impl<'t> Found<'t> {
    #[inline]
    fn in_buffer(self, out: &'t [u8]) -> Canonical<'t> {
        match self {
            Self::AsIs(bytes) => Canonical::Identifier(bytes),
            Self::Written => Canonical::Identifier(out),
            Self::Known(word) => Canonical::Known(word),
            Self::Malformed => Canonical::Malformed,
        }
    }
}

/// The canonical form of a text value of a class. The form of a form is that form.
///
/// Does not allocate for ASCII; text that is not UTF-8 is malformed.
#[inline]
pub fn canonical<'s>(class: IdentifierClass, text: &'s [u8], scratch: &'s mut Scratch) -> Canonical<'s> {
    match std::str::from_utf8(text) {
        Ok(text) => canonical_str(class, text, scratch),
        Err(_) => Canonical::Malformed,
    }
}

/// [`canonical`] for text that is known to be UTF-8.
#[inline]
pub fn canonical_str<'s>(class: IdentifierClass, text: &'s str, scratch: &'s mut Scratch) -> Canonical<'s> {
    let out = scratch.for_value(text.len());
    let found = of_class(class, text::trim(text), out);
    found.in_buffer(out)
}

#[inline]
fn of_class<'t>(class: IdentifierClass, text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    use IdentifierClass as Class;
    if text.is_empty() && !class.is_forbidden() {
        return Found::Known(known::EMPTY);
    }
    match class {
        Class::HostName => host::canonical(text, out),
        Class::IpAddress => ip::canonical(text, out),
        Class::MacAddress => mac::canonical(text, out),
        Class::Email => email::canonical(text, out),
        Class::Phone => phone::canonical(text, out),
        Class::LicenceKey => licence::canonical(text, out),
        Class::BiosUuid => unique::canonical_uuid(text, out),
        Class::InstanceId
        | Class::ClusterId
        | Class::VmId
        | Class::DeviceId
        | Class::BrowserId
        | Class::Cookie
        | Class::PixelId
        | Class::AdvertisingId => unique::canonical_id(text, out),
        Class::UserId => account::canonical(text, out),
        Class::Location => place::canonical(text, out),
        Class::CustomerContent | Class::Secret => Found::Malformed,
        Class::NotIdentifying
        | Class::CustomerId
        | Class::EntitlementId
        | Class::ObjectName
        | Class::SerialNumber
        | Class::PersonName
        | Class::PostalAddress
        | Class::Url
        | Class::FilePath
        | Class::Query
        | Class::Argument
        | Class::FreeText
        | Class::ProductLog
        | Class::CrashText => text::canonical(text, out),
    }
}
