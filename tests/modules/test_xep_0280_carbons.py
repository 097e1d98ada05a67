"""XEP-0280: Message Carbons."""

from typing import Any

import pytest

from codec.element import Element
from codec.stanza import Message
from tests.modules.conftest import MakeWorld
from tests.support.chat import CARBONS, MESSAGES, Phone, Timers, bodies, chat, condition, stanza_id
from tests.support.world import World

ROMEO, BARE = "romeo@example.org/orchard", "juliet@example.org"
ENABLE = f"<iq type='set' id='c'><enable xmlns='{CARBONS}'/></iq>"
DISABLE = f"<iq type='set' id='c'><disable xmlns='{CARBONS}'/></iq>"
PRIVATE = f"<private xmlns='{CARBONS}'/>"
NO_COPY = "<no-copy xmlns='urn:xmpp:hints'/>"
MUC = "http://jabber.org/protocol/muc#user"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0030_disco", *MESSAGES)


async def cast(world: World) -> tuple[Phone, Phone, Phone]:
    """Return romeo, and two clients of juliet's: one without carbons and of high priority, one with."""
    romeo = await Phone.login(world, ROMEO)
    plain = await Phone.login(world, f"{BARE}/plain", "<presence><priority>5</priority></presence>")
    copied = await Phone.login(world, f"{BARE}/copied")
    await copied.send(ENABLE)
    for phone in (romeo, plain, copied):
        await phone.messages()
    return romeo, plain, copied


class Carbon:
    """A copy: its wrapper's envelope, its direction, the message inside."""

    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper
        [carbon] = wrapper.elements()
        assert carbon.ns == CARBONS
        self.direction = carbon.name
        [forwarded] = carbon.elements()
        assert forwarded.tag == "urn:xmpp:forward:0 forwarded"
        [self.message] = forwarded.elements()
        assert self.message.tag == "jabber:client message"

    @property
    def body(self) -> str:
        found = self.message.find("jabber:client body")
        return "" if found is None else found.text


async def carbons(phone: Phone) -> list[Carbon]:
    return [Carbon(stanza) for stanza in await phone.messages()]


# enabling


