"""Nicknames that are one to people are one to rooms (RFC 8266)."""

import pytest

from xmppd.errors import StanzaError
from xmppd.rooms.limits import MAX_NICK_CHARS
from xmppd.rooms.nicks import keys_of, prepare


def collide(one: str, other: str) -> bool:
    return not set(keys_of(prepare(one))).isdisjoint(keys_of(prepare(other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Romeo", "romeo"),
        ("Romeo", "  ROMEO "),
        ("a  b", "A b"),
        ("Romeo", "R0meo"),
        ("Romeo", "Rom\u0435o"),  # Cyrillic
        ("Romeo", "R\u03bfme\u043e"),  # Greek and Cyrillic
        ("Iago", "lago"),
        ("Bill", "Bi11"),
        ("morn", "mom"),
        ("\uff32omeo", "Romeo"),  # full width
        ("STRASSE", "strasse"),
        ("\u00c9mile", "\u00e9mile"),
    ],
)
def test_nicknames_that_look_alike_collide(one: str, other: str) -> None:
    assert collide(one, other) and collide(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Romeo", "Juliet"), ("Jos\u00e9", "Jose"), ("iago", "lago"), ("\u0420\u043e\u043c\u0430", "Poma!")],
)
def test_nicknames_that_do_not_look_alike_do_not_collide(one: str, other: str) -> None:
    assert not collide(one, other)


def test_white_space_is_trimmed_and_made_single() -> None:
    assert prepare("  Romeo   Montague ") == "Romeo Montague"


@pytest.mark.parametrize("text", ["", "   ", "\u200b", "a\u0007"])
def test_nickname_that_nobody_sees_is_refused(text: str) -> None:
    with pytest.raises(StanzaError, match="jid-malformed"):
        prepare(text)


def test_long_nickname_is_refused() -> None:
    assert prepare("x" * MAX_NICK_CHARS)
    with pytest.raises(StanzaError, match="policy-violation"):
        prepare("x" * (MAX_NICK_CHARS + 1))
