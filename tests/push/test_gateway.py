"""Notifications and outcomes by themselves."""

from dataclasses import replace

import pytest

from push.gateway import MAX_RETRY_AFTER_S, Device, Kind, Notification, Outcome, Result, reason_of, retry_after_s

NOW_US = 1_800_000_000_000_000  # 2027-01-15 08:00:00 UTC
PHONE = Device("romeo/1", "apns", "ab" * 32, topic="org.example.app", environment="sandbox", registered_at_us=7)
NOTE = Notification(PHONE, Kind.CALL, "juliet@example.org", {"from": "ju\u2028liet"}, "Juliet", "Wherefore", 3)


def test_a_notification_comes_back_from_the_outbox_as_it_was():
    assert Notification.from_bytes(NOTE.to_bytes()) == NOTE
    assert Notification.from_bytes(Notification(PHONE).to_bytes()) == Notification(PHONE)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"device": {}}', b'{"device": {"colour": 1}}', b"\xff", b"null"])
def test_what_is_no_notification_is_a_value_error(data):
    with pytest.raises(ValueError):
        Notification.from_bytes(data)


def test_tokens_and_contents_are_not_in_a_repr():
    text = repr(replace(NOTE, device=replace(PHONE, public_key="PUBLIC", auth="AUTH")))
    for secret in (PHONE.token, "PUBLIC", "AUTH", "Juliet", "Wherefore", "juliet@example.org"):
        assert secret not in text
    assert PHONE.id in text and PHONE.mark not in PHONE.token


def test_a_conversation_has_another_id_at_each_device():
    other = replace(NOTE, device=replace(PHONE, id="romeo/2"))
    assert len(NOTE.collapse_id) == 32 and "juliet" not in NOTE.collapse_id
    assert NOTE.collapse_id == replace(NOTE, body="Again").collapse_id != other.collapse_id
    assert replace(NOTE, conversation="").collapse_id == ""


@pytest.mark.parametrize(
    ("outcome", "registered_at_us", "is_killed"),
    [
        (Outcome(Result.DEAD), 10, True),
        (Outcome(Result.DEAD, dead_at_us=10), 10, True),
        (Outcome(Result.DEAD, dead_at_us=10), 9, True),
        (Outcome(Result.DEAD, dead_at_us=10), 11, False),  # it registered again after that
        (Outcome(Result.REFUSED), 10, False),
    ],
)
def test_a_token_that_was_registered_after_its_death_lives(outcome, registered_at_us, is_killed):
    assert outcome.kills(registered_at_us) is is_killed


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Fri, 15 Jan 2027 08:02:00 GMT", 120.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("999999999999999999999", MAX_RETRY_AFTER_S),
        ("Fri, 15 Jan 2038 08:02:00 GMT", MAX_RETRY_AFTER_S),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 99 Jan 2027 99:02:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_has_a_bound(value, seconds):
    assert retry_after_s(value, NOW_US) == seconds


def test_only_a_short_plain_word_of_a_peer_becomes_a_reason():
    assert reason_of("Unregistered", "http-410") == "Unregistered"
    for odd in ("", "two words", "x" * 61, "a\nb", 7, None, ["Unregistered"]):
        assert reason_of(odd, "http-410") == "http-410"
