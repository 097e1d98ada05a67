"""From a password to what the server keeps of it, and back to a yes or no.

All functions here are plain computation and take milliseconds: on an event loop call them through `PasswordWork`.
"""

import functools
import hashlib
import hmac
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from precis_i18n import get_profile

from storage.interface import AccountRecord, ScramKeys

HASHES: Mapping[str, str] = MappingProxyType({"SHA-256": "sha256", "SHA-1": "sha1"})
"""SCRAM's names of the hashes (RFC 5802 §4), strongest first, and hashlib's."""

DEFAULT_ITERATIONS = 10_000
SALT_BYTES = 16
# Preparing a long text costs time before anything is known of the client; no person has a longer password.
MAX_PASSWORD_CHARS = 1024


class InvalidPassword(ValueError):
    """The text cannot be a password: empty, too long, or with characters that OpaqueString forbids."""


@functools.cache
def _opaque_string() -> Any:
    return get_profile("OpaqueString")


def prepare_password(password: str) -> bytes:
    """Return the bytes of a password as they are hashed.

    Raises:
        InvalidPassword: see there.

    Spec: RFC 8265 §4.2 (OpaqueString).
    """
    if not password or len(password) > MAX_PASSWORD_CHARS:
        raise InvalidPassword("a password has 1 to 1024 characters")
    if password.isascii() and password.isprintable():
        return password.encode("ascii")
    try:
        prepared: str = _opaque_string().enforce(password)
        return prepared.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidPassword("the password has a character that passwords must not have") from None


def derive_keys(prepared: bytes, hash_name: str, salt: bytes, iterations: int) -> ScramKeys:
    """Return the keys of a prepared password for one hash of `HASHES`.

    Spec: RFC 5802 §3.
    """
    salted = hashlib.pbkdf2_hmac(HASHES[hash_name], prepared, salt, iterations)
    return keys_of_salted(salted, hash_name, salt, iterations)


def keys_of_salted(salted: bytes, hash_name: str, salt: bytes, iterations: int) -> ScramKeys:
    """Return the keys that follow from RFC 5802's SaltedPassword; unlike the rest of this file it takes no time.

    Raises:
        ValueError: it has not as many bytes as the hash.
    """
    algorithm = HASHES[hash_name]
    if len(salted) != hashlib.new(algorithm).digest_size:
        raise ValueError(f"a salted password for {hash_name} has {hashlib.new(algorithm).digest_size} bytes")
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    return ScramKeys(
        salt=salt,
        iterations=iterations,
        stored_key=hashlib.new(algorithm, client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", algorithm),
    )


def make_keys(password: str, iterations: int = DEFAULT_ITERATIONS) -> dict[str, ScramKeys]:
    """Return what is kept of a new password, one entry for each of `HASHES`, each with its own random salt.

    Raises:
        InvalidPassword: see there.
    """
    prepared = prepare_password(password)
    return {name: derive_keys(prepared, name, os.urandom(SALT_BYTES), iterations) for name in HASHES}


def note_of(record: AccountRecord) -> str:
    """Return a note of an account's keys, by hash: all of it is another after each change of its password."""
    return " ".join(
        f"{name}={hashlib.sha256(keys.stored_key).hexdigest()[:24]}" for name, keys in sorted(record.keys.items())
    )


def fits_note(note: str, record: AccountRecord) -> bool:
    """Whether an account's password is the one of a note; it may have got keys for other hashes since (XEP-0480)."""
    return set(note.split()) <= set(note_of(record).split()) and bool(note) == bool(record.keys)


def verify_password(record: AccountRecord, password: str) -> bool:
    """Whether it is the account's password; by the strongest hash that the account has keys for.

    The time depends on the account's iterations alone, not on the password being right.
    """
    for name in HASHES:
        keys = record.keys.get(name)
        if keys is not None:
            break
    else:
        return False
    try:
        prepared = prepare_password(password)
    except InvalidPassword:
        return False
    derived = derive_keys(prepared, name, keys.salt, keys.iterations)
    return hmac.compare_digest(derived.stored_key, keys.stored_key)
