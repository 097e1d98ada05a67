"""XEP-0444: Message Reactions, which a server passes on."""

from __future__ import annotations

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MUST, SHOULD, checks_of, require
from compliance.scene import Scene

check = checks_of("XEP-0444")
REACTIONS = (
    "<reactions xmlns='urn:xmpp:reactions:0' id='744f6e18'>"
    "<reaction>\U0001f44b</reaction><reaction>\U0001f469\u200d\U0001f469\u200d\U0001f466</reaction></reactions>"
)
STORE = "<store xmlns='urn:xmpp:hints'/>"


@check("3.1", MUST, "Reactions arrive character by character as they were sent.")
async def reactions_arrive(scene: Scene) -> None:
    await passing.arrives(scene, REACTIONS, body="")


@check("3.2", MUST, "Reactions that take all earlier ones back, an empty element, arrive too.")
async def empty_reactions_arrive(scene: Scene) -> None:
    await passing.arrives(scene, "<reactions xmlns='urn:xmpp:reactions:0' id='744f6e18'/>", body="")


@check("3.1", SHOULD, "Reactions reach the other resources of both sides as carbons.")
async def reactions_are_copied(scene: Scene) -> None:
    await passing.is_copied(scene, REACTIONS, body="")


@check("3.1", SHOULD, "Reactions that ask to be stored are archived.")
async def reactions_are_archived(scene: Scene) -> None:
    message = await archived_message(scene, REACTIONS + STORE)
    require(message is not None, "the reactions are not in the archive")
    assert message is not None
    passing.require_inside(message, REACTIONS, "in the archive")
