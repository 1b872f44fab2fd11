//! What the vault must withstand when an attacker can write the database.

use std::cell::Cell;
use std::collections::HashSet;

use alter_vault::{DataKey, Fill, OVERHEAD, Place, RootKey, Vault, VaultError, is_bound};
use proptest::prelude::*;
use secrecy::ExposeSecret;

const HOME: Place<'static> = Place {
    app: "app-a",
    table: "grants",
    column: "access_token",
    row: "row-1",
    generation: 3,
    bound_to: None,
};

// Offsets as the crate's documentation draws them, on purpose not taken from the code.
const KEY_ID: std::ops::Range<usize> = 6..22;
const SALT: std::ops::Range<usize> = 22..54;
const WRAPPED: std::ops::Range<usize> = 54..102;
const COMMITMENT: std::ops::Range<usize> = 102..134;
const NONCE: std::ops::Range<usize> = 134..146;

fn random(buffer: &mut [u8]) {
    aws_lc_rs::rand::fill(buffer).expect("the system's generator");
}

fn vault() -> Vault {
    Vault::new(RootKey::generate(&random).0)
}

fn data_key(vault: &Vault, app: &str) -> DataKey {
    vault.data_key(app, &vault.new_data_key(app, &random).expect("short name")).expect("just made")
}

fn opened(key: &DataKey, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    key.open(place, sealed).map(|plain| plain.expose_secret().to_vec())
}

#[test]
fn what_is_sealed_opens_again_and_is_as_long_as_documented() {
    let key = data_key(&vault(), "app-a");
    for plain in [&b""[..], b"x", b"gho_16C7e42F292c6912E7710c838347Ae178B4a", &[0; 100_000]] {
        let sealed = key.seal(&HOME, plain, &random).expect("sealed");
        assert_eq!(sealed.len(), plain.len() + OVERHEAD);
        assert_eq!(opened(&key, &HOME, &sealed).as_deref(), Ok(plain));
        assert!(plain.len() < 16 || !sealed.windows(16).any(|window| plain.starts_with(window)));
    }
    assert_eq!(OVERHEAD, 162);
}

#[test]
fn a_clone_of_a_data_key_opens_what_the_original_sealed() {
    let key = data_key(&vault(), "app-a");
    let sealed = key.seal(&HOME, b"token", &random).expect("sealed");
    let twin = key.clone();
    drop(key);
    assert_eq!(opened(&twin, &HOME, &sealed).as_deref(), Ok(&b"token"[..]));
}

/// Seals one plaintext in one place `count` times, and counts the salts, wrapped keys, commitments, nonces and
/// ciphertexts that repeat.
fn collisions(key: &DataKey, count: usize, fill: Fill) -> usize {
    let plain = [b't'; 40];
    let mut seen: [HashSet<Vec<u8>>; 5] = Default::default();
    let mut repeated = 0;
    for _ in 0..count {
        let sealed = key.seal(&HOME, &plain, fill).expect("sealed");
        let ciphertext = 146..sealed.len() - 16;
        for (set, part) in seen.iter_mut().zip([SALT, WRAPPED, COMMITMENT, NONCE, ciphertext]) {
            repeated += usize::from(!set.insert(sealed[part].to_vec()));
        }
    }
    repeated
}

#[test]
fn t89_no_salt_key_nonce_or_ciphertext_repeats_in_a_hundred_thousand_seals() {
    let key = data_key(&vault(), "app-a");
    assert_eq!(collisions(&key, 100_000, &random), 0);
    assert_eq!(collisions(&key, 2, &|buffer| buffer.fill(5)), 5, "the detector sees a stuck generator");
}

#[test]
fn t89_every_seal_asks_the_generator_for_salt_key_and_nonce() {
    let key = data_key(&vault(), "app-a");
    let asked = Cell::new(0);
    let fill = |buffer: &mut [u8]| {
        asked.set(asked.get() + buffer.len());
        random(buffer);
    };
    for seals in 1..=3 {
        key.seal(&HOME, b"token", &fill).expect("sealed");
        assert_eq!(asked.get(), seals * (32 + 32 + 12));
    }
}

