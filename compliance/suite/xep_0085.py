"""XEP-0085: Chat State Notifications, which a server passes on."""

from __future__ import annotations

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MUST, SHOULD, checks_of, require
from compliance.scene import Scene

check = checks_of("XEP-0085")
STATES = ("active", "composing", "paused", "inactive", "gone")
NS = "http://jabber.org/protocol/chatstates"


@check("5.6", MUST, "Each of the states arrives as it was sent, without a body.")
async def states_arrive(scene: Scene) -> None:
    for state in STATES:
        await passing.arrives(scene, f"<{state} xmlns='{NS}'/>", body="")


@check("5.6", MUST, "A state beside a body arrives with it.")
async def state_beside_a_body_arrives(scene: Scene) -> None:
    await passing.arrives(scene, f"<active xmlns='{NS}'/>")


@check("5.8", SHOULD, "A state alone is not archived.")
async def states_are_not_archived(scene: Scene) -> None:
    require(
        await archived_message(scene, f"<composing xmlns='{NS}'/>") is None,
        "a message of nothing but a state is archived",
    )
