"""XEP-0198: Stream Management."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, text
from compliance.scene import Scene

check = checks_of("XEP-0198")
NS = PREFIXES["sm"]
REQUEST = f"<r xmlns='{NS}'/>"


def _needs(scene: Scene) -> None:
    scene.needs_stream_feature(f"{{{NS}}}sm")


async def _enable(client: Client, *, resume: bool = False) -> Element:
    """Enable stream management and return <enabled/>; the client counts what it receives from here on."""
    client.stanzas_received = 0
    wish = " resume='true'" if resume else ""
    await client.send(f"<enable xmlns='{NS}'{wish}/>")
    return await client.expect("sm:enabled")


async def _resumable(scene: Scene, name: str) -> tuple[Client, str]:
    """Return an available client whose stream can be resumed, and the stream's id.

    The stream is closed for good when the check is over: one that lives on would take other checks' messages.
    """
    _needs(scene)
    client = await scene.login(name)
    enabled = await _enable(client, resume=True)
    if enabled.get("resume") not in ("true", "1"):
        raise NotPossible("the server does not resume streams")
    scene.at_the_end(lambda: _bury(scene, name, enabled.get("id") or ""))
    await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    await client.send("<presence/>")
    await client.expect("c:presence", from_=client.jid)
    await client.roundtrip()
    return client, enabled.get("id") or ""


async def _bury(scene: Scene, name: str, id_: str) -> None:
    client = await _reconnect(scene, name)
    await client.send(f"<resume xmlns='{NS}' previd={quoteattr(id_)} h='0'/>")
    await client.expect("sm:resumed")
    await client.roundtrip()
    await client.send(f"<a xmlns='{NS}' h='{client.stanzas_received}'/>")  # or what it never took would go on waiting
    await client.close()


async def _reconnect(scene: Scene, name: str) -> Client:
    """Return a client that has logged in and has not bound a resource."""
    client = scene.client(name, label=f"{name} resuming")
    await client.start()
    await client.authenticate()
    await client.open_stream()
    await client.read_features()
    return client


async def _resume(scene: Scene, name: str, former: Client, id_: str, h: int) -> tuple[Client, Element]:
    """Resume a stream on a new connection; return it with <resumed/>."""
    client = await _reconnect(scene, name)
    await client.send(f"<resume xmlns='{NS}' previd={quoteattr(id_)} h='{h}'/>")
    answer = await client.expect("*", where=lambda el: el.tag in (f"{{{NS}}}resumed", f"{{{NS}}}failed"))
    if answer.tag == f"{{{NS}}}failed":
        raise Failed(f"the stream was not resumed: {condition(answer)}")
    client.jid = former.jid
    return client, answer


async def _handled(client: Client) -> int:
    """Ask how many stanzas the server has handled."""
    await client.send(REQUEST)
    answer = await client.expect("sm:a")
    require((answer.get("h") or "").isdigit(), "<a/> has no number h")
    return int(answer.get("h", ""))


async def _take_all(client: Client) -> int:
    """Take what has come and return the count of stanzas that the client has handled."""
    await client.roundtrip()
    return client.stanzas_received


# -- enabling and counting


@check("3", MUST, "After binding, enabling stream management is answered with enabled.")
async def enabling_is_answered(scene: Scene) -> None:
    _needs(scene)
    await _enable(await scene.login("romeo"))


@check("3", MUST, "Before a resource is bound, enabling fails with unexpected-request.")
async def enabling_before_binding_fails(scene: Scene) -> None:
    _needs(scene)
    client = await _reconnect(scene, "romeo")
    await client.send(f"<enable xmlns='{NS}'/>")
    failed = await client.expect("sm:failed")
    require_equal(condition(failed), "unexpected-request", "the condition")


@check("3", SHOULD, "Enabling a second time is an error.")
async def enabling_twice_is_an_error(scene: Scene) -> None:
    _needs(scene)
    client = await scene.login("romeo")
    await _enable(client)
    await client.send(f"<enable xmlns='{NS}'/>")
    answer = await client.expect("*", where=lambda el: el.tag in (f"{{{NS}}}failed", f"{{{PREFIXES['stream']}}}error"))
    require_in(condition(answer), ("unexpected-request", "policy-violation", "undefined-condition"), "the condition")


@check("4", MUST, "A request is answered with the number of stanzas handled since enabling; the count starts at zero.")
async def handled_stanzas_are_counted(scene: Scene) -> None:
    _needs(scene)
    romeo, juliet = await scene.login("romeo"), await scene.online("juliet")
    await romeo.send("<presence/>")  # before enabling: not counted
    await romeo.roundtrip()
    await _enable(romeo)
    require_equal(await _handled(romeo), 0, "h before any stanza")
    for i in range(3):
        await romeo.send(f"<message to={quoteattr(juliet.jid)} id='n{i}'><body>{i}</body></message>")
    require_equal(await _handled(romeo), 3, "h after three messages")
    await romeo.send("<presence><show>away</show></presence>")
    await romeo.roundtrip()
    require_equal(await _handled(romeo), 5, "h after a presence and a request more")


@check("4", MUST, "Elements that are no stanzas are not counted.")
async def other_elements_are_not_counted(scene: Scene) -> None:
    _needs(scene)
    romeo = await scene.login("romeo")
    await _enable(romeo)
    for _ in range(3):
        require_equal(await _handled(romeo), 0, "h")
    await romeo.send(f"<a xmlns='{NS}' h='0'/>")
    require_equal(await _handled(romeo), 0, "h after an <a/>")


@check("6", SHOULD, "Acknowledging more than was sent ends the stream.")
async def acknowledging_too_much_ends_the_stream(scene: Scene) -> None:
    _needs(scene)
    romeo = await scene.login("romeo")
    await _enable(romeo)
    await romeo.send(f"<a xmlns='{NS}' h='1000'/>")
    error = await romeo.expect("stream:error")
    require_equal(condition(error), "undefined-condition", "the condition")
    require(find(error, "sm:handled-count-too-high") is not None, "the error does not say handled-count-too-high")


@check("4", SHOULD, "A message that was acknowledged by nobody is not lost when the stream ends for good.")
async def unacknowledged_message_is_not_lost(scene: Scene) -> None:
    _needs(scene)
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.login("juliet")
    await _enable(juliet)
    await scene.appear(juliet)
    juliet.abort()  # with no resumption asked for, this is the end
    token = secrets.token_hex(8)
    await romeo.send(f"<message to={quoteattr(juliet.bare)} type='chat' id='{token}'><body>b</body></message>")
    await romeo.roundtrip()
    if romeo.unread("c:message", id=token, type="error"):
        return  # the sender was told, which is one of the ways to keep the rule
    later = await scene.login("juliet", label="juliet later")
    await later.send("<presence/>")
    await later.expect("c:message", id=token)


# -- resumption


@check("5", MUST, "A stream that may be resumed has an id of its own.")
async def resumable_stream_has_an_id(scene: Scene) -> None:
    (_, first), (_, second) = await _resumable(scene, "romeo"), await _resumable(scene, "romeo")
    require(first and second, "<enabled/> has no id")
    require(first != second, "two streams have the same id")
    require(len(first) <= 4000, "the id is longer than 4000 bytes")


@check("5", MUST, "A lost stream is resumed: the server says how much it handled, and both counts go on.")
async def lost_stream_is_resumed(scene: Scene) -> None:
    romeo, id_ = await _resumable(scene, "romeo")
    handled = await _handled(romeo)
    received = await _take_all(romeo)
    romeo.abort()
    again, resumed = await _resume(scene, "romeo", romeo, id_, received)
    require_equal(resumed.get("previd"), id_, "the previd")
    require_equal(resumed.get("h"), str(handled + 1), "the h of <resumed/>")  # the roundtrip above is one more
    await again.roundtrip()
    require_equal(await _handled(again), handled + 2, "h on the resumed stream")


@check("5", MUST, "What came while the stream was lost is delivered when it is resumed, in order.")
async def stanzas_sent_meanwhile_are_delivered(scene: Scene) -> None:
    juliet, id_ = await _resumable(scene, "juliet")
    received = await _take_all(juliet)
    romeo = await scene.online("romeo")
    juliet.abort()
    tokens = [secrets.token_hex(8) for _ in range(5)]
    for token in tokens:
        await romeo.send(f"<message to={quoteattr(juliet.jid)} type='chat' id='{token}'><body>b</body></message>")
    await romeo.roundtrip()
    again, _ = await _resume(scene, "juliet", juliet, id_, received)
    last = await again.expect("c:message", id=tokens[-1])
    seen = [el.get("id") for el in again.unread("c:message") if el.get("id") in tokens]
    require_equal([*seen, last.get("id")], tokens, "the messages after resuming")


@check("5", MUST, "Stanzas the client did not acknowledge are sent again; those it did are not.")
async def only_unacknowledged_stanzas_are_repeated(scene: Scene) -> None:
    juliet, id_ = await _resumable(scene, "juliet")
    romeo = await scene.online("romeo")
    tokens = [secrets.token_hex(8) for _ in range(4)]
    counts = []
    for token in tokens:
        await romeo.send(f"<message to={quoteattr(juliet.jid)} type='chat' id='{token}'><body>b</body></message>")
        await juliet.expect("c:message", id=token)
        counts.append(juliet.stanzas_received)
    juliet.abort()
    again, _ = await _resume(scene, "juliet", juliet, id_, counts[1])
    await scene.settle(romeo, again)
    seen = [el.get("id") for el in again.unread("c:message") if el.get("id") in tokens]
    require_equal(seen, tokens[2:], "the messages sent again")


@check("5", MUST, "The resumed stream has the full JID of the former one, with its presence and without binding.")
async def resumed_stream_keeps_its_jid(scene: Scene) -> None:
    romeo, id_ = await _resumable(scene, "romeo")
    received = await _take_all(romeo)
    juliet = await scene.online("juliet")
    romeo.abort()
    again, _ = await _resume(scene, "romeo", romeo, id_, received)
    await again.send(f"<message to={quoteattr(juliet.jid)} id='after'><body>b</body></message>")
    message = await juliet.expect("c:message", id="after")
    require_equal(message.get("from"), romeo.jid, "the from of a message sent on the resumed stream")


@check("5", MUST, "Contacts do not see a resumed client leave.")
async def contacts_see_nothing_of_it(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    juliet = await scene.online("juliet")
    romeo, id_ = await _resumable(scene, "romeo")
    await juliet.expect("c:presence", from_=romeo.jid, type="")
    received = await _take_all(romeo)
    romeo.abort()
    again, _ = await _resume(scene, "romeo", romeo, id_, received)
    await scene.settle(again, juliet)
    juliet.refuse("c:presence", from_=romeo.jid, type="unavailable", why="a client that resumed was declared gone")


@check("5", MUST, "Resuming a stream the server does not know fails with item-not-found, and a new one can be bound.")
async def unknown_stream_is_item_not_found(scene: Scene) -> None:
    _needs(scene)
    client = await _reconnect(scene, "romeo")
    await client.send(f"<resume xmlns='{NS}' previd='no-such-stream' h='0'/>")
    failed = await client.expect("sm:failed")
    require_in(condition(failed), ("item-not-found", "feature-not-implemented"), "the condition")
    await client.bind()


@check("10", MUST, "Nobody resumes the stream of another account.")
async def others_streams_cannot_be_resumed(scene: Scene) -> None:
    juliet, id_ = await _resumable(scene, "juliet")
    juliet.abort()
    thief = await _reconnect(scene, "romeo")
    await thief.send(f"<resume xmlns='{NS}' previd={quoteattr(id_)} h='0'/>")
    failed = await thief.expect("*", where=lambda el: el.tag in (f"{{{NS}}}resumed", f"{{{NS}}}failed"))
    require_equal(failed.tag, f"{{{NS}}}failed", "the answer")


@check("5", SHOULD, "When a stream is resumed while the old connection still stands, the old one gets conflict.")
async def old_connection_gets_conflict(scene: Scene) -> None:
    romeo, id_ = await _resumable(scene, "romeo")
    received = await _take_all(romeo)
    await _resume(scene, "romeo", romeo, id_, received)
    await romeo.expect_stream_error("conflict")


@check("7", MUST, "A stream that was closed in good order is over: contacts see its client leave.")
async def closed_stream_is_over(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    juliet = await scene.online("juliet")
    romeo, _ = await _resumable(scene, "romeo")
    await juliet.expect("c:presence", from_=romeo.jid, type="")
    await romeo.send("</stream:stream>")
    await juliet.expect("c:presence", from_=romeo.jid, type="unavailable")


@check("7", SHOULD, "A stream that broke off is kept for a while: contacts do not see its client leave at once.")
async def broken_stream_is_kept(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    juliet = await scene.online("juliet")
    romeo, _ = await _resumable(scene, "romeo")
    await juliet.expect("c:presence", from_=romeo.jid, type="")
    romeo.abort()
    other = await scene.online("romeo", label="romeo 2")
    await scene.settle(other, juliet)
    juliet.refuse("c:presence", from_=romeo.jid, type="unavailable", why="the client was declared gone at once")


@check("5", MUST, "What the client sent is handled once, though it did not learn so before the stream was lost.")
async def h_of_resumed_counts_what_arrived(scene: Scene) -> None:
    romeo, id_ = await _resumable(scene, "romeo")
    juliet = await scene.online("juliet")
    before = await _handled(romeo)
    await romeo.send(f"<message to={quoteattr(juliet.jid)} id='once'><body>b</body></message>")
    message = await juliet.expect("c:message", id="once")
    require_equal(text(message, "c:body"), "b", "the body")
    received = romeo.stanzas_received
    romeo.abort()
    _, resumed = await _resume(scene, "romeo", romeo, id_, received)
    require_equal(resumed.get("h"), str(before + 1), "the h of <resumed/>")