fn places() -> Vec<Place<'static>> {
    let mut all = Vec::new();
    for app in ["app-a", "app-b"] {
        for table in ["grants", "providers"] {
            for column in ["access_token", "refresh_token"] {
                for row in ["row-1", "row-2"] {
                    for generation in [3, 4] {
                        all.push(Place { app, table, column, row, generation, bound_to: None });
                    }
                }
            }
        }
    }
    // Letters that move across the border between two fields, and an empty field.
    all.push(Place { table: "grantsaccess", column: "_token", ..HOME });
    all.push(Place { table: "", column: "grantsaccess_token", ..HOME });
    all.push(Place { column: "access_tokenrow", row: "-1", ..HOME });
    all
}

#[test]
fn t90_a_bound_value_opens_for_what_it_is_bound_to_and_nothing_makes_it_an_unbound_one() {
    let key = data_key(&vault(), "app-a");
    let (ours, theirs) =
        (Place { bound_to: Some(b"ours"), ..HOME }, Place { bound_to: Some(b"theirs"), ..HOME });
    let sealed = key.seal(&ours, b"token", &random).expect("sealed");
    assert_eq!(opened(&key, &ours, &sealed).as_deref(), Ok(&b"token"[..]));
    for other in [theirs, HOME, Place { bound_to: Some(b""), ..HOME }] {
        assert_eq!(opened(&key, &other, &sealed), Err(VaultError::BoundElsewhere), "{other:?}");
    }
    assert_eq!(opened(&key, &Place { row: "row-2", ..ours }, &sealed), Err(VaultError::Refused));
    let mut unbound = sealed.clone();
    unbound[4] = 1;
    for place in [ours, HOME] {
        assert_eq!(opened(&key, &place, &unbound), Err(VaultError::Refused), "the version is authenticated");
    }
    // A value from before opens, and says that it is from before.
    let before = key.seal(&HOME, b"token", &random).expect("sealed");
    assert_eq!(opened(&key, &ours, &before).as_deref(), Ok(&b"token"[..]));
    assert_eq!((is_bound(&before), is_bound(&sealed)), (Ok(false), Ok(true)));
}

#[test]
fn t90_a_value_opens_in_its_own_place_and_in_no_other() {
    let vault = vault();
    let keys = [data_key(&vault, "app-a"), data_key(&vault, "app-b")];
    let key_of = |place: &Place| &keys[usize::from(place.app == "app-b")];
    for from in places() {
        let sealed = key_of(&from).seal(&from, b"token", &random).expect("sealed");
        for to in places() {
            let result = opened(key_of(&from), &to, &sealed);
            if from == to {
                assert_eq!(result.as_deref(), Ok(&b"token"[..]), "positive control at {from:?}");
            } else {
                assert_eq!(result, Err(VaultError::Refused), "{from:?} moved to {to:?}");
            }
            if from.app != to.app {
                assert_eq!(opened(key_of(&to), &to, &sealed), Err(VaultError::WrongKeyId));
            }
        }
    }
}

#[test]
fn t90_relabelling_a_value_with_another_data_keys_id_does_not_help() {
    let vault = vault();
    let (a, b) = (data_key(&vault, "app-a"), data_key(&vault, "app-b"));
    let there = Place { app: "app-b", ..HOME };
    let mut moved = a.seal(&HOME, b"token", &random).expect("sealed");
    let native = b.seal(&there, b"token", &random).expect("sealed");
    moved[KEY_ID].copy_from_slice(&native[KEY_ID]);
    assert_eq!(opened(&b, &there, &moved), Err(VaultError::Refused));
    assert_eq!(opened(&b, &there, &native).as_deref(), Ok(&b"token"[..]), "positive control");
}

#[test]
fn t90_parts_of_two_values_of_one_place_do_not_combine() {
    let key = data_key(&vault(), "app-a");
    let one = key.seal(&HOME, b"token-1", &random).expect("sealed");
    let two = key.seal(&HOME, b"token-2", &random).expect("sealed");
    for part in [
        SALT,
        WRAPPED,
        COMMITMENT,
        NONCE,
        SALT.start..WRAPPED.end,
        SALT.start..COMMITMENT.end,
        146..one.len(),
    ] {
        let mut mixed = one.clone();
        mixed[part.clone()].copy_from_slice(&two[part.clone()]);
        assert_eq!(opened(&key, &HOME, &mixed), Err(VaultError::Refused), "bytes {part:?}");
    }
    assert!(opened(&key, &HOME, &one).is_ok() && opened(&key, &HOME, &two).is_ok(), "positive control");
}

