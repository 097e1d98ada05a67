"""XEP-0280: Message Carbons."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client, Where
from compliance.names import Element, find, text
from compliance.scene import Scene

check = checks_of("XEP-0280")
FEATURE = "urn:xmpp:carbons:2"
ENABLE = "<enable xmlns='urn:xmpp:carbons:2'/>"
DISABLE = "<disable xmlns='urn:xmpp:carbons:2'/>"
PRIVATE = "<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>"


async def _send(client: Client, to: str, inner: str = "", *, type_: str = "chat") -> str:
    token = secrets.token_hex(8)
    content = inner or f"<body>{token}</body>"
    await client.send(f"<message to={quoteattr(to)} type='{type_}' id='{token}'>{content}</message>")
    return token


def carried(kind: str, token: str) -> Where:
    """Return a condition: the message is a carbon of that kind around the message with that id."""

    def fits(message: Element) -> bool:
        inner = find(message, f"carbons:{kind}/forward:forwarded/c:message")
        return inner is not None and inner.get("id") == token

    return fits


async def _carbon(client: Client, kind: str, token: str) -> tuple[Element, Element]:
    """Wait for a carbon; return its wrapper and the message in it."""
    wrapper = await client.expect("c:message", where=carried(kind, token))
    inner = find(wrapper, f"carbons:{kind}/forward:forwarded/c:message")
    assert inner is not None
    return wrapper, inner


def _refuse_carbon(client: Client, kind: str, token: str, why: str) -> None:
    client.refuse("c:message", where=carried(kind, token), why=why)


async def _cast(scene: Scene) -> tuple[Client, Client, Client]:
    """Return romeo and two resources of juliet; the second has carbons on and the lower priority."""
    scene.needs(FEATURE)
    romeo = await scene.online("romeo")
    first = await scene.online("juliet", label="juliet 1", priority=5)
    second = await scene.online("juliet", label="juliet 2", priority=0)
    await second.ask("set", ENABLE)
    return romeo, first, second


@check("4", MUST, "Carbons can be switched on and off, again and again.")
async def carbons_can_be_switched(scene: Scene) -> None:
    scene.needs(FEATURE)
    romeo = await scene.online("romeo")
    for request in (ENABLE, ENABLE, DISABLE, DISABLE, ENABLE):
        await romeo.ask("set", request)


@check("7", MUST, "A message to one resource is copied to the others that have carbons on.")
async def received_message_is_copied(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    token = await _send(romeo, first.jid)
    await first.expect("c:message", id=token)
    wrapper, inner = await _carbon(second, "received", token)
    require_equal(wrapper.get("from"), second.bare, "the from of the copy")
    require_equal(wrapper.get("to"), second.jid, "the to of the copy")
    require_equal((inner.get("from"), inner.get("to")), (romeo.jid, first.jid), "from and to of the message inside")
    require_equal(text(inner, "c:body"), token, "the body of the message inside")


@check("7", SHOULD, "The copy has the type of the message.")
async def copy_has_the_type_of_the_message(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    token = await _send(romeo, first.jid)
    wrapper, _ = await _carbon(second, "received", token)
    require_equal(wrapper.get("type"), "chat", "the type of the copy")


@check("8", MUST, "A message that one resource sends is copied to the others that have carbons on.")
async def sent_message_is_copied(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    token = await _send(first, romeo.jid)
    wrapper, inner = await _carbon(second, "sent", token)
    require_equal(wrapper.get("from"), second.bare, "the from of the copy")
    require_equal((inner.get("from"), inner.get("to")), (first.jid, romeo.jid), "from and to of the message inside")
    await romeo.expect("c:message", id=token)


@check("7", MUST, "A resource that got the message itself gets no copy of it, nor does the sender.")
async def nobody_gets_a_message_twice(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    await first.ask("set", ENABLE)
    tokens = [await _send(romeo, first.jid), await _send(first, romeo.jid), await _send(romeo, first.bare)]
    await scene.settle(romeo, first)
    await first.roundtrip()
    _refuse_carbon(first, "received", tokens[0], "the addressee got a copy as well")
    _refuse_carbon(first, "sent", tokens[1], "the sender got a copy")
    _refuse_carbon(first, "received", tokens[2], "a resource that got the message got a copy as well")
    await scene.settle(romeo, second)
    got = second.unread("c:message", id=tokens[2]) + second.unread("c:message", where=carried("received", tokens[2]))
    require_equal(len(got), 1, "how often the other resource got a message to the bare JID")


@check("7", MUST, "A resource that has not asked for carbons gets none, nor one that has switched them off.")
async def carbons_are_for_those_who_asked(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    token = await _send(romeo, second.jid)
    await second.expect("c:message", id=token)
    await scene.settle(romeo, first)
    _refuse_carbon(first, "received", token, "a copy went to a resource that has not asked for carbons")
    await second.ask("set", DISABLE)
    token = await _send(romeo, first.jid)
    await first.expect("c:message", id=token)
    await scene.settle(romeo, second)
    _refuse_carbon(second, "received", token, "a copy went to a resource that has switched carbons off")


@check("9", MUST, "A message marked as private is not copied, on the sender's side or the recipient's.")
async def private_message_is_not_copied(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    received = await _send(romeo, first.jid, f"<body>private</body>{PRIVATE}")
    sent = await _send(first, romeo.jid, f"<body>private</body>{PRIVATE}")
    await first.expect("c:message", id=received)
    await romeo.expect("c:message", id=sent)
    await scene.settle(romeo, second)
    await scene.settle(first, second)
    _refuse_carbon(second, "received", received, "a private message was copied to the recipient's other resource")
    _refuse_carbon(second, "sent", sent, "a private message was copied to the sender's other resource")


@check("6.1", SHOULD, "A normal message with a body is copied; a headline and a groupchat message are not.")
async def eligible_types_are_copied(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    await _carbon(second, "received", await _send(romeo, first.jid, type_="normal"))
    for kind in ("headline", "groupchat"):
        token = await _send(romeo, first.jid, type_=kind)
        await first.expect("c:message", id=token)
        await scene.settle(romeo, second)
        _refuse_carbon(second, "received", token, f"a {kind} message was copied")


@check("6.1", SHOULD, "Chat states, receipts and markers without a body are copied when their type is chat.")
async def bodiless_chat_messages_are_copied(scene: Scene) -> None:
    romeo, first, second = await _cast(scene)
    payloads = (
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='x'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>",
    )
    for payload in payloads:
        await _carbon(second, "received", await _send(romeo, first.jid, payload))


@check("11", MUST, "A forged copy from another account is delivered as what it is: a message from that account.")
async def forged_carbon_keeps_its_sender(scene: Scene) -> None:
    romeo, first, _ = await _cast(scene)
    inner = (
        f"<message xmlns='jabber:client' from='{first.bare}' to='{first.jid}' type='chat'><body>forged</body></message>"
    )
    forged = f"<received xmlns='{FEATURE}'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></received>"
    token = await _send(romeo, first.jid, forged)
    await scene.settle(romeo, first)
    for message in first.unread("c:message", id=token):
        require_equal(message.get("from"), romeo.jid, "the from of the forged copy")


@check(
    "8", SHOULD, "A client with negative priority, or with no presence sent, may still get copies once it has asked."
)
async def negative_priority_gets_copies(scene: Scene) -> None:
    scene.needs(FEATURE)
    romeo, first = await scene.online("romeo"), await scene.online("juliet", label="juliet 1")
    negative = await scene.online("juliet", label="juliet negative", priority=-1)
    await negative.ask("set", ENABLE)
    token = await _send(romeo, first.bare)
    await first.expect("c:message", id=token)
    _, inner = await _carbon(negative, "received", token)
    require(text(inner, "c:body") == token, "the copy has lost the body")


@check("4.1", MUST, "Nobody switches on carbons of another account.")
async def others_carbons_are_closed(scene: Scene) -> None:
    romeo, _, _ = await _cast(scene)
    reply = await romeo.iq("set", ENABLE, to=scene.jid("juliet"))
    require_equal(reply.get("type"), "error", "the type of the answer")
