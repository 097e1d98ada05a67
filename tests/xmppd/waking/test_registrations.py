"""Registrations and settings as values."""

import pytest

from push.gateway import Kind
from xmppd.waking.registrar import target_of
from xmppd.waking.registrations import Attempt, Registration, Settings, as_content, as_mode


def made(**more: object) -> Registration:
    return Registration(**({"key": "k", "gateway": "apns", "token": "t", "registered_at_us": 5} | more))


def test_a_registration_comes_back_as_it_was():
    one = made(call_token="c", topic="a", agent="u", name="iPhone", resource="phone")
    assert Registration.from_bytes("k", one.to_bytes()) == one


def test_what_another_version_wrote_beside_it_is_left_out():
    assert Registration.from_bytes("k", b'{"gateway":"apns","token":"t","new":1}').token == "t"


def test_tokens_stand_in_no_repr():
    assert "sec" not in repr(made(token="sec1", call_token="sec2", auth="sec3", node="sec4", options="sec5"))


def test_a_call_goes_to_the_token_for_calls():
    one = made(call_token="c")
    assert (one.device("a@b", Kind.CALL).token, one.device("a@b").token) == ("c", "t")
    assert made().device("a@b", Kind.CALL).token == "t"


def test_an_app_servers_token_says_all_that_is_needed():
    one = made(gateway="xmpp", token="push.example", node="n", options="<x/>")
    target = target_of(one.device("a@b").token)
    assert target == {"account": "a@b", "jid": "push.example", "node": "n", "options": "<x/>"}


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"token": "t"}, True),
        ({"token": "u"}, False),
        ({"token": "u", "agent": "i"}, True),
        ({"token": "u", "agent": "i", "topic": "other.app"}, False),
        ({"token": "t", "gateway": "fcm"}, False),
    ],
)
def test_same_target_or_same_installation_takes_the_place(other, expected):
    assert made(agent="i").is_same(made(**other)) is expected


def test_settings_come_back_as_they_were():
    own = Settings(content="full", rooms="never", headlines=True, quiet=False, chats={"a@b": "never"})
    assert Settings.from_bytes(own.to_bytes()) == own
    assert Settings.from_bytes(Settings().to_bytes()) == Settings()


def test_a_rule_is_given_and_taken():
    own = Settings().with_chat("a@b", "never")
    assert own.chats == {"a@b": "never"} and own.with_chat("a@b", None).chats == {}


def test_an_attempt_comes_back_as_it_was():
    one = Attempt(5, "dead", "Unregistered", 20)
    assert Attempt.from_bytes(one.to_bytes()) == one


def test_other_words_are_refused():
    assert (as_mode("never"), as_content("full")) == ("never", "full")
    for read in (as_mode, as_content):
        with pytest.raises(ValueError, match="one of"):
            read("x")