async def test_it_is_offered_by_the_server_and_the_account(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    for to in ("example.org", "romeo@example.org"):
        romeo.take()
        [reply] = await romeo.send(
            f"<iq type='get' id='d' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
        assert CARBONS in {element.get("var") for element in reply.elements()[0].elements()}


async def test_it_may_be_enabled_and_disabled_again_and_again(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    romeo.take()
    for xml in (DISABLE, ENABLE, ENABLE, DISABLE, DISABLE, ENABLE):
        [reply] = await romeo.send(xml)
        assert reply.type == "result" and reply.elements() == ()


async def test_nobody_enables_it_for_another_account(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    await world.account(BARE)
    romeo.take()
    [reply] = await romeo.send(f"<iq type='set' id='c' to='{BARE}'><enable xmlns='{CARBONS}'/></iq>")
    assert condition(reply) == "service-unavailable"


async def test_who_has_not_asked_gets_no_copy_nor_who_has_stopped(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await romeo.send(chat(copied, "one"))
    assert bodies(await copied.messages()) == ["one"] and await plain.messages() == []
    await copied.send(DISABLE)
    await copied.messages()
    await romeo.send(chat(plain, "two"))
    assert bodies(await plain.messages()) == ["two"] and await copied.messages() == []


async def test_a_new_session_begins_without(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await copied.client.close()
    again = await Phone.login(world, f"{BARE}/copied")
    await again.messages()
    await romeo.send(chat(plain, "one"))
    assert await again.messages() == []


async def test_a_resumed_session_goes_on_with(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await copied.cut()
    await romeo.send(chat(plain, "while away"))
    await copied.resume()
    await romeo.send(chat(plain, "afterwards"))
    assert [carbon.body for carbon in await carbons(copied)] == ["while away", "afterwards"]


# copies


async def test_a_received_copy_is_from_the_account_and_holds_the_message_with_its_id(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await romeo.send(chat(plain, "one", id_="m1"))
    [original] = await plain.messages()
    [carbon] = await carbons(copied)
    assert (carbon.direction, carbon.wrapper.from_, carbon.wrapper.to) == ("received", BARE, copied.jid)
    assert carbon.wrapper.type == "chat"
    message = carbon.message
    assert (message.get("from"), message.get("to"), message.get("id")) == (ROMEO, plain.jid, "m1")
    inner = message.find("urn:xmpp:sid:0 stanza-id")
    assert inner is not None and inner.get("id") == stanza_id(original, BARE) is not None


async def test_a_sent_copy_holds_the_message_with_its_id_in_the_senders_history(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await plain.send(chat(romeo, "one"))
    [carbon] = await carbons(copied)
    assert (carbon.direction, carbon.wrapper.from_, carbon.wrapper.to) == ("sent", BARE, copied.jid)
    assert (carbon.message.get("from"), carbon.message.get("to")) == (plain.jid, ROMEO)
    bounds = await world.shared.backend.archive.bounds(BARE)
    inner = carbon.message.find("urn:xmpp:sid:0 stanza-id")
    assert bounds is not None and inner is not None
    assert (inner.get("by"), inner.get("id")) == (BARE, world.shared.archive_ids.text_of(bounds[0]))
    assert bodies(await romeo.messages()) == ["one"]


async def test_the_sender_gets_no_copy(world: World) -> None:
    romeo, _, copied = await cast(world)
    await copied.send(chat(romeo, "one"), chat(BARE, "to myself"))
    assert await copied.messages() == []


async def test_who_gets_the_message_gets_no_copy(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await plain.send("<presence><priority>0</priority></presence>")
    for phone in (plain, copied):
        await phone.messages()
    await romeo.send(chat(BARE, "one"))
    assert bodies(await plain.messages()) == ["one"] and bodies(await copied.messages()) == ["one"]


async def test_a_message_to_oneself_comes_once_to_each_other_resource(world: World) -> None:
    _, plain, copied = await cast(world)
    third = await Phone.login(world, f"{BARE}/third")
    await third.send(ENABLE)
    await third.messages()
    await copied.send(chat(BARE, "note"))
    assert bodies(await plain.messages()) == ["note"]
    [carbon] = await carbons(third)
    assert (carbon.direction, carbon.body) == ("received", "note")
    assert await copied.messages() == []


async def test_a_connected_resource_that_is_not_available_gets_copies_of_what_others_get(world: World) -> None:
    romeo, plain, _ = await cast(world)
    quiet = await Phone.login(world, f"{BARE}/quiet", presence=None)
    await quiet.send(ENABLE)
    await quiet.messages()
    await romeo.send(chat(plain, "one"))
    assert [carbon.body for carbon in await carbons(quiet)] == ["one"]


async def test_with_a_negative_priority_one_gets_a_copy_of_what_waits(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    negative = await Phone.login(world, f"{BARE}/negative", "<presence><priority>-1</priority></presence>")
    await negative.send(ENABLE)
    await negative.messages()
    await romeo.send(chat(BARE, "one"))
    assert [carbon.body for carbon in await carbons(negative)] == ["one"]
    await negative.ack()
    other = await Phone.login(world, f"{BARE}/other")
    assert bodies(await other.messages()) == ["one"]


async def test_before_presence_there_is_no_copy_of_what_comes_with_presence(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    juliet = await Phone.login(world, f"{BARE}/balcony", presence=None)
    await juliet.send(ENABLE)
    await juliet.messages()
    await romeo.send(chat(BARE, "one"))
    assert await juliet.messages() == []
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["one"]


async def test_what_a_lost_resource_did_not_acknowledge_is_not_sent_to_one_that_has_a_copy(world: World) -> None:
    timers = Timers(world)
    romeo, plain, copied = await cast(world)
    await plain.cut()
    await romeo.send(chat(plain, "acknowledged"))
    await copied.ack()
    await romeo.send(chat(plain, "not acknowledged"))
    assert [carbon.body for carbon in await carbons(copied)] == ["acknowledged", "not acknowledged"]
    await timers.advance(600)
    assert await copied.messages() == []


async def test_when_the_copy_is_lost_too_the_message_itself_waits(world: World) -> None:
    timers = Timers(world)
    romeo, plain, copied = await cast(world)
    await plain.cut()
    await copied.cut()
    await romeo.send(chat(plain, "one", id_="m1"))
    await timers.advance(600)
    again = await Phone.login(world, f"{BARE}/again")
    [message] = await again.messages()
    assert (message.from_, message.id, bodies([message])) == (ROMEO, "m1", ["one"])


# which messages


def message(inner: str, type_: str = "chat") -> str:
    return f"<message to='{{}}' type='{type_}'>{inner}</message>"


BODY = "<body>x</body>"
IM = {
    "chat state": "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "receipt": "<received xmlns='urn:xmpp:receipts' id='1'/>",
    "marker": "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
    "direct invitation": "<x xmlns='jabber:x:conference' jid='coven@chat.example.org'/>",
    "mediated invitation": f"<x xmlns='{MUC}'><invite from='hecate@example.org'/></x>",
}
ERROR = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


@pytest.mark.parametrize(
    "xml",
    [
        message(BODY),
        message("<anything xmlns='urn:example:x'/>"),
        message(BODY, "normal"),
        message(BODY + ERROR, "error"),
        *(message(inner) for inner in IM.values()),
        *(message(inner, "normal") for inner in IM.values()),
    ],
)
async def test_what_is_said_is_copied_on_both_sides(world: World, xml: str) -> None:
    romeo, plain, copied = await cast(world)
    await romeo.send(xml.format(plain))
    assert [carbon.direction for carbon in await carbons(copied)] == ["received"]
    assert len(await plain.messages()) == 1
    await plain.send(xml.format(romeo))
    assert [carbon.direction for carbon in await carbons(copied)] == ["sent"]


@pytest.mark.parametrize(
    "xml",
    [
        message(BODY + PRIVATE),
        message(BODY + PRIVATE + NO_COPY),
        message(BODY + NO_COPY),
        message(BODY, "headline"),
        message(BODY, "groupchat"),
        message("<anything xmlns='urn:example:x'/>", "normal"),
        message(ERROR, "error"),
    ],
)
async def test_what_is_private_or_no_conversation_is_not_copied(world: World, xml: str) -> None:
    romeo, plain, copied = await cast(world)
    await romeo.send(xml.format(plain))
    assert len(await plain.messages()) == 1
    await plain.send(xml.format(romeo))
    assert await copied.messages() == []


async def test_a_private_message_arrives_with_its_mark(world: World) -> None:
    romeo, plain, _ = await cast(world)
    await romeo.send(chat(plain, "one", PRIVATE + NO_COPY))
    [received] = await plain.messages()
    assert received.has(f"{CARBONS} private") and received.has("urn:xmpp:hints no-copy")


async def test_a_private_message_in_a_room_is_copied_when_sent_and_not_when_received(world: World) -> None:
    romeo, plain, copied = await cast(world)
    said = chat("{}", "one", f"<x xmlns='{MUC}'/>")
    await plain.send(said.format(romeo))
    assert [carbon.direction for carbon in await carbons(copied)] == ["sent"]
    await romeo.send(said.format(plain))
    assert await copied.messages() == []


async def test_a_forged_copy_is_what_it_is_a_message_from_its_sender(world: World) -> None:
    romeo, plain, copied = await cast(world)
    inner = f"<message xmlns='jabber:client' from='nurse@example.org' to='{BARE}'><body>forged</body></message>"
    forged = f"<received xmlns='{CARBONS}'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></received>"
    await romeo.send(f"<message to='{plain}' type='chat'>{forged}</message>")
    [received] = await plain.messages()
    assert received.from_ == ROMEO
    assert await copied.messages() == []


async def test_a_copy_needs_no_prefix_that_was_declared_outside(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await romeo.send(
        f"<message to='{plain}' type='chat' xmlns:e='urn:example:e'><body>x</body><e:f e:g='h'/></message>"
    )
    [carbon] = await carbons(copied)
    assert carbon.message.find("urn:example:e f") == Element("urn:example:e f", {"urn:example:e g": "h"})


async def test_a_copy_that_comes_back_as_an_error_reaches_nobody(world: World) -> None:
    romeo, plain, copied = await cast(world)
    await romeo.send(chat(plain, "one", id_="m1"))
    [carbon] = await carbons(copied)
    romeo.received.clear()
    await copied.send(f"<message to='{BARE}' type='error'>{ERROR}</message>")
    assert isinstance(carbon.wrapper, Message) and await romeo.messages() == []
