"""Addresses as they are written in settings."""

import pytest

from xmppd.addresses import Address, parse_address


@pytest.mark.parametrize("text", ["[::]:5222", "127.0.0.1:0", "localhost:65535", "[2001:db8::1]:1"])
def test_an_address_is_written_as_it_was_read(text):
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", "5222", "127.0.0.1", "[::]", "::1:5222", "[x]:1", ":5222", "a:b", "a:70000", "a:-1", "a:²"]
)
def test_what_is_no_address_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^.+$"):
        parse_address(text)


def test_loopback_is_known():
    assert Address("127.0.0.1", 1).is_loopback
    assert Address("::1", 1).is_loopback
    assert Address("localhost", 1).is_loopback
    assert not Address("::", 1).is_loopback
    assert not Address("example.org", 1).is_loopback
