//! What is kept of an erasure, when the identifier is forgotten.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::model::CustomerKey;
use crate::sanitize::{CustomerSalt, DataRoot, Ratchet};

fn secret(salt: u8) -> Arc<CustomerSecret> {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([salt; 32]));
    Arc::new(CustomerSecret::derive(&root, &salt, Ratchet::new(3, [6; 32]), CustomerKey(1)))
}

fn programs() -> [ProgramName; 2] {
    ["ceip", "operational"].map(|name| ProgramName::new(name).unwrap())
}

/// Forgotten, and looked for again; and what it was looked for by when it was not.
fn forgotten(secret: &Arc<CustomerSecret>) -> (Erased, Vec<[u8; 16]>) {
    let programs = programs();
    let value = RawText::new(b"esx01.corp.example.com");
    let epochs = LiveEpochs::new(secret.ratchet(), 4, []);
    let sought = Sought { class: IdentifierClass::HostName, value, programs: &programs, epochs: &epochs };
    let times = (UnixMillis(1), UnixMillis(2));
    let mut erased =
        Erased::identifier(&sought, secret, [[1; NONCE_BYTES], [2; NONCE_BYTES]], times).unwrap();
    let looked_for = erased.strike(secret).unwrap().tokens().to_vec();
    erased.rewritten();
    (erased, looked_for)
}

/// Of each of two programs, the classes that the head of a batch says.
const PARTIES: usize = 4;

// covers: P4, P8
#[test]
fn which_rotating_pseudonyms_are_of_one_value_is_kept_sealed_and_found_again() {
    let secret = secret(7);
    let (erased, looked_for) = forgotten(&secret);
    // Of two programs the stable one and one of each of two epochs; and what text can take it for: classes of identifiers,
    // and of those that the head of a batch says only what is looked for.
    assert_eq!(looked_for.len(), 3 * (erased.tokens.len() + PARTIES), "{}", erased.tokens.len());
    assert!(erased.tokens.iter().filter(|(class, _)| *class == IdentifierClass::HostName).count() == 2);
    let row = erased.encode();
    assert!(row.len() < 24 * looked_for.len() + 16 * erased.tokens.len() + 1_000, "{} bytes", row.len());
    let mut read_by_anybody = 0;
    for token in &looked_for {
        let is_stable = erased.tokens.iter().any(|(_, stable)| stable == token);
        assert_eq!(memchr::memmem::find(&row, token).is_some(), is_stable);
        read_by_anybody += usize::from(is_stable);
    }
    assert_eq!(read_by_anybody, erased.tokens.len(), "those that late arrivals are withheld by");

    let again = Erased::decode(&erased.encode()).unwrap().strike(&secret).unwrap();
    let found: std::collections::BTreeSet<_> = again.tokens().iter().collect();
    assert_eq!(found, looked_for.iter().collect());
    assert!(erased.strike(&self::secret(8)).is_err(), "without the customer's salt nobody opens it");
}

// covers: B1
#[test]
fn of_an_erasure_that_is_done_little_is_at_hand_and_of_one_under_way_all() {
    let secret = secret(7);
    let (erased, looked_for) = forgotten(&secret);
    let small = erased.clone().at_hand();
    assert_eq!((small.until, small.upto), (erased.until, erased.upto));
    assert!(small.encode().len() < 200 && erased.encode().len() > 16 * looked_for.len());
    let mut again = erased;
    again.again(CommitNumber(9));
    assert!(again.clone().at_hand() == again, "an older copy was put back");
}

