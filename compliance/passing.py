"""For documents that a server supports by passing their elements on: is what arrives what was sent?

Used by the suites of chat states, receipts, corrections, markers, retractions and reactions.
"""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from lxml import etree

from compliance.check import Failed, require
from compliance.client import Client
from compliance.names import Element, find, show
from compliance.scene import Scene

BODY = "<body>a rose by any other name</body>"


def same(one: Element, other: Element) -> bool:
    """Return whether two elements are equal in all but prefixes and the order of attributes."""
    if one.tag != other.tag or dict(one.attrib) != dict(other.attrib) or len(one) != len(other):
        return False
    if (one.text or "") != (other.text or "") or (one.tail or "").strip() != (other.tail or "").strip():
        return False
    return all(same(a, b) for a, b in zip(one, other, strict=True))


def require_inside(message: Element, payload: str, where: str) -> None:
    """Fail the check unless the message holds an element equal to `payload`, given as XML."""
    wanted = etree.fromstring(payload)
    if not any(same(child, wanted) for child in message if child.tag == wanted.tag):
        raise Failed(f"{where}, {show(wanted)} is gone or changed: {show(message)}")


async def _send(sender: Client, to: str, payload: str, body: str) -> str:
    token = secrets.token_hex(8)
    await sender.send(f"<message to={quoteattr(to)} type='chat' id='{token}'>{body}{payload}</message>")
    return token


async def arrives(scene: Scene, payload: str, *, body: str = BODY) -> None:
    """Require that the payload arrives unchanged, sent to the bare and to the full JID."""
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    for to in (juliet.jid, juliet.bare):
        token = await _send(romeo, to, payload, body)
        require_inside(await juliet.expect("c:message", id=token), payload, "on arrival")


async def is_copied(scene: Scene, payload: str, *, body: str = BODY) -> None:
    """Require that the other resources of both sides get it as carbons; not possible without XEP-0280."""
    scene.needs("urn:xmpp:carbons:2")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet", priority=1)
    others = [await scene.online(name, label=f"{name} 2") for name in ("romeo", "juliet")]
    for other in others:
        await other.ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    token = await _send(romeo, juliet.jid, payload, body)
    for other, kind in zip(others, ("sent", "received"), strict=True):
        path = f"carbons:{kind}/forward:forwarded/c:message"
        copy = await other.expect("c:message", where=lambda el, path=path: _id(el, path) == token)
        inner = find(copy, path)
        assert inner is not None
        require_inside(inner, payload, f"in {other.name}'s copy")


async def waits(scene: Scene, payload: str, *, body: str = BODY) -> None:
    """Require that it is kept, whole, for one who is away."""
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await _send(romeo, scene.jid("juliet"), payload, body)
    await romeo.roundtrip()
    require(not romeo.unread("c:message", id=token, type="error"), "the message was refused")
    juliet = await scene.login("juliet")
    await juliet.send("<presence/>")
    require_inside(await juliet.expect("c:message", id=token), payload, "after waiting")


def _id(message: Element, path: str) -> str | None:
    inner = find(message, path)
    return None if inner is None else inner.get("id")
