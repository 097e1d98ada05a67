"""RFC 6121 §8: which resources get a stanza, by its kind, its type and its address."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, XML_LANG, condition, text
from compliance.scene import Scene

check = checks_of("RFC 6121")
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
UNREACHABLE = ("service-unavailable", "recipient-unavailable", "item-not-found")


async def _send(client: Client, to: str, type_: str, *, extra: str = NO_STORE) -> str:
    """Send a message with a body and return its id, which no other message has."""
    token = secrets.token_hex(8)
    await client.send(f"<message to={quoteattr(to)} type='{type_}' id='{token}'><body>{token}</body>{extra}</message>")
    return token


def _nobody(scene: Scene) -> str:
    return f"nobody-{secrets.token_hex(5)}@{scene.domain}"


# -- to an account that does not exist


@check("8.5.1", MUST, "A request to an account that does not exist is service-unavailable.")
async def request_to_nobody_is_refused(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    for to in (_nobody(scene), f"{_nobody(scene)}/r"):
        reply = await romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=to)
        require_equal(reply.get("type"), "error", "the type of the answer")
        require_in(condition(reply), ("service-unavailable", "item-not-found"), "the condition")


@check("8.5.1", MUST, "A message to an account that does not exist is refused or ignored; it ends no stream.")
async def message_to_nobody_is_refused_or_ignored(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    token = await _send(romeo, _nobody(scene), "chat")
    await romeo.roundtrip()
    for reply in romeo.unread("c:message", id=token):
        require_equal(reply.get("type"), "error", "the type of the answer")
        require_in(condition(reply), UNREACHABLE, "the condition")


@check("8.5.1", MUST, "Presence to an account that does not exist is ignored.")
async def presence_to_nobody_is_ignored(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    nobody = _nobody(scene)
    await romeo.send(f"<presence to={quoteattr(nobody)}/><presence type='unavailable' to={quoteattr(nobody)}/>")
    await romeo.roundtrip()
    romeo.refuse("c:presence", from_=nobody, why="presence to nobody was answered")


# -- to the bare JID


@check("8.5.2.1.1", MUST, "A message to the bare JID reaches the one available resource, whatever its type of chat.")
async def bare_message_reaches_the_one_resource(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    for kind in ("chat", "normal", "headline"):
        token = await _send(romeo, juliet.bare, kind)
        message = await juliet.expect("c:message", id=token)
        require_equal(message.get("type", "normal"), kind, "the type")
        require_equal(message.get("from"), romeo.jid, "the from")


@check(
    "8.5.2.1.1", MUST, "Among several resources, a chat message to the bare JID reaches the most available ones or all."
)
async def bare_message_reaches_the_most_available(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    low, high = (
        await scene.online("juliet", label="juliet low", priority=1),
        scene.client("juliet", label="juliet high"),
    )
    await high.login()
    await scene.appear(high, priority=10)
    for kind in ("chat", "normal"):
        token = await _send(romeo, low.bare, kind)
        await high.expect("c:message", id=token)


@check("8.5.2.1.1", MUST, "A headline to the bare JID reaches every resource of non-negative priority.")
async def headline_reaches_every_resource(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    low = await scene.online("juliet", label="juliet low", priority=0)
    high = await scene.online("juliet", label="juliet high", priority=10)
    token = await _send(romeo, low.bare, "headline")
    await high.expect("c:message", id=token)
    await low.expect("c:message", id=token)


@check("8.5.2.1.1", MUST, "A resource of negative priority never gets what is sent to the bare JID.")
async def negative_priority_gets_no_bare_messages(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    positive = await scene.online("juliet", label="juliet positive", priority=1)
    negative = await scene.online("juliet", label="juliet negative", priority=-1)
    for kind in ("chat", "normal", "headline"):
        token = await _send(romeo, positive.bare, kind)
        await positive.expect("c:message", id=token)
        await scene.settle(romeo, negative)
        negative.refuse("c:message", id=token, why=f"a {kind} message reached a resource of negative priority")


@check(
    "8.5.2.1.1", MUST, "With no resource but one of negative priority, the message is kept or refused, not delivered."
)
async def negative_priority_alone_gets_no_bare_messages(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    negative = await scene.online("juliet", label="juliet negative", priority=-1)
    token = await _send(romeo, negative.bare, "chat")
    await scene.settle(romeo, negative)
    negative.refuse("c:message", id=token, why="a message to the bare JID reached a resource of negative priority")
    for reply in romeo.unread("c:message", id=token):
        require_equal(reply.get("type"), "error", "the type of the answer")


@check("8.5.2.1.1", MUST, "A groupchat message to a bare JID of a person is refused, and reaches no resource.")
async def groupchat_to_a_person_is_refused(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token = await _send(romeo, juliet.bare, "groupchat")
    reply = await romeo.expect("c:message", id=token, type="error")
    require_equal(condition(reply), "service-unavailable", "the condition")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:message", id=token, why="a groupchat message was delivered to a person")


@check("8.5.2.1.1", MUST, "A message of type error to the bare JID is ignored.")
async def error_to_the_bare_jid_is_ignored(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    error = f"<error type='cancel'><item-not-found xmlns='{PREFIXES['stanzas']}'/></error>"
    token = await _send(romeo, juliet.bare, "error", extra=error)
    await scene.settle(romeo, juliet)
    juliet.refuse("c:message", id=token, why="an error to the bare JID was delivered")
    romeo.refuse("c:message", id=token, why="an error was answered")


@check("8.5.2.1.2", MUST, "Presence to the bare JID reaches every available resource.")
async def bare_presence_reaches_every_resource(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    first = await scene.online("juliet", label="juliet 1")
    second = await scene.online("juliet", label="juliet 2", priority=-5)
    await romeo.send(f"<presence to={quoteattr(first.bare)}/>")
    await first.expect("c:presence", from_=romeo.jid)
    await second.expect("c:presence", from_=romeo.jid)


@check("8.5.2.1.3", MUST, "A request to the bare JID is answered by the server, never by a resource.")
async def bare_request_is_answered_by_the_server(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    reply = await romeo.iq("get", "<unheard-of xmlns='urn:example:unheard-of'/>", to=juliet.bare)
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_in(condition(reply), ("service-unavailable", "feature-not-implemented"), "the condition")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:iq", why="a request to the bare JID was delivered to a resource")


@check("8.5.2.2.1", MUST, "A groupchat message to one who is away is refused.")
async def groupchat_to_the_absent_is_refused(scene: Scene) -> None:
    await scene.strangers("juliet")
    romeo = await scene.online("romeo")
    token = await _send(romeo, scene.jid("juliet"), "groupchat")
    await romeo.expect("c:message", id=token, type="error")


@check("8.5.2.2.1", MUST, "A headline or an error to one who is away is dropped without an answer.")
async def headline_to_the_absent_is_dropped(scene: Scene) -> None:
    await scene.strangers("juliet")
    romeo = await scene.online("romeo")
    error = f"<error type='cancel'><item-not-found xmlns='{PREFIXES['stanzas']}'/></error>"
    tokens = [await _send(romeo, scene.jid("juliet"), "error", extra=error)]
    tokens.append(await _send(romeo, scene.jid("juliet"), "headline", extra=""))
    await romeo.roundtrip()
    juliet = await scene.login("juliet")
    await juliet.send("<presence/>")
    await juliet.roundtrip()
    for token in tokens:
        juliet.refuse("c:message", id=token, why="a headline or error was kept for one who was away")
    romeo.refuse("c:message", id=tokens[0], why="an error was answered")


# -- to the full JID


@check("8.5.3.1", MUST, "A message to a full JID reaches that resource, and as a plain message no other.")
async def full_message_reaches_that_resource(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    first = await scene.online("juliet", label="juliet 1", priority=10)
    second = await scene.online("juliet", label="juliet 2", priority=0)
    for kind in ("chat", "normal", "headline", "groupchat"):
        token = await _send(romeo, second.jid, kind)
        await second.expect("c:message", id=token)
        await scene.settle(romeo, first)
        first.refuse("c:message", id=token, why=f"a {kind} message to another resource came")


@check("8.5.3.1", MUST, "A message to a full JID is delivered even when its priority is negative.")
async def full_message_reaches_negative_priority(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet", priority=-1)
    token = await _send(romeo, juliet.jid, "chat")
    await juliet.expect("c:message", id=token)


@check(
    "8.5.3.1", MUST, "A request between resources that know each other's presence is delivered, and so is its answer."
)
async def full_request_is_delivered(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await juliet.send(f"<presence to={quoteattr(romeo.jid)}/>")
    await romeo.expect("c:presence", from_=juliet.jid)
    await romeo.send(f"<iq type='get' id='q1' to={quoteattr(juliet.jid)}><q xmlns='urn:example:q'/></iq>")
    request = await juliet.expect("c:iq", id="q1", from_=romeo.jid)
    require(request.find("{urn:example:q}q") is not None, "the payload is gone")
    await juliet.send(f"<iq type='result' id='q1' to={quoteattr(romeo.jid)}><q xmlns='urn:example:q'/></iq>")
    await romeo.expect("c:iq", id="q1", type="result", from_=juliet.jid)


@check("8.5.3.2.1", MUST, "A normal, groupchat or headline message to a resource that is gone reaches no other.")
async def message_to_a_gone_resource_is_not_rerouted(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    for kind in ("normal", "groupchat", "headline"):
        token = await _send(romeo, f"{juliet.bare}/gone", kind)
        await scene.settle(romeo, juliet)
        juliet.refuse("c:message", id=token, why=f"a {kind} message to a resource that is gone was given to another")


@check("8.5.3.2.1", MUST, "A chat message to a resource that is gone goes where the bare JID's would.")
async def chat_to_a_gone_resource_is_treated_as_bare(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token = await _send(romeo, f"{juliet.bare}/gone", "chat")
    await juliet.expect("c:message", id=token)


@check("8.5.3.2.3", MUST, "A request to a resource that is gone is service-unavailable.")
async def request_to_a_gone_resource_is_refused(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    reply = await romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=f"{juliet.bare}/gone")
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "service-unavailable", "the condition")


@check("8.5.3.2.2", MUST, "Presence to a resource that is gone is ignored.")
async def presence_to_a_gone_resource_is_ignored(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<presence to='{juliet.bare}/gone'/>")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:presence", from_=romeo.jid, why="presence to a resource that is gone was given to another")
    romeo.refuse("c:presence", type="error", why="presence to a resource that is gone was answered")


# -- without an address, and what is in a message


@check("8.1", MUST, "A message without an address is for the sender's own account.")
async def message_without_to_comes_back(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    token = secrets.token_hex(8)
    await romeo.send(f"<message id='{token}' type='chat'><body>to myself</body></message>")
    await romeo.expect("c:message", id=token, from_=romeo.jid)


@check("5.2", MUST, "Bodies and subjects in several languages, the thread and its parent arrive as they were sent.")
async def content_arrives_unchanged(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    inner = (
        "<subject>&lt;Balcony&gt;</subject><body>line 1\nline 2 \U0001f339 &amp; more</body>"
        "<body xml:lang='it'>riga</body><thread parent='e0ff'>7ad1</thread>"
    )
    await romeo.send(f"<message to={quoteattr(juliet.jid)} id='content' type='chat' xml:lang='en'>{inner}</message>")
    message = await juliet.expect("c:message", id="content")
    require_equal(text(message, "c:subject"), "<Balcony>", "the subject")
    bodies = {el.get(XML_LANG): el.text for el in message.iterfind("{jabber:client}body")}
    require_equal(bodies, {None: "line 1\nline 2 \U0001f339 & more", "it": "riga"}, "the bodies")
    require_equal(text(message, "c:thread"), "7ad1", "the thread")
    require_equal(message.get(XML_LANG), "en", "the language of the message")


@check("5.2.2", SHOULD, "A message of an unknown type is delivered as a normal one.")
async def unknown_type_is_normal(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token = await _send(romeo, juliet.jid, "sonnet")
    await juliet.expect("c:message", id=token)