// covers: P8
#[test]
fn what_was_looked_for_is_looked_for_when_the_keys_of_its_epochs_are_gone() {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    let at = |epoch| Ratchet::new(3, [6; 32]).forward(epoch);
    let secret = |ratchet| Arc::new(CustomerSecret::derive(&root, &salt, ratchet, CustomerKey(1)));
    let bridge = (3, at(3).seed(3).unwrap(), UnixMillis(1));
    let epochs = LiveEpochs::new(&at(5), 6, [bridge]);
    let (programs, value) = (programs(), RawText::new(b"esx01.corp.example.com"));
    let sought = Sought { class: IdentifierClass::HostName, value, programs: &programs, epochs: &epochs };
    let times = (UnixMillis(1), UnixMillis(2));
    let nonces = [[1; NONCE_BYTES], [2; NONCE_BYTES]];
    let erased = Erased::identifier(&sought, &secret(at(5)), nonces, times).unwrap();
    let told: Vec<_> = erased.told(&secret(at(5)), &epochs).into_iter().map(|(_, text)| text).collect();
    for later in [5, 9] {
        let strike = erased.strike(&secret(at(later))).unwrap();
        let before = secret(at(3));
        for program in &programs {
            for epoch in [3, 5, 6] {
                let keys = before.program(program, epoch);
                let how = crate::policy::Epoch::Rotating;
                let token = keys.token(IdentifierClass::HostName, how, value.expose()).unwrap();
                assert!(strike.tokens().contains(&token), "{program} {epoch}");
                let text = pseudonym_text(IdentifierClass::HostName, Some(epoch), &token);
                assert!(told.contains(&text), "{program} {epoch}");
            }
        }
        let each = erased.tokens.len() + PARTIES;
        assert_eq!(strike.tokens().len(), 4 * each, "and the stable one of each program");
    }
    // A row of before says of which epochs, and has them derived.
    let each = erased.tokens.len() + PARTIES;
    let Erased { original, .. } = erased.clone();
    let original = original.map(|original| Original { epochs: vec![4, 5, 6], ..original });
    let before = Erased { original, marks: None, ..erased };
    let read = Erased::decode(&before.encode()).unwrap();
    assert_eq!(read.strike(&secret(at(5))).unwrap().tokens().len(), 3 * each, "the keys of one are gone");
}

// covers: D5
#[test]
fn a_row_of_before_is_read_and_finds_as_much() {
    let secret = secret(7);
    let (erased, looked_for) = forgotten(&secret);
    let before = Erased { found_by: looked_for.clone(), marks: None, ..erased };
    let read = Erased::decode(&before.encode()).unwrap();
    assert!(read == before);
    let again = read.strike(&secret).unwrap();
    assert!(looked_for.iter().all(|token| again.tokens().contains(token)));
    assert!(before.opened(&secret.note_key()).unwrap().outlines.is_empty());
}

// covers: D5, P8
#[test]
fn a_row_with_marks_of_before_is_read_and_what_it_lacks_is_not_looked_for() {
    let secret = secret(7);
    let (erased, looked_for) = forgotten(&secret);
    let found = erased.opened(&secret.note_key()).unwrap();
    assert!(found.tokens == looked_for && found.in_text.len() == 2 && found.outlines.len() == 2);
    let mut sealed = looked_for.concat();
    sealed.extend(found.outlines.iter().flat_map(|outline| outline.encode()));
    let nonce = [9; NONCE_BYTES];
    secret.note_key().seal(&nonce, b"usaged/erased/marks/v1", &mut sealed, 0).unwrap();
    let before = Erased { marks: Some(Sealed { nonce, sealed }), programs: Vec::new(), ..erased };
    let read = Erased::decode(&before.encode()).unwrap();
    assert!(read == before);
    let again = read.opened(&secret.note_key()).unwrap();
    assert!(again.tokens == found.tokens && again.outlines == found.outlines && again.in_text.is_empty());
    assert!(read.strike(&secret).is_ok() && read.strike(&self::secret(8)).is_err());
}

/// Rows as programs of before wrote them, of [`forgotten`]: under way and forgotten by version 2; and as those wrote them
/// that did not have what it is found by in small letters, nor for which programs, nor that sealed.
const UNDER_WAY: &str = include_str!("../../tests/fixtures/rows/erased-under-way.json");
const FORGOTTEN: &str = include_str!("../../tests/fixtures/rows/erased-forgotten.json");
const MARKS_V1: &str = include_str!("../../tests/fixtures/rows/erased-marks-v1.json");
const FOUND_BY: &str = include_str!("../../tests/fixtures/rows/erased-found-by.json");

