"""Who has a message already."""

from types import SimpleNamespace
from typing import Any

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import Message, Presence
from xmppd.resource import Account, Resource
from xmppd.waking.registrations import Registration
from xmppd.waking.watching import MAX_WATCHED, Sent, Watch, has_taken, is_connected, is_in_use, is_inactive, session_of

ACCOUNT = JID.parse("j@example.org")


def resource(name: str = "phone", unacked: tuple[Any, ...] = (), is_up: bool = True, show: str = "") -> Resource:
    account = Account(ACCOUNT, None, None)  # type: ignore[arg-type]
    stream: Any = SimpleNamespace(is_connected=is_up)
    made = Resource(ACCOUNT.with_resource(name), account, stream, lambda *_: None)
    made.acks = SimpleNamespace(unacked=list(unacked))  # type: ignore[assignment]
    made.presence = Presence.build(*([Element("jabber:client show", {}, (show,))] if show else []))
    return made


def sent(id_: int = 1, due_s: float = 10.0) -> Sent:
    return Sent(Message(None, None, None, "chat"), id_, due_s, None)


def device(key: str = "k", **more: str) -> Registration:
    return Registration(key=key, gateway="apns", token="t", **more)


def test_what_is_acknowledged_is_watched_no_more():
    phone, watch = resource(unacked=((None, 1),)), Watch()
    watch.add(device(), "a", (phone,), sent(1))
    watch.acknowledged(phone, 1)
    assert watch.entries == {} and watch.next_due_s() is None


def test_what_nobody_acknowledges_is_due_in_its_time():
    phone, watch = resource(unacked=((None, 1),)), Watch()
    watch.add(device(), "a", (phone,), sent(1))
    assert watch.due(9.0) == [] and watch.next_due_s() == 10.0
    assert [entry.newest.id for entry in watch.due(10.0)] == [1]
    assert watch.entries == {}


def test_the_newest_of_a_conversation_is_told():
    phone, watch = resource(unacked=((None, 1), (None, 2))), Watch()
    watch.add(device(), "a", (phone,), sent(1, 10))
    watch.add(device(), "a", (phone,), sent(2, 15))
    assert [entry.newest.id for entry in watch.due(10.0)] == [2]


def test_an_acknowledgement_of_the_first_gives_the_newest_its_own_time():
    phone, watch = resource(unacked=((None, 2),)), Watch()
    watch.add(device(), "a", (phone,), sent(1, 10))
    watch.add(device(), "a", (phone,), sent(2, 15))
    watch.acknowledged(phone, 1)
    assert watch.next_due_s() == 15


def test_a_client_that_is_lost_is_due_at_once_and_others_are_not():
    one, other, watch = resource("a", ((None, 1),)), resource("b", ((None, 1),)), Watch()
    watch.add(device("k"), "a", (one,), sent(1))
    watch.add(device("l"), "a", (other,), sent(1))
    assert [entry.registration.key for entry in watch.due(0.0, lost=one)] == ["k"]
    assert len(watch.entries) == 1


def test_too_many_conversations_push_the_oldest_out():
    phone, watch = resource(), Watch()
    left = [watch.add(device(), str(number), (phone,), sent(number)) for number in range(MAX_WATCHED + 1)]
    assert left[:-1] == [None] * MAX_WATCHED and left[-1] is not None and left[-1].newest.id == 0


def test_a_message_without_an_id_is_known_by_itself():
    one = sent(0)
    assert not has_taken(resource(unacked=((one.message, 0),)), one)
    assert has_taken(resource(unacked=((None, 0),)), one)


def test_a_client_that_has_ended_or_does_not_count_has_not_acknowledged():
    ended = resource()
    ended.is_ended = True
    assert not has_taken(ended, sent())
    ended.is_ended, ended.acks = False, None
    assert not has_taken(ended, sent())


@pytest.mark.parametrize(
    ("show", "expected"), [("", True), ("chat", True), ("away", False), ("xa", False), ("dnd", False)]
)
def test_a_client_is_in_use_unless_it_says_otherwise(show, expected):
    assert is_in_use(resource(show=show)) is expected


def test_a_client_is_not_in_use_without_presence_connection_priority_or_attention():
    assert not is_in_use(resource(is_up=False)) and not is_connected(resource(is_up=False))
    phone = resource()
    phone.gate = lambda *_: False
    assert is_inactive(phone) and not is_in_use(phone)
    phone.gate, phone.priority = None, -1
    assert not is_in_use(phone)
    phone.priority, phone.presence = 0, None
    assert not is_in_use(phone)


def test_the_session_of_a_device_is_its_installations_or_its_resources():
    account = Account(ACCOUNT, None, None)  # type: ignore[arg-type]
    one, other = resource("a"), resource("b")
    account.resources = {"a": one, "b": other}
    agents = {one: "x", other: "y"}
    assert session_of(account, device(agent="y", resource="a"), agents.get) is other
    assert session_of(account, device(resource="a"), agents.get) is one
    assert session_of(account, device(agent="z", resource="gone"), agents.get) is None
    assert session_of(account, device(), agents.get) is None