#[test]
fn t90_a_data_key_does_not_seal_into_another_apps_place() {
    let key = data_key(&vault(), "app-a");
    let there = Place { app: "app-b", ..HOME };
    assert_eq!(key.seal(&there, b"token", &random), Err(VaultError::WrongApp));
    assert!(key.seal(&HOME, b"token", &random).is_ok(), "positive control");
}

#[test]
fn t90_a_wrapped_data_key_opens_for_its_own_app_alone() {
    let vault = vault();
    let wrapped = vault.new_data_key("app-a", &random).expect("short name");
    assert!(vault.data_key("app-a", &wrapped).is_ok(), "positive control");
    assert_eq!(vault.data_key("app-b", &wrapped).err(), Some(VaultError::Refused));
}

#[test]
fn t93_a_wrong_root_key_is_told_from_the_right_one() {
    let (root, text) = RootKey::generate(&random);
    let right = Vault::new(root);
    let stored = right.key_check(&random);
    let wrapped = right.new_data_key("app-a", &random).expect("short name");
    let again = Vault::new(RootKey::from_base64(text.expose_secret()).expect("its own text"));
    assert_eq!(again.verify_key_check(&stored), Ok(()), "positive control");
    assert!(again.data_key("app-a", &wrapped).is_ok(), "positive control");
    let wrong = vault();
    assert_eq!(wrong.verify_key_check(&stored), Err(VaultError::WrongRootKey));
    assert_eq!(wrong.data_key("app-a", &wrapped).err(), Some(VaultError::Refused));
    assert_ne!(right.key_check(&random), stored, "two databases under one key do not show it");
}

#[test]
fn t94_a_proof_holds_for_its_own_content_purpose_and_root_key_alone() {
    let vault = vault();
    let proof = vault.prove("manifest", b"content").expect("short");
    assert_eq!(vault.verify_proof("manifest", b"content", &proof), Ok(()));
    for (purpose, content) in
        [("manifest", &b"contents"[..]), ("manifes", b"tcontent"), ("other", b"content")]
    {
        assert_eq!(vault.verify_proof(purpose, content, &proof), Err(VaultError::Refused), "{purpose}");
    }
    for wrong in [&proof[..31], &[0; 32], b""] {
        assert_eq!(vault.verify_proof("manifest", b"content", wrong), Err(VaultError::Refused));
    }
    let (old, text) = RootKey::generate(&random);
    let made = Vault::new(old).prove("manifest", b"content").expect("short");
    assert_eq!(vault.verify_proof("manifest", b"content", &made), Err(VaultError::Refused));
    let accepting = vault.accepting(RootKey::from_base64(text.expose_secret()).expect("its own text"));
    for known in [&proof, &made] {
        assert_eq!(accepting.verify_proof("manifest", b"content", known), Ok(()));
    }
}

