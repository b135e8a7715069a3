//! Brings redacted text down to a stricter level.

use super::item::{self, Item};
use super::writer::Writer;
use super::{Workspace, is_listed, redact};
use crate::policy::{Epoch, Redaction};
use crate::sanitize::ProgramKeys;

/// Appends to `out` what redacting the raw text by `rules` gives, from what redacting it by rules that reveal at
/// least as much had given. Anything that they reveal less of stays as little as it is.
///
/// A stable token becomes the rotating one or a marker; a rotating one stays, or becomes a marker; markers and
/// the rest stay; the text is cut again. Text without an item that is no longer listed is redacted as if it came
/// now, for it may have been listed when it came.
pub(in crate::sanitize) fn lower(rules: &Redaction, keys: &ProgramKeys, stored: &[u8], out: &mut Vec<u8>) {
    if is_listed(rules, stored) {
        out.extend_from_slice(stored);
        return;
    }
    let mut has_item = false;
    let mut writer = Writer::new(out, rules.cut);
    let (mut from, mut at) = (0, 0);
    while let Some(found) = stored.get(at..).and_then(|rest| memchr::memchr2(b'[', b'p', rest)) {
        at += found;
        let item =
            if stored.get(at) == Some(&b'[') { item::marker(stored, at) } else { item::token(stored, at) };
        let Some(item) = item else {
            at += 1;
            continue;
        };
        has_item = true;
        writer.plain(stored.get(from..at).unwrap_or_default());
        let (Item::Marker { end } | Item::Token { end, .. }) = item;
        put(rules, keys, item, stored.get(at..end).unwrap_or_default(), &mut writer);
        (from, at) = (end, end);
    }
    if !has_item {
        let longest = Redaction {
            max_bytes: u32::MAX,
            cut: rules.cut,
            vocabulary: None,
            found: std::sync::Arc::clone(&rules.found),
        };
        // Nothing was written yet. Text that is not UTF-8 was never stored.
        let mut work = Workspace::default();
        if let Ok(text) = redact(&longest, keys, stored, &mut work) {
            out.extend_from_slice(text);
        }
        return;
    }
    writer.plain(stored.get(from..).unwrap_or_default());
}

/// Writes an item as the rules say.
fn put(rules: &Redaction, keys: &ProgramKeys, item: Item, as_it_is: &[u8], writer: &mut Writer<'_>) {
    let (class, epoch, bits) = match item {
        Item::Marker { .. } => return writer.item(|out| out.extend_from_slice(as_it_is)),
        Item::Token { class, epoch, bits, .. } => (class, epoch, bits),
    };
    match (rules.found.get(class.index()).copied().flatten(), epoch) {
        (None, _) => writer.item(|out| item::write_marker(class.as_str(), out)),
        (Some(Epoch::Rotating), Epoch::Stable) => {
            writer.item(|out| match keys.rotate(class, &bits) {
                Some(bits) => item::write_token(class, Epoch::Rotating, keys.epoch(), bits, out),
                // Without the key of its epoch there is a marker, and no pseudonym.
                None => item::write_marker(class.as_str(), out),
            });
        }
        (Some(Epoch::Stable), _) | (Some(Epoch::Rotating), Epoch::Rotating) => {
            writer.item(|out| out.extend_from_slice(as_it_is));
        }
    }
}
