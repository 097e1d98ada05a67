"""Converters between texts and values."""

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.jid import JID
from codec.values import format_datetime, format_value, int_between, one_of, parse_bool, parse_datetime

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES)


class Colour(StrEnum):
    RED = "red"


@given(MOMENTS)
def test_moment_survives_writing_and_reading(moment):
    again = parse_datetime(format_datetime(moment))
    assert again == moment
    assert again.tzinfo is UTC


@given(MOMENTS)
def test_moment_in_any_zone_is_read_as_utc(moment):
    assert parse_datetime(moment.isoformat()) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T19:30:00Z", datetime(2026, 11, 24, 19, 30, tzinfo=UTC)),
        ("2026-11-24T19:30:00.5Z", datetime(2026, 11, 24, 19, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-11-24T19:30:00.123456789Z", datetime(2026, 11, 24, 19, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-11-24T19:30:00-06:30", datetime(2026, 11, 25, 2, 0, tzinfo=UTC)),
        (" 2026-11-24T19:30:00+00:00\n", datetime(2026, 11, 24, 19, 30, tzinfo=UTC)),
    ],
)
def test_moment_is_read_to_the_microsecond(text, moment):
    assert parse_datetime(text) == moment


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 24, 19, 30, tzinfo=UTC), "2026-11-24T19:30:00Z"),
        (datetime(2026, 11, 24, 19, 30, 0, 5, tzinfo=UTC), "2026-11-24T19:30:00.000005Z"),
        (datetime(2026, 11, 24, 19, 30, tzinfo=timezone(timedelta(hours=1))), "2026-11-24T18:30:00Z"),
        (datetime(26, 1, 2, tzinfo=UTC), "0026-01-02T00:00:00Z"),
    ],
)
def test_moment_is_written_in_utc_without_empty_decimals(moment, text):
    assert format_datetime(moment) == format_value(moment) == text


@pytest.mark.parametrize(
    "text",
    [
        *["", "now", "2026-11-24", "2026-11-24T19:30:00", "2026-11-24 19:30:00Z", "20261124T19:30:00Z"],
        *["2026-13-24T19:30:00Z", "2026-11-31T19:30:00Z", "2026-11-24T25:30:00Z", "2026-11-24T19:30:60Z"],
        *["2026-11-24T19:30:00+24:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"],
        *["2026-11-24T19:30:00.Z", "2026-11-24T19:30:00z", "٢٠٢٦-11-24T19:30:00Z", "12026-11-24T19:30:00Z"],
        "2026-11-24T19:30:00." + "1" * 33 + "Z",
    ],
)
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError):
        parse_datetime(text)


def test_naive_moment_is_not_written():
    with pytest.raises(ValueError):
        format_datetime(datetime(2026, 11, 24))


def test_booleans_of_xml_are_read():
    assert [parse_bool(text) for text in ("true", "1", "false", "0", " true\n")] == [True, True, False, False, True]
    for text in ("", "True", "yes", "2", "t rue"):
        with pytest.raises(ValueError):
            parse_bool(text)


def test_integers_are_read_within_their_range():
    parse = int_between(-5, 300)
    assert [parse(text) for text in ("-5", "+7", "007", " 300 ", "0")] == [-5, 7, 7, 300, 0]
    for text in ("", "-6", "301", "1.0", "1e2", "0x1", "1_0", "٣", "--1", "9" * 5000, "\u00a01"):
        with pytest.raises(ValueError):
            parse(text)


def test_words_outside_the_list_are_refused():
    parse = one_of("both", "none")
    assert parse("both") == "both"
    for text in ("", "Both", " both"):
        with pytest.raises(ValueError, match="both, none"):
            parse(text)


def test_values_are_written_as_xmpp_does():
    assert [format_value(value) for value in (True, False, 7, "x", Colour.RED)] == ["true", "false", "7", "x", "red"]
    assert type(format_value(JID("a@b"))) is str
    for value in (None, 1.5, b"x", ()):
        with pytest.raises(TypeError):
            format_value(value)