#[test]
fn t93_a_damaged_key_check_never_passes() {
    let vault = vault();
    let stored = vault.key_check(&random);
    assert_eq!(vault.verify_key_check(&stored), Ok(()), "positive control");
    for length in 0..stored.len() {
        assert!(
            matches!(vault.verify_key_check(&stored[..length]), Err(VaultError::Corrupt(_))),
            "{length} bytes"
        );
    }
    for bit in 0..stored.len() * 8 {
        assert!(vault.verify_key_check(&flipped(&stored, bit)).is_err(), "bit {bit}");
    }
    assert!(vault.verify_key_check(&[&stored[..], &[0]].concat()).is_err());
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[bit / 8] ^= 1 << (bit % 8);
    out
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_sealed_value_is_refused() {
    let key = data_key(&vault(), "app-a");
    let sealed = key.seal(&HOME, b"a token of some length", &random).expect("sealed");
    assert!(opened(&key, &HOME, &sealed).is_ok(), "positive control");
    for bit in 0..sealed.len() * 8 {
        let expected = match bit / 8 {
            0..6 => matches!(opened(&key, &HOME, &flipped(&sealed, bit)), Err(VaultError::Corrupt(_))),
            6..22 => opened(&key, &HOME, &flipped(&sealed, bit)) == Err(VaultError::WrongKeyId),
            _ => opened(&key, &HOME, &flipped(&sealed, bit)) == Err(VaultError::Refused),
        };
        assert!(expected, "bit {bit}");
    }
    for length in 0..sealed.len() {
        let expected = match opened(&key, &HOME, &sealed[..length]) {
            Err(VaultError::Corrupt(_)) => length < OVERHEAD,
            Err(VaultError::Refused) => length >= OVERHEAD,
            _ => false,
        };
        assert!(expected, "{length} bytes");
    }
    assert_eq!(opened(&key, &HOME, &[&sealed[..], &[0]].concat()), Err(VaultError::Refused));
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_wrapped_data_key_is_refused() {
    let vault = vault();
    let wrapped = vault.new_data_key("app-a", &random).expect("short name");
    assert!(vault.data_key("app-a", &wrapped).is_ok(), "positive control");
    for bit in 0..wrapped.len() * 8 {
        assert!(vault.data_key("app-a", &flipped(&wrapped, bit)).is_err(), "bit {bit}");
    }
    for length in 0..wrapped.len() {
        assert!(vault.data_key("app-a", &wrapped[..length]).is_err(), "{length} bytes");
    }
    assert!(vault.data_key("app-a", &[&wrapped[..], &[0]].concat()).is_err());
}

#[test]
fn records_of_one_kind_are_not_read_as_another() {
    let vault = vault();
    let key = data_key(&vault, "app-a");
    let wrapped = vault.new_data_key("app-a", &random).expect("short name");
    assert!(matches!(key.open(&HOME, &wrapped), Err(VaultError::Corrupt(_))));
    assert!(matches!(vault.verify_key_check(&wrapped), Err(VaultError::Corrupt(_))));
    assert!(matches!(vault.data_key("app-a", &vault.key_check(&random)), Err(VaultError::Corrupt(_))));
}

proptest! {
    #[test]
    fn any_value_in_any_place_opens_there(
        table in ".{0,20}", column in ".{0,20}", row in ".{0,40}", generation: u64,
        plain in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let key = data_key(&vault(), "app-a");
        let place = Place { app: "app-a", table: &table, column: &column, row: &row, generation, bound_to: None };
        let sealed = key.seal(&place, &plain, &random).expect("sealed");
        prop_assert_eq!(opened(&key, &place, &sealed), Ok(plain));
    }

    #[test]
    fn bytes_that_were_never_sealed_are_refused(junk in prop::collection::vec(any::<u8>(), 0..400)) {
        let key = data_key(&vault(), "app-a");
        prop_assert!(key.open(&HOME, &junk).is_err());
        let dressed = [b"ALTV\x01\x01".as_slice(), &junk].concat();
        prop_assert!(key.open(&HOME, &dressed).is_err());
    }
}

/// The ways in which a `Debug` might render 32 equal key bytes.
fn traces(byte: u8) -> [String; 3] {
    [format!("{byte}, {byte}"), format!("{byte:02x}{byte:02x}"), format!("{byte:02X}{byte:02X}")]
}

#[test]
fn debug_output_shows_no_key_byte_and_no_plaintext() {
    let (root, text) = RootKey::generate(&|buffer| buffer.fill(0xAB));
    let root_shown = format!("{root:?} {root:#?}");
    let vault = Vault::new(root);
    let wrapped = vault.new_data_key("app-a", &|buffer| buffer.fill(0xAB)).expect("short name");
    let key = vault.data_key("app-a", &wrapped).expect("just made");
    let plain = key.open(&HOME, &key.seal(&HOME, &[0xAB; 32], &random).expect("sealed")).expect("opened");
    let shown = format!("{root_shown} {vault:?} {vault:#?} {key:?} {key:#?} {text:?} {plain:?}");
    for trace in traces(0xAB) {
        assert!(!shown.contains(&trace), "{shown}");
    }
    assert!(!shown.contains(text.expose_secret()), "{shown}");
    assert!(
        traces(0xAB).iter().any(|t| format!("{:?}", [0xAB_u8; 32]).contains(t)),
        "the detector sees a leak"
    );
}
