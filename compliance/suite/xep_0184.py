"""XEP-0184: Message Delivery Receipts, which a server passes on."""

from __future__ import annotations

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MUST, SHOULD, checks_of, require
from compliance.passing import BODY
from compliance.scene import Scene

check = checks_of("XEP-0184")
REQUEST = "<request xmlns='urn:xmpp:receipts'/>"
RECEIVED = "<received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/>"


@check("7", MUST, "A request for a receipt arrives, and the receipt comes back.")
async def request_and_receipt_arrive(scene: Scene) -> None:
    await passing.arrives(scene, REQUEST)
    await passing.arrives(scene, RECEIVED, body="")


@check("5.1", SHOULD, "A receipt reaches the other resources of both sides as a carbon.")
async def receipt_is_copied(scene: Scene) -> None:
    await passing.is_copied(scene, RECEIVED, body="")


@check("5.1", SHOULD, "A request for a receipt is kept with a message that waits.")
async def request_waits_with_the_message(scene: Scene) -> None:
    await passing.waits(scene, REQUEST)


@check("5.5", SHOULD, "The archive keeps the request with the message.")
async def request_is_archived(scene: Scene) -> None:
    message = await archived_message(scene, BODY + REQUEST)
    require(message is not None, "the message is not in the archive")
    assert message is not None
    passing.require_inside(message, REQUEST, "in the archive")
