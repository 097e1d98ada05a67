"""Invented keys."""

import pytest

from xmppd.sasl.keys import verify_password
from xmppd.sasl.unknown import UnknownAccounts

SECRET = b"a secret of the server"
UNKNOWN = UnknownAccounts(SECRET, "example.org", 64)


def test_same_name_has_the_same_keys_after_a_restart():
    assert UnknownAccounts(SECRET, "example.org", 64).keys("tybalt", "SHA-1") == UNKNOWN.keys("tybalt", "SHA-1")


def test_invented_keys_are_not_shared_between_names_hashes_domains_and_secrets():
    keys = [
        UNKNOWN.keys("tybalt", "SHA-256"),
        UNKNOWN.keys("paris", "SHA-256"),
        UNKNOWN.keys("tybalt", "SHA-1"),
        UnknownAccounts(SECRET, "example.com", 64).keys("tybalt", "SHA-256"),
        UnknownAccounts(b"another secret of it", "example.org", 64).keys("tybalt", "SHA-256"),
    ]
    assert len({key.salt for key in keys}) == len({key.stored_key for key in keys}) == 5


@pytest.mark.parametrize(("hash_name", "size"), [("SHA-1", 20), ("SHA-256", 32)])
def test_invented_keys_have_the_sizes_of_real_ones(hash_name, size):
    keys = UNKNOWN.keys("tybalt", hash_name)
    assert (len(keys.salt), len(keys.stored_key), len(keys.server_key), keys.iterations) == (16, size, size, 64)


def test_no_password_opens_an_invented_account():
    assert not verify_password(UNKNOWN.record("tybalt"), "password")


def test_short_secret_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        UnknownAccounts(b"too short", "example.org")
