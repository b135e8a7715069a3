//! Tests: what gathering a request costs, and that it gathers the same whether values come once or often.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{REMEMBERED, Visited, gather};
use crate::model::{CustomerId, CustomerKey, IdentifierClass as Class, Participation, RawText, UnixMillis};
use crate::policy::{compile, shipped};
use crate::sanitize::canonical::Scratch;
use crate::sanitize::detect::{Folded, work};
use crate::sanitize::redact::known::Known;
use crate::sanitize::wire::{Head, ProtoReader};
use crate::sanitize::{Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, encode};

/// A request of one event for each path, that of a dump of a desktop's agent.
fn request<'p>(paths: impl Iterator<Item = &'p str>) -> Vec<u8> {
    let mut out = Vec::new();
    encode::text_field(&mut out, 1, "0190a3c2-7b1e-7c55-9d2f-0123456789ab");
    encode::text_field(&mut out, 2, "horizon");
    for path in paths {
        let [mut value, mut field, mut event] = [Vec::new(), Vec::new(), Vec::new()];
        encode::text_field(&mut value, 1, path);
        encode::text_field(&mut field, 1, "dump");
        encode::bytes_field(&mut field, 2, &value);
        encode::text_field(&mut event, 1, "agent.crash");
        encode::bytes_field(&mut event, 4, &field);
        encode::bytes_field(&mut out, 6, &event);
    }
    out
}

/// What is known of a request, and how many bytes detectors looked at for that.
fn gathered<'p>(paths: impl Iterator<Item = &'p str>) -> (Known, u64) {
    let request = request(paths);
    // A head has no more events than a request may have.
    let head = self::request(std::iter::once("/x"));
    let head = Head::read(&head).unwrap();
    let ratchet = Ratchet::new(0, [6; 32]);
    let secret =
        CustomerSecret::derive(&DataRoot::new([5; 32]), &CustomerSalt::new([7; 32]), ratchet, CustomerKey(1));
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    participation.levels.insert("ceip".parse().unwrap(), "enhanced".parse().unwrap());
    participation.accepted_dictionaries.insert("horizon".parse().unwrap(), 2);
    let applicant = Applicant {
        participation: &participation,
        secret: &Arc::new(secret),
        caps: &BTreeMap::new(),
        received: UnixMillis(1_800_000_000_000),
        epoch: 0,
        suppressed: None,
    };
    let permit = Permit::grant(Arc::new(compile(&shipped()).unwrap().0), &applicant, &head);
    let known = permit.event(RawText::new(b"agent.crash")).unwrap();
    let plan = permit.plan(permit.plan_key(known.program, RawText::default()).unwrap());
    let (mut known, mut folded, mut scratch) = (Known::default(), Folded::default(), Scratch::default());
    let mut visited = Visited::default();
    let looked = work::of(|| {
        let buffers = (&mut known, &mut folded, &mut scratch, &mut visited);
        gather(&permit, &plan, b"vc-01", &ProtoReader::new(&request), buffers).unwrap();
    });
    (known, looked)
}

fn class_of(known: &Known, text: &str) -> Option<Class> {
    let (end, number) = known.longest(text.as_bytes(), 0)?;
    known.get(number).map(|(class, _)| class).filter(|_| end == text.len())
}

// covers: B1
#[test]
fn a_path_that_comes_with_every_event_is_looked_through_once() {
    let path = "/home/jdoe/dumps/a-longer-path-of-a-dump.bin";
    let (known, once) = gathered([path].into_iter());
    let (again, often) = gathered(std::iter::repeat_n(path, 500));
    assert_eq!(class_of(&known, "jdoe"), Some(Class::UserId));
    assert_eq!(class_of(&again, "jdoe"), Some(Class::UserId));
    assert!(once > 0 && once == often, "{once} for one event, {often} for 500");
    // Other ones are looked through, too.
    let (known, two) = gathered([path, "/home/jroe/x"].into_iter().cycle().take(500));
    assert_eq!(class_of(&known, "jroe"), Some(Class::UserId));
    assert!(two > once && two < once * 3, "{two} after {once}");
}

// covers: P1
#[test]
fn the_names_of_more_paths_than_are_remembered_are_found_too() {
    let paths: Vec<_> = (0..REMEMBERED + 10).map(|at| format!("/x/{at}")).collect();
    let last = ["/home/jdoe/x", "/x/1", "/home/jroe/x"];
    let (known, _) = gathered(paths.iter().map(String::as_str).chain(last));
    for name in ["jdoe", "jroe"] {
        assert_eq!(class_of(&known, name), Some(Class::UserId), "{name}");
    }
}
