"""XEP-0249: Direct MUC Invitations: what a server has to do is to pass them on."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, checks_of, require_equal
from compliance.names import Element, find
from compliance.scene import Scene

check = checks_of("XEP-0249")


ROOM = "somewhere@rooms.example"
SAYS = {"jid": ROOM, "password": "rose", "reason": "come", "continue": "true", "thread": "t"}
INVITATION = f"<x xmlns='jabber:x:conference' jid='{ROOM}' password='rose' reason='come' continue='true' thread='t'/>"


def _check(message: Element) -> None:
    x = find(message, "conference:x")
    assert x is not None
    require_equal({str(name): str(value) for name, value in x.attrib.items()}, SAYS, "the invitation")


@check("2", MUST, "A direct invitation arrives with all that it says.")
async def direct_invitation_arrives(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<message to='{juliet.bare}' id='i'>{INVITATION}</message>")
    _check(await juliet.expect("c:message/conference:x", from_=romeo.jid))


@check("2", MUST, "A direct invitation to one client arrives there.")
async def direct_invitation_to_a_client_arrives(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<message to='{juliet.jid}' id='i'>{INVITATION}</message>")
    _check(await juliet.expect("c:message/conference:x", from_=romeo.jid))


@check("2", SHOULD, "A direct invitation waits for one who is away.")
async def direct_invitation_waits(scene: Scene) -> None:
    scene.needs("msgoffline")
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    await romeo.send(f"<message to='{scene.jid('juliet')}' id='i'>{INVITATION}</message>")
    await romeo.roundtrip()
    juliet = await scene.login("juliet")
    await juliet.send("<presence/>")
    _check(await juliet.expect("c:message/conference:x", from_=romeo.jid))
