//! The table of what becomes of a stored value: for every form and every action.

use std::sync::Arc;

use super::{Done, Says, Step, step};
use crate::model::{IdentifierClass, Reason};
use crate::policy::{Action, Epoch, Form, Generalise, NameTable, Redaction};
use crate::sanitize::stored::StoredSpec;

const CLASS: IdentifierClass = IdentifierClass::HostName;
const EPOCH: u32 = 7;

fn words() -> Arc<NameTable> {
    Arc::new(NameTable::new([("on", 0)]))
}

fn redaction() -> Action {
    let found = IdentifierClass::ALL.iter().map(|_| None).collect();
    Action::Redact(Arc::new(Redaction { max_bytes: 10, cut: None, vocabulary: None, found }))
}

/// The actions of the columns of [`TABLE`].
fn actions() -> [Action; 11] {
    let pseudonym = |epoch| Action::Pseudonym { class: CLASS, epoch };
    [
        Action::Withhold(Reason::Level),
        pseudonym(Epoch::Rotating),
        pseudonym(Epoch::Stable),
        Action::Generalise(Generalise::LocationRegion),
        Action::Vocabulary(words()),
        redaction(),
        Action::Keep(Form::Any { max_bytes: 256 }),
        Action::Keep(Form::Version),
        Action::Keep(Form::Vocabulary(words())),
        Action::Keep(Form::Bucket(20)),
        Action::Keep(Form::Bucket(30)),
    ]
}

const NO: (Step, Says) = (Step::Drop, Says::Plan);
const STAYS: (Step, Says) = (Step::Same, Says::Stored);
const SAME: (Step, Says) = (Step::Same, Says::Plan);
const TREAT: (Step, Says) = (Step::Treat, Says::Plan);
const ROTATE: (Step, Says) = (Step::Rotate, Says::Plan);
const REDACT: (Step, Says) = (Step::Redact, Says::Plan);
const LIST: (Step, Says) = (Step::List, Says::Stored);

/// What is stored, and what becomes of it under each of the actions.
const TABLE: [(Done, [(Step, Says); 11]); 9] = [
    (Done::Kept, [NO, TREAT, TREAT, TREAT, TREAT, NO, TREAT, TREAT, TREAT, TREAT, TREAT]),
    (Done::Pseudonym(None), [NO, ROTATE, SAME, NO, NO, NO, STAYS, NO, NO, NO, NO]),
    (Done::Pseudonym(Some(7)), [NO, SAME, STAYS, NO, NO, NO, STAYS, NO, NO, NO, NO]),
    (Done::Pseudonym(Some(6)), [NO, STAYS, STAYS, NO, NO, NO, STAYS, NO, NO, NO, NO]),
    (Done::Generalised, [NO, NO, NO, TREAT, NO, NO, STAYS, NO, NO, NO, NO]),
    (Done::Vocabulary, [NO, NO, NO, NO, TREAT, LIST, STAYS, NO, TREAT, NO, NO]),
    (Done::Redacted, [NO, NO, NO, NO, TREAT, REDACT, STAYS, NO, TREAT, NO, NO]),
    (Done::Bucket(10), [NO, NO, NO, NO, NO, NO, STAYS, NO, NO, TREAT, TREAT]),
    (Done::Unknown, [NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO]),
];

/// covers: P6
#[test]
fn what_becomes_of_a_stored_value_is_never_more_than_what_is_stored_or_what_the_plan_allows() {
    for (done, expected) in TABLE {
        for (action, expected) in actions().iter().zip(expected) {
            assert_eq!(step(done, true, action, EPOCH), expected, "{done:?} under {action:?}");
        }
    }
    for action in actions() {
        let says = if matches!(action, Action::Withhold(_)) { Says::Plan } else { Says::Stored };
        assert_eq!(step(Done::Dropped, true, &action, EPOCH), (Step::Drop, says), "{action:?}");
    }
}

#[test]
fn a_pseudonym_of_another_class_goes() {
    for done in [Done::Pseudonym(None), Done::Pseudonym(Some(EPOCH)), Done::Generalised] {
        for action in actions() {
            assert_eq!(step(done, false, &action, EPOCH), NO, "{done:?} under {action:?}");
        }
    }
}

#[test]
fn buckets_that_do_not_fit_into_each_other_go() {
    let to = |width| Action::Keep(Form::Bucket(width));
    for (from, wanted, expected) in [
        (10, 20, TREAT),
        (20, 20, TREAT),
        (20, 10, STAYS),
        (20, 30, NO),
        (7, 1, STAYS),
        (1, 7, TREAT),
        (u64::MAX, u64::MAX, TREAT),
    ] {
        assert_eq!(step(Done::Bucket(from), true, &to(wanted), EPOCH), expected, "{from} to {wanted}");
    }
}

#[test]
fn the_table_of_a_batch_says_what_was_done() {
    let spec = |treatment: &'static str, prefix: &'static str, bucket| StoredSpec {
        class: b"host_name",
        treatment: treatment.as_bytes(),
        prefix: prefix.as_bytes(),
        bucket,
        ..StoredSpec::default()
    };
    for (treatment, prefix, bucket, done) in [
        ("drop", "", 0, Done::Dropped),
        ("keep", "", 0, Done::Kept),
        ("generalise", "", 0, Done::Generalised),
        ("generalise", "", 16, Done::Bucket(16)),
        ("vocabulary", "", 0, Done::Vocabulary),
        ("redact", "", 0, Done::Redacted),
        ("pseudonym", "p1-host_name-s-", 0, Done::Pseudonym(None)),
        ("pseudonym", "p1-host_name-r690-", 0, Done::Pseudonym(Some(690))),
        ("pseudonym", "p1-object_name-s-", 0, Done::Unknown),
        ("pseudonym", "p1-host_name-r-", 0, Done::Unknown),
        ("pseudonym", "p2-host_name-s-", 0, Done::Unknown),
        ("pseudonym", "", 0, Done::Unknown),
        ("encrypt", "", 0, Done::Unknown),
        ("", "", 0, Done::Unknown),
    ] {
        assert_eq!(Done::of(&spec(treatment, prefix, bucket)), done, "{treatment} {prefix}");
    }
    assert_eq!(Done::of_party(b"", IdentifierClass::InstanceId), Done::Kept);
    assert_eq!(Done::of_party(b"p1-instance_id-r3-", IdentifierClass::InstanceId), Done::Pseudonym(Some(3)));
    assert_eq!(Done::of_party(b"p1-instance_id-r3-", IdentifierClass::CustomerId), Done::Unknown);
}
