"""How much a peer may ask of the parser."""

import dataclasses

import pytest

from codec.limits import BEFORE_LOGIN, HEADER_BYTES, ReaderLimits


def test_strangers_get_what_the_rfc_makes_the_least_and_no_more():
    assert BEFORE_LOGIN.stanza_bytes == HEADER_BYTES == 10_000


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ReaderLimits)])
def test_login_never_takes_anything_away(field):
    assert getattr(ReaderLimits(), field) >= getattr(BEFORE_LOGIN, field) > 0


def test_limits_are_values():
    assert ReaderLimits() == ReaderLimits(stanza_bytes=262_144)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ReaderLimits().depth = 1
