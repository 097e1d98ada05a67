"""Each stanza for a room finds the file that deals with it; malformed ones are bad requests."""

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import Presence
from tests.support.rooms import MUC, ROOM, ask, condition, den
from tests.support.world import World


@pytest.mark.parametrize(
    "inner",
    [
        f"<query xmlns='{MUC}#admin'><item jid='@' affiliation='member'/></query>",
        f"<query xmlns='{MUC}#owner'><destroy jid='@'/></query>",
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='x'/></query>",
    ],
)
async def test_payload_that_cannot_be_read_is_a_bad_request(world: World, inner: str) -> None:
    romeo, _, _ = await den(world)
    assert condition(await ask(romeo, "set", inner)) == "bad-request"


async def test_nobody_enters_from_a_bare_address(world: World) -> None:
    await den(world)
    taken = []
    world.shared.components.remote = type("Elsewhere", (), {"take": lambda _, stanza: taken.append(stanza)})()
    service = world.shared.components.find("conference.example.org")
    service.take(Presence.build(Element(f"{MUC} x"), to=JID.parse(f"{ROOM}/x"), from_=JID.parse("far@away.example")))
    assert condition(taken[0]) == "jid-malformed"
