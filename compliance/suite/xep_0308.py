"""XEP-0308: Last Message Correction, which a server passes on."""

from __future__ import annotations

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MUST, SHOULD, checks_of, require
from compliance.names import text
from compliance.passing import BODY
from compliance.scene import Scene

check = checks_of("XEP-0308")
REPLACE = "<replace xmlns='urn:xmpp:message-correct:0' id='bad1'/>"


@check("3", MUST, "A correction arrives with the id of the message it corrects.")
async def correction_arrives(scene: Scene) -> None:
    await passing.arrives(scene, REPLACE)


@check("3", SHOULD, "A correction reaches the other resources of both sides as a carbon.")
async def correction_is_copied(scene: Scene) -> None:
    await passing.is_copied(scene, REPLACE)


@check("3", SHOULD, "A correction waits for one who is away.")
async def correction_waits(scene: Scene) -> None:
    await passing.waits(scene, REPLACE)


@check("4", SHOULD, "The archive keeps the correction as a message of its own.")
async def correction_is_archived(scene: Scene) -> None:
    message = await archived_message(scene, BODY + REPLACE)
    require(message is not None, "the correction is not in the archive")
    assert message is not None
    passing.require_inside(message, REPLACE, "in the archive")
    require(text(message, "c:body"), "the archived correction has lost its body")
