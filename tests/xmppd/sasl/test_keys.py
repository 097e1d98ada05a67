"""From passwords to keys and back."""

import base64
import hashlib

import pytest

from storage.interface import AccountRecord
from xmppd.sasl.keys import (
    HASHES,
    InvalidPassword,
    derive_keys,
    fits_note,
    keys_of_salted,
    make_keys,
    note_of,
    prepare_password,
    verify_password,
)


def account(password: str, **options: int) -> AccountRecord:
    return AccountRecord("romeo@example.org", make_keys(password, **options))


def test_keys_of_the_example_of_rfc_5802_are_reproduced():
    keys = derive_keys(b"pencil", "SHA-1", base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert keys.stored_key.hex() == "e9d94660c39d65c38fbad91c358f14da0eef2bd6"
    assert keys.server_key.hex() == "0fe09258b3ac852ba502cc62ba903eaacdbf7d31"


def test_new_password_gets_keys_for_each_hash_with_salts_of_their_own():
    first, second = make_keys("pencil"), make_keys("pencil")
    assert set(first) == set(HASHES) == {"SHA-1", "SHA-256"}
    assert len({keys.salt for keys in (*first.values(), *second.values())}) == 4
    assert all(keys.iterations == 10_000 and len(keys.salt) == 16 for keys in first.values())


@pytest.mark.parametrize("only", [None, "SHA-1", "SHA-256"])
def test_only_the_right_password_is_verified(only):
    record = account("pencil", iterations=64)
    if only:
        record = AccountRecord(record.jid, {only: record.keys[only]})
    assert verify_password(record, "pencil")
    assert not verify_password(record, "Pencil")
    assert not verify_password(record, "")
    assert not verify_password(record, "x" * 5000)


def test_account_without_keys_has_no_right_password():
    assert not verify_password(AccountRecord("romeo@example.org", {}), "pencil")


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [
        ("soft! what light", "soft! what light"),
        ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m"),  # composed
        ("caf\u00e9\u3000bar", "caf\u00e9 bar"),  # another space is a space
        ("PaSS\u00c9", "PaSS\u00c9"),  # letter case stays
        ("\u2665\U0001f600", "\u2665\U0001f600"),
    ],
)
def test_password_is_prepared_as_opaque_string(typed, prepared):
    assert prepare_password(typed) == prepared.encode()


@pytest.mark.parametrize("password", ["", "tab\there", "nul\0", "\ud800", "x" * 1025, "\u00e9\x7f"])
def test_text_that_cannot_be_a_password_is_refused(password):
    with pytest.raises(InvalidPassword):
        make_keys(password)


@pytest.mark.parametrize(("hash_name", "size"), [("SHA-1", 20), ("SHA-256", 32)])
def test_keys_follow_from_a_salted_password_of_the_right_size_alone(hash_name, size):
    prepared, salt = prepare_password("pencil"), b"salt" * 4
    salted = hashlib.pbkdf2_hmac(HASHES[hash_name], prepared, salt, 64)
    assert keys_of_salted(salted, hash_name, salt, 64) == derive_keys(prepared, hash_name, salt, 64)
    for wrong in (b"", salted[:-1], salted + b"x"):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            keys_of_salted(wrong, hash_name, salt, 64)


def test_note_fits_until_the_password_changes_and_outlives_other_hashes():
    full = make_keys("pencil", iterations=64)
    old = AccountRecord("romeo@example.org", {"SHA-1": full["SHA-1"]})
    note = note_of(old)
    assert fits_note(note, old) and fits_note(note, AccountRecord(old.jid, full))
    assert not fits_note(note, account("pencil", iterations=64))  # the same word, set anew
    assert not fits_note(note_of(AccountRecord(old.jid, full)), old)
    assert not fits_note("", old) and fits_note("", AccountRecord(old.jid, {}))
