//! The types of fields: their words in files, and which identifier classes each can hold.

use super::Kind;
use crate::model::IdentifierClass;

/// The words for types in files, and what they mean.
pub(super) const TYPES: [(&str, Kind); 5] = [
    ("string", Kind::Text),
    ("int", Kind::Int),
    ("double", Kind::Double),
    ("bool", Kind::Bool),
    ("bytes", Kind::Bytes),
];

/// The word for a type in files.
pub(super) fn type_word(kind: Kind) -> &'static str {
    TYPES.iter().find(|(_, k)| *k == kind).map_or("", |(word, _)| word)
}

/// The types that a value of a class can have.
pub(super) const fn kinds(class: IdentifierClass) -> &'static [Kind] {
    use IdentifierClass as Class;
    match class {
        Class::NotIdentifying => &[Kind::Text, Kind::Int, Kind::Double, Kind::Bool],
        Class::CustomerContent | Class::Secret => {
            &[Kind::Text, Kind::Int, Kind::Double, Kind::Bool, Kind::Bytes]
        }
        // Many systems number these, and some send the 16 bytes of a UUID.
        Class::InstanceId | Class::ClusterId | Class::VmId | Class::DeviceId | Class::BrowserId => {
            &[Kind::Text, Kind::Int, Kind::Bytes]
        }
        Class::CustomerId | Class::EntitlementId | Class::SerialNumber | Class::PixelId | Class::UserId => {
            &[Kind::Text, Kind::Int]
        }
        Class::IpAddress | Class::MacAddress | Class::BiosUuid | Class::AdvertisingId => {
            &[Kind::Text, Kind::Bytes]
        }
        Class::LicenceKey
        | Class::HostName
        | Class::ObjectName
        | Class::Cookie
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
        | Class::CrashText => &[Kind::Text],
    }
}
