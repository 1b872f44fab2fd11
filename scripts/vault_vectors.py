#!/usr/bin/env python3
"""A second implementation of the vault's envelope, and the test vectors made with it.

Written from the format's description (the documentation in crates/vault/src/lib.rs), not from the code, so that the two
agree on an error only if both make the same one. Needs the Python package `cryptography`.

    scripts/vault_vectors.py           writes crates/vault/tests/vectors/vectors.json
    scripts/vault_vectors.py --check   regenerates in memory; exits 1 if the committed file differs
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

OUT = pathlib.Path(__file__).resolve().parent.parent / "crates/vault/tests/vectors/vectors.json"
VERSION, BOUND, ALGORITHMS = 1, 2, 1
ZERO_NONCE = bytes(12)


class Recorded:
    """Deterministic bytes that look random, and a record of the bytes that were taken."""

    def __init__(self, seed):
        self.seed, self.taken = seed, b""

    def take(self, length):
        block = hashlib.shake_256(f"{self.seed}/{len(self.taken)}".encode()).digest(length)
        self.taken += block
        return block


def derive(key, salt, label):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=b"alter-vault/1/" + label).derive(key)


def fields(label, *rest, version=VERSION):
    parts = [b"alter-vault/1/" + label, bytes([version]), bytes([ALGORITHMS]), *rest]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def place_fields(place):
    names = [place[name].encode() for name in ("app", "table", "column", "row")]
    return [*names, int(place["generation"]).to_bytes(8, "big")]


def start(magic, version=VERSION):
    return magic + bytes([version, ALGORITHMS])


def key_check(root, random):
    salt = random.take(32)
    return start(b"ALTC") + salt + derive(root, salt, b"key-check")


def new_data_key(root, app, random):
    key_id, salt, key = random.take(16), random.take(32), random.take(32)
    aad = fields(b"wrap-app-key", key_id, app.encode())
    wrapped = AESGCM(derive(root, salt, b"wrap-app-key")).encrypt(ZERO_NONCE, key, aad)
    return (key_id, key), start(b"ALTK") + key_id + salt + wrapped


def seal(data_key, place, plaintext, random, *, commit_to=None, value_place=None, label=b"value"):
    """Makes a value; the keyword arguments make it wrong in one respect."""
    key_id, key = data_key
    salt, content_key, nonce = random.take(32), random.take(32), random.take(12)
    value_place = value_place or place
    version = BOUND if "bound_to" in place else VERSION
    bound_to = [bytes.fromhex(value_place["bound_to"])] if version == BOUND else []
    wrap_aad = fields(b"wrap-data-key", key_id, *place_fields(place), version=version)
    wrapped = AESGCM(derive(key, salt, b"wrap-data-key")).encrypt(ZERO_NONCE, content_key, wrap_aad)
    commitment = derive(commit_to or content_key, None, b"commit")
    value_aad = fields(b"value", *place_fields(value_place), *bound_to, version=version)
    ciphertext = AESGCM(derive(content_key, None, label)).encrypt(nonce, plaintext, value_aad)
    return start(b"ALTV", version) + key_id + salt + wrapped + commitment + nonce + ciphertext


def at(app="app-one", table="grants", column="access_token", row="8d1c3f0e-row", generation=0):
    return {"app": app, "table": table, "column": column, "row": row, "generation": str(generation)}


def bound(to, **place):
    return {**at(**place), "bound_to": to.hex()}


VALUES = [
    (at(), b"gho_16C7e42F292c6912E7710c838347Ae178B4a"),
    (at(generation=2**64 - 1), b""),
    (at(app="app-two", table="providers", column="client_secret", generation=7), bytes(range(256))),
    (at(table="", column="", row=""), b"in a place without names"),
    (at(row="ζεῖ/行\u0000\n"), "ключ".encode()),
    (at(column="refresh_token"), b"x" * 5000),
    (bound(hashlib.sha256(b"holder").digest()), b"gho_16C7e42F292c6912E7710c838347Ae178B4a"),
    (bound(b"", generation=3), b"bound to nothing in particular"),
]


def refused(keys):
    """Makes values that are wrong in exactly one respect, each with the error that it must cause."""
    one = keys["app-one"]
    good = seal(one, at(), b"token", Recorded("refused"))
    other = Recorded("refused: other data key").take(32)

    def case(why, error, sealed, place=None):
        return {**(place or at()), "why": why, "error": error, "sealed": sealed.hex()}

    ours, theirs = bound(b"our holder"), bound(b"their holder")
    of_ours = seal(one, ours, b"token", Recorded("refused"))

    def patched(offset, value, good=good):
        return good[:offset] + value + good[offset + len(value):]

    return [
        case("the commitment is to another content key", "Refused",
             seal(one, at(), b"token", Recorded("refused"), commit_to=other)),
        case("the wrap is of this place, the value of another row", "Refused",
             seal(one, at(), b"token", Recorded("refused"), value_place=at(row="other"))),
        case("the content key itself was not separated by purpose", "Refused",
             seal(one, at(), b"token", Recorded("refused"), label=b"commit")),
        case("sealed for another generation", "Refused",
             seal(one, at(generation=1), b"token", Recorded("refused"))),
        case("sealed under another app's key", "WrongKeyId",
             seal(keys["app-two"], at(), b"token", Recorded("refused"))),
        case("another magic", "Corrupt", patched(0, b"ALTW")),
        case("version 0", "Corrupt", patched(4, b"\x00")),
        case("version 3", "Corrupt", patched(4, b"\x03")),
        case("version 1 that says it is bound", "Refused", patched(4, b"\x02"), ours),
        case("a bound value that says it is not", "Refused", patched(4, b"\x01", of_ours), ours),
        case("bound to another holder", "BoundElsewhere", of_ours, theirs),
        case("bound, and opened as if it were not", "BoundElsewhere", of_ours),
        case("bound, in another row", "Refused", of_ours, bound(b"our holder", row="other")),
        case("bound, with a changed tag", "BoundElsewhere", of_ours[:-1] + bytes([of_ours[-1] ^ 1]), ours),
        case("algorithms 2", "Corrupt", patched(5, b"\x02")),
        case("no tag", "Corrupt", good[:146]),
        case("nothing", "Corrupt", b""),
    ]


def generate():
    root = Recorded("root key").take(32)
    random = Recorded("key check")
    stored = key_check(root, random)
    all_vectors = {
        "about": "Made by scripts/vault_vectors.py; binary in hex, root_key in base64. Do not edit.",
        "root_key": base64.b64encode(root).decode(),
        "key_check": {"random": random.taken.hex(), "stored": stored.hex()},
        "data_keys": [],
        "values": [],
    }
    keys = {}
    for app in ("app-one", "app-two"):
        random = Recorded(f"key of {app}")
        keys[app], wrapped = new_data_key(root, app, random)
        all_vectors["data_keys"].append({"app": app, "random": random.taken.hex(), "wrapped": wrapped.hex()})
    for number, (place, plaintext) in enumerate(VALUES):
        random = Recorded(f"value {number}")
        sealed = seal(keys[place["app"]], place, plaintext, random)
        all_vectors["values"].append(
            {**place, "plaintext": plaintext.hex(), "random": random.taken.hex(), "sealed": sealed.hex()})
    all_vectors["refused"] = refused(keys)
    return json.dumps(all_vectors, indent=1, ensure_ascii=True) + "\n"


def main():
    text = generate()
    if sys.argv[1:] == ["--check"]:
        if not OUT.exists() or OUT.read_text() != text:
            sys.exit(f"{OUT} differs from what this script makes; run it without --check")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        OUT.write_text(text)


if __name__ == "__main__":
    main()
