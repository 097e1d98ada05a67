"""XEP-0424: Message Retraction, as far as a server has part in it."""

from __future__ import annotations

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MUST, SHOULD, checks_of, require
from compliance.passing import BODY
from compliance.scene import Scene

check = checks_of("XEP-0424")
FEATURE = "urn:xmpp:message-retract:1"
RETRACT = f"<retract xmlns='{FEATURE}' id='wrong-recipient-1'/>"
FALLBACK = f"<fallback xmlns='urn:xmpp:fallback:0' for='{FEATURE}'/>"
STORE = "<store xmlns='urn:xmpp:hints'/>"


@check("3", MUST, "A retraction arrives with the id of the message it retracts, and with its fallback.")
async def retraction_arrives(scene: Scene) -> None:
    await passing.arrives(scene, RETRACT, body=BODY + FALLBACK)
    await passing.arrives(scene, RETRACT, body="")


@check("3", SHOULD, "A retraction reaches the other resources of both sides as a carbon.")
async def retraction_is_copied(scene: Scene) -> None:
    await passing.is_copied(scene, RETRACT, body=BODY + FALLBACK)


@check("3", SHOULD, "A retraction with a body to fall back on is archived.")
async def retraction_is_archived(scene: Scene) -> None:
    message = await archived_message(scene, BODY + FALLBACK + RETRACT + STORE)
    require(message is not None, "the retraction is not in the archive")
    assert message is not None
    passing.require_inside(message, RETRACT, "in the archive")


@check("5", MUST, "A server that lists the feature archives a retraction that has no body and no hint.")
async def bare_retraction_is_archived(scene: Scene) -> None:
    scene.needs(FEATURE)
    require(await archived_message(scene, RETRACT) is not None, "the retraction is not in the archive")
