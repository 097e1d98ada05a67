"""XEP-0334: Message Processing Hints, and what is worth keeping."""

import pytest

from codec.element import parse_element
from codec.stanza import Message
from tests.modules.conftest import MakeWorld
from tests.support.chat import MESSAGES, Phone, Timers, bodies, chat, condition
from xmppd.modules.xep_0334_hints import is_storable, may_wait

HINT = "<{} xmlns='urn:xmpp:hints'/>"
BODY = "<body>x</body>"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
RECEIPT = "<received xmlns='urn:xmpp:receipts' id='1'/>"
ENCRYPTED = "<encrypted xmlns='eu.siacs.conversations.axolotl'/>"


def message(inner: str, type_: str = "chat") -> Message:
    element = parse_element(f"<message>{inner}</message>".encode())
    return Message.build(*element.elements(), type=type_)


@pytest.mark.parametrize("type_", ["chat", "normal"])
@pytest.mark.parametrize(
    "inner", [BODY, RECEIPT, ENCRYPTED, "<subject>x</subject>", COMPOSING + HINT.format("store"), BODY + COMPOSING]
)
def test_what_lasts_is_kept(inner: str, type_: str) -> None:
    assert may_wait(message(inner, type_)) and is_storable(message(inner, type_))


@pytest.mark.parametrize("inner", ["", COMPOSING, "<thread>1</thread>", COMPOSING + "<thread>1</thread>"])
def test_what_passes_is_not_kept(inner: str) -> None:
    assert not may_wait(message(inner)) and not is_storable(message(inner))


@pytest.mark.parametrize("type_", ["groupchat", "headline", "error"])
def test_only_chat_and_normal_messages_are_kept(type_: str) -> None:
    assert not may_wait(message(BODY, type_)) and not is_storable(message(BODY, type_))


@pytest.mark.parametrize("inner", [BODY, ENCRYPTED, HINT.format("store")])
def test_no_store_forbids_keeping(inner: str) -> None:
    assert not may_wait(message(inner + HINT.format("no-store")))
    assert not is_storable(message(inner + HINT.format("no-store")))


def test_no_permanent_store_forbids_the_history_alone() -> None:
    hinted = message(BODY + HINT.format("no-permanent-store"))
    assert may_wait(hinted) and not is_storable(hinted)


async def test_no_permanent_store_waits_for_somebody_absent_and_stays_out_of_histories(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES)
    romeo = await Phone.login(world, "romeo@example.org/orchard")
    await world.account("juliet@example.org")
    await romeo.send(chat("juliet@example.org", "off the record", HINT.format("no-permanent-store")))
    juliet = await Phone.login(world, "juliet@example.org/balcony")
    assert bodies(await juliet.messages()) == ["off the record"]
    for owner in ("romeo@example.org", "juliet@example.org"):
        assert await world.shared.backend.archive.bounds(owner) is None


async def test_no_permanent_store_that_its_resource_never_acknowledged_waits_too(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES)
    timers = Timers(world)
    romeo = await Phone.login(world, "romeo@example.org/orchard")
    juliet = await Phone.login(world, "juliet@example.org/balcony")
    await romeo.send(chat(juliet, "off the record", HINT.format("no-permanent-store")))
    await juliet.cut()
    await timers.advance(600)
    again = await Phone.login(world, "juliet@example.org/balcony")
    assert bodies(await again.messages()) == ["off the record"]


async def test_no_store_for_somebody_absent_is_refused(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES)
    romeo = await Phone.login(world, "romeo@example.org/orchard")
    await world.account("juliet@example.org")
    [reply] = await romeo.send(chat("juliet@example.org", "now or never", HINT.format("no-store"), id_="m"))
    assert condition(reply) == "service-unavailable" and reply.id == "m"
