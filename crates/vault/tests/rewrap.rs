//! Replacing keys: the values stay readable and in their place, and their ciphertexts are not touched.

use std::cell::Cell;

use alter_vault::{DataKey, Place, RootKey, Vault, VaultError, sealed_under, wrapped_key_id};
use secrecy::ExposeSecret;

const PLACE: Place =
    Place { app: "app", table: "grants", column: "access_token", row: "row", generation: 3, bound_to: None };

/// Different bytes every time.
fn filler() -> impl Fn(&mut [u8]) {
    let next = Cell::new(0_u8);
    move |buffer: &mut [u8]| {
        next.set(next.get().wrapping_add(1));
        buffer.fill(next.get());
    }
}

fn root(byte: u8) -> RootKey {
    RootKey::generate(&|buffer| buffer.fill(byte)).0
}

fn keys(vault: &Vault, fill: &dyn Fn(&mut [u8])) -> (DataKey, DataKey) {
    let make = || vault.data_key("app", &vault.new_data_key("app", fill).expect("short")).expect("its own");
    (make(), make())
}

#[test]
fn t92_a_rewrapped_value_opens_under_the_new_key_alone_and_keeps_its_ciphertext() {
    let fill = filler();
    let (old, new) = keys(&Vault::new(root(7)), &fill);
    for length in [0, 1, 16, 5000] {
        let plaintext = vec![0x5a; length];
        let before = old.seal(&PLACE, &plaintext, &fill).expect("short");
        let after = old.rewrap(&new, &PLACE, &before, &fill).expect("its own value");
        assert_eq!(new.open(&PLACE, &after).expect("it opens").expose_secret(), plaintext);
        assert_eq!(old.open(&PLACE, &after).err(), Some(VaultError::WrongKeyId));
        assert_eq!((before.len(), &before[102..]), (after.len(), &after[102..]), "from the commitment on");
        assert_ne!(before[22..102], after[22..102], "another salt and wrap");
        assert_eq!((sealed_under(&before), sealed_under(&after)), (Ok(old.id()), Ok(new.id())));
        let back = new.rewrap(&old, &PLACE, &after, &fill).expect("and back");
        assert_eq!(old.open(&PLACE, &back).expect("it opens").expose_secret(), plaintext);
    }
}

#[test]
fn t92_a_bound_value_is_rewrapped_by_its_cell_and_stays_bound() {
    let fill = filler();
    let (old, new) = keys(&Vault::new(root(7)), &fill);
    let ours = Place { bound_to: Some(b"ours"), ..PLACE };
    let before = old.seal(&ours, b"value", &fill).expect("short");
    let after = old.rewrap(&new, &PLACE, &before, &fill).expect("its own value");
    assert_eq!(new.open(&ours, &after).expect("it opens").expose_secret(), b"value");
    assert_eq!(new.open(&PLACE, &after).err(), Some(VaultError::BoundElsewhere));
}

#[test]
fn t92_a_value_that_was_moved_or_altered_is_not_rewrapped() {
    let fill = filler();
    let (vault, other) = (Vault::new(root(7)), "other");
    let (old, new) = keys(&vault, &fill);
    let foreign = vault.data_key(other, &vault.new_data_key(other, &fill).expect("short")).expect("its own");
    let sealed = old.seal(&PLACE, b"value", &fill).expect("short");
    let refused = |place: Place, bytes: &[u8]| old.rewrap(&new, &place, bytes, &fill).err();
    for place in [
        Place { row: "another", ..PLACE },
        Place { column: "refresh_token", ..PLACE },
        Place { generation: 4, ..PLACE },
    ] {
        assert_eq!(refused(place, &sealed), Some(VaultError::Refused));
    }
    for at in (22..134).step_by(7) {
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        assert_eq!(refused(PLACE, &bytes), Some(VaultError::Refused), "byte {at}");
    }
    assert_eq!(refused(Place { app: other, ..PLACE }, &sealed), Some(VaultError::WrongApp));
    assert_eq!(old.rewrap(&foreign, &PLACE, &sealed, &fill).err(), Some(VaultError::WrongApp));
    assert_eq!(new.rewrap(&old, &PLACE, &sealed, &fill).err(), Some(VaultError::WrongKeyId));
    assert!(matches!(refused(PLACE, b"short"), Some(VaultError::Corrupt(_))));
    // The wrap does not cover the ciphertext: a changed byte there passes the rewrap and is refused by `open`.
    let mut bytes = sealed.clone();
    bytes[147] ^= 1;
    let rewrapped = old.rewrap(&new, &PLACE, &bytes, &fill).expect("the wrap is sound");
    assert_eq!(new.open(&PLACE, &rewrapped).err(), Some(VaultError::Refused));
}

#[test]
fn f57_a_data_key_under_a_new_root_key_is_the_same_key() {
    let fill = filler();
    let (before, after) = (Vault::new(root(7)), Vault::new(root(8)));
    let wrapped = before.new_data_key("app", &fill).expect("short");
    let key = before.data_key("app", &wrapped).expect("its own");
    let sealed = key.seal(&PLACE, b"v", &fill).expect("short");
    let moved = before.rewrap_data_key(&after, "app", &wrapped, &fill).expect("its own");
    assert_eq!(wrapped_key_id(&wrapped), Ok(key.id()));
    assert_eq!(wrapped_key_id(&moved), Ok(key.id()));
    let opened = after.data_key("app", &moved).expect("under the new root key").open(&PLACE, &sealed);
    assert_eq!(opened.expect("it opens").expose_secret(), b"v");
    assert_eq!(before.data_key("app", &moved).err(), Some(VaultError::Refused));
    assert_eq!(after.rewrap_data_key(&before, "app", &wrapped, &fill).err(), Some(VaultError::Refused));
    assert_eq!(before.rewrap_data_key(&after, "other", &wrapped, &fill).err(), Some(VaultError::Refused));
}

#[test]
fn f57_a_vault_that_accepts_the_other_root_key_works_before_and_after_the_change() {
    let fill = filler();
    let (before, after) = (Vault::new(root(7)), Vault::new(root(8)));
    let both = Vault::new(root(8)).accepting(root(7));
    let wrapped = before.new_data_key("app", &fill).expect("short");
    let moved = before.rewrap_data_key(&after, "app", &wrapped, &fill).expect("its own");
    assert!(both.data_key("app", &wrapped).is_ok() && both.data_key("app", &moved).is_ok());

    assert_eq!(both.verify_key_check(&before.key_check(&fill)), Ok(()));
    assert!(both.is_under_other());
    // A data key that this vault makes now must open for servers that know the old root key only.
    assert!(before.data_key("app", &both.new_data_key("app", &fill).expect("short")).is_ok());

    assert_eq!(both.verify_key_check(&after.key_check(&fill)), Ok(()));
    assert!(!both.is_under_other());
    assert!(after.data_key("app", &both.new_data_key("app", &fill).expect("short")).is_ok());

    let neither = Vault::new(root(9)).key_check(&fill);
    assert_eq!(both.verify_key_check(&neither), Err(VaultError::WrongRootKey), "T93 stays");
}
