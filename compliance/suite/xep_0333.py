"""XEP-0333: Displayed Markers, which a server passes on."""

from __future__ import annotations

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MUST, SHOULD, checks_of, require
from compliance.scene import Scene

check = checks_of("XEP-0333")
MARKABLE = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
DISPLAYED = "<displayed xmlns='urn:xmpp:chat-markers:0' id='message-1'/>"


@check("4.1", MUST, "That a message can be marked arrives with it.")
async def markable_arrives(scene: Scene) -> None:
    await passing.arrives(scene, MARKABLE)


@check("4.2", MUST, "A marker arrives, though it has no body.")
async def marker_arrives(scene: Scene) -> None:
    await passing.arrives(scene, DISPLAYED, body="")


@check("4.2", SHOULD, "A marker reaches the other resources of both sides as a carbon, so that all show the same.")
async def marker_is_copied(scene: Scene) -> None:
    await passing.is_copied(scene, DISPLAYED, body="")


@check("5", SHOULD, "A marker that asks to be stored is archived.")
async def marker_is_archived(scene: Scene) -> None:
    message = await archived_message(scene, f"{DISPLAYED}<store xmlns='urn:xmpp:hints'/>")
    require(message is not None, "the marker is not in the archive")
    assert message is not None
    passing.require_inside(message, DISPLAYED, "in the archive")
