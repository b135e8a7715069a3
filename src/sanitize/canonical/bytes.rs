//! Values that are not text: bytes and whole numbers.

use std::net::IpAddr;

use super::hex::push_hex;
use super::{Canonical, Found, Scratch, digest, ip, known, mac, of_class, text, unique};
use crate::model::IdentifierClass;

/// The canonical form of a bytes value of a class, the same as that of the value's text form.
///
/// Six or eight bytes are a MAC address, four or sixteen an IP address, sixteen a UUID where UUIDs are
/// at home. Other bytes that are printable UTF-8 are taken as [`super::canonical`] takes text. What is left is
/// hashed already (then it is as its hexadecimal form) or, in classes without a form, the bytes as such.
pub fn canonical_bytes<'s>(
    class: IdentifierClass,
    bytes: &'s [u8],
    scratch: &'s mut Scratch,
) -> Canonical<'s> {
    let out = scratch.for_value(bytes.len());
    let found = of_bytes(class, bytes, out);
    found.in_buffer(out)
}

fn of_bytes<'t>(class: IdentifierClass, bytes: &'t [u8], out: &mut Vec<u8>) -> Found<'t> {
    if class.is_forbidden() {
        return Found::Malformed;
    }
    if let Some(found) = of_form(class, bytes, out) {
        return found;
    }
    if !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0) {
        return Found::Known(known::ZERO);
    }
    if let Some(text) = printable(bytes) {
        return of_class(class, text::trim(text), out);
    }
    match bytes {
        bytes if bytes.iter().all(|byte| *byte == 0xff) => Found::Known(known::ONES),
        bytes if digest::is_raw_len(bytes.len()) => {
            for byte in bytes {
                push_hex(*byte, out);
            }
            Found::Written
        }
        _ if has_form(class) => Found::Malformed,
        bytes => Found::AsIs(bytes),
    }
}

/// The value, if its bytes are of the binary form of its class.
fn of_form(class: IdentifierClass, bytes: &[u8], out: &mut Vec<u8>) -> Option<Found<'static>> {
    use IdentifierClass as Class;
    match class {
        Class::MacAddress => {
            let address = mac::Octets::from_bytes(bytes)?;
            if let Some(word) = address.known() {
                return Some(Found::Known(word));
            }
            mac::Octets::write(address.octets(), out);
            Some(Found::Written)
        }
        Class::IpAddress => address(bytes).map(|address| ip::written(address, out)),
        // Wherever a text can be a UUID, so can bytes: who asks for it to be erased writes it as text.
        Class::InstanceId
        | Class::ClusterId
        | Class::VmId
        | Class::DeviceId
        | Class::BiosUuid
        | Class::BrowserId
        | Class::Cookie
        | Class::PixelId
        | Class::AdvertisingId => {
            let octets = <[u8; 16]>::try_from(bytes).ok()?;
            Some(match unique::Octets::new(octets).found(bytes, out) {
                Found::Known(word) => Found::Known(word),
                Found::Written | Found::AsIs(_) => Found::Written,
                Found::Malformed => Found::Malformed,
            })
        }
        Class::NotIdentifying
        | Class::CustomerId
        | Class::EntitlementId
        | Class::LicenceKey
        | Class::HostName
        | Class::ObjectName
        | Class::SerialNumber
        | Class::UserId
        | Class::PersonName
        | Class::Email
        | Class::Phone
        | Class::PostalAddress
        | Class::Location
        | Class::Url
        | Class::FilePath
        | Class::Query
        | Class::Argument
        | Class::FreeText
        | Class::ProductLog
        | Class::CrashText
        | Class::CustomerContent
        | Class::Secret => None,
    }
}

/// The address in four or sixteen bytes.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)).map(|address| address.to_canonical())
}

/// The bytes as text, if they read like text.
pub(super) fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text::trim(text).chars().any(char::is_control)).then_some(text)
}

/// Whether a value of the class has to have a form.
const fn has_form(class: IdentifierClass) -> bool {
    matches!(
        class,
        IdentifierClass::HostName
            | IdentifierClass::IpAddress
            | IdentifierClass::MacAddress
            | IdentifierClass::Email
            | IdentifierClass::Phone
            | IdentifierClass::BiosUuid
            | IdentifierClass::Location
    )
}

/// The canonical form of a whole number of a class: its decimal text. Classes with a form of their own,
/// telephone numbers apart, have no numbers.
pub fn canonical_int(class: IdentifierClass, value: i64, scratch: &mut Scratch) -> Canonical<'_> {
    let is_phone = class == IdentifierClass::Phone;
    if class.is_forbidden() || (has_form(class) && !is_phone) {
        return Canonical::Malformed;
    }
    if value == 0 {
        return Canonical::Known(known::ZERO);
    }
    if is_phone && !(100..1_000_000_000_000_000).contains(&value) {
        return Canonical::Malformed;
    }
    let out = scratch.for_value(0);
    if class == IdentifierClass::LicenceKey {
        // A dash says nothing in a licence key.
        text::push_display(value.unsigned_abs(), out);
    } else {
        text::push_display(value, out);
    }
    Canonical::Identifier(out)
}
