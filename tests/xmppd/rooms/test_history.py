"""Newcomers get what they ask for of the last messages, and no more than is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from codec.element import Element
from codec.jid import JID
from codec.payloads.delay import Delay
from codec.stanza import Message
from xmppd.rooms.history import History, Wish

ROOM = JID.parse("den@rooms.example")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def history() -> History:
    """Ten messages, a minute apart; the last was a minute ago."""
    history = History(ROOM, 10)
    for number in range(12):
        body = Element("jabber:client body", {}, (str(number),))
        message = Message.build(body, from_=ROOM.with_resource("romeo"), type="groupchat")
        history.add(message, START + timedelta(minutes=number), number + 1)
    return history


NOW = START + timedelta(minutes=12)


def texts(history: History, wish: Wish | None = None) -> list[int]:
    return [int(message.elements()[0].text) for message in history.select(wish, NOW)]


def test_the_last_messages_are_kept_in_order(history: History) -> None:
    assert texts(history) == list(range(2, 12))


def test_each_says_when_it_was_sent_and_by_whom(history: History) -> None:
    message = history.select(None, NOW)[0]
    assert message.get(Delay) == Delay(from_=ROOM, stamp=START + timedelta(minutes=2))
    assert message.from_ == "den@rooms.example/romeo"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(maxstanzas=3), [9, 10, 11]),
        (Wish(maxstanzas=0), []),
        (Wish(seconds=181), [9, 10, 11]),
        (Wish(seconds=0), []),
        (Wish(since=START + timedelta(minutes=10)), [10, 11]),
        (Wish(since=START + timedelta(minutes=5), maxstanzas=2), [10, 11]),
        (Wish(seconds=181, since=START), [9, 10, 11]),
        (Wish(maxchars=0), []),
        (Wish(maxchars=10), []),
        (Wish(maxchars=100_000), list(range(2, 12))),
    ],
)
def test_a_wish_selects_and_all_of_it_holds(history: History, wish: Wish, expected: list[int]) -> None:
    assert texts(history, wish) == expected


def test_maxchars_counts_what_is_sent(history: History) -> None:
    size = len(history.select(None, NOW)[-1].inner)
    assert texts(history, Wish(maxchars=2 * size)) == [10, 11]


def test_one_message_can_be_taken_out_and_the_length_changed(history: History) -> None:
    history.remove(12)
    assert texts(history) == list(range(2, 11))
    history.resize(2)
    assert texts(history) == [9, 10] and len(history) == 2
    history.resize(0)
    history.add(Message.build(from_=ROOM), NOW, 99)
    assert texts(history) == []