// covers: D5, P8
#[test]
fn rows_that_programs_of_before_wrote_find_and_withhold_what_they_did() {
    let (secret, programs) = (secret(7), programs());
    let (now, looked_for) = forgotten(&secret);
    let row = |version: u8, json: &str| match version {
        1 => [&[1], json.trim().as_bytes()].concat(),
        _ => [&[version][..], &9_u64.to_be_bytes(), json.trim().as_bytes()].concat(),
    };
    for (version, json, upto, in_text) in [
        (2, UNDER_WAY, 9, 2),
        (2, FORGOTTEN, 9, 2),
        (2, MARKS_V1, 9, 0),
        (2, FOUND_BY, 9, 0),
        (1, FOUND_BY, 0, 0),
    ] {
        let read = Erased::decode(&row(version, json)).unwrap();
        assert_eq!((read.upto.0, read.before, read.until), (upto, UnixMillis(1), UnixMillis(2)));
        assert!(read.is_of_same(&now) && now.is_of_same(&read));
        let strike = read.strike(&secret).unwrap();
        assert!(looked_for.iter().all(|token| strike.tokens().contains(token)));
        assert_eq!(read.opened(&secret.note_key()).unwrap().in_text.len(), in_text);
        // What arrives late is withheld by the pseudonyms of each program that it was asked for.
        let withheld = Erased::suppressions([&read].into_iter(), &secret, UnixMillis(1)).unwrap();
        for program in &programs {
            let (keys, text) = (secret.program(program, 3), RawText::new(b"esx01.corp.example.com"));
            let mut scratch = crate::sanitize::canonical::Scratch::default();
            assert!(withheld.is_withheld(IdentifierClass::HostName, text, &keys, &mut scratch), "{program}");
        }
        // Written again, it is as small as today's, and the same.
        let again = read.encode();
        assert!(Erased::decode(&again).unwrap() == read);
        let is_small = again.len() < 1_000 + row(version, json).len() / 2;
        assert!(is_small || json == FOUND_BY, "{} bytes", again.len());
    }
    let told = Erased::decode(&row(2, UNDER_WAY)).unwrap().told(&secret, &LiveEpochs::default());
    assert_eq!(told.len(), now.tokens.len());
    assert_eq!(Erased::decode(&row(4, FORGOTTEN)), None, "a newer one");
}

// covers: D5, B1
#[test]
fn no_row_that_is_cut_or_made_up_is_taken_for_another() {
    let (erased, _) = forgotten(&secret(7));
    let row = erased.encode();
    for len in (0..row.len()).step_by(7) {
        assert!(Erased::decode(row.get(..len).unwrap()).is_none(), "{len}");
    }
    let times = Erased::times(UnixMillis(1), UnixMillis(5), (UnixMillis(6), UnixMillis(7)));
    assert_eq!(Erased::decode(&times.encode()), Some(times));
}

// covers: P8
#[test]
fn an_erasure_is_the_same_as_another_only_if_the_same_was_asked_for() {
    let (secret, programs) = (secret(7), programs());
    let erased = |class, value: &str| {
        let epochs = LiveEpochs::default();
        let value = RawText::new(value.as_bytes());
        let sought = Sought { class, value, programs: &programs, epochs: &epochs };
        let times = (UnixMillis(1), UnixMillis(2));
        Erased::identifier(&sought, &secret, [[1; NONCE_BYTES], [2; NONCE_BYTES]], times).unwrap()
    };
    let host = erased(IdentifierClass::HostName, "esx01.lab");
    assert!(host.is_of_same(&erased(IdentifierClass::HostName, "ESX01.lab.")));
    for (class, other) in
        [(IdentifierClass::ObjectName, "esx01.lab"), (IdentifierClass::HostName, "esx02.lab")]
    {
        assert!(!host.is_of_same(&erased(class, other)));
    }
    let account = erased(IdentifierClass::UserId, "Esx01");
    assert!(
        !account.is_of_same(&erased(IdentifierClass::UserId, "esx01")),
        "accounts are told apart by case"
    );
}
