"""Stanzas for domains that are no virtual hosts reach the component that has them, and its commit is waited for."""

import pytest

from codec.stanza import Stanza
from storage.interface import Commit
from tests.support.world import World
from xmppd.component import Components, both
from xmppd.errors import StanzaError


class Rooms:
    """Keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[Stanza] = []
        self.commit: Commit | None = None
        self.refusal: StanzaError | None = None

    def take(self, stanza: Stanza) -> Commit | None:
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(stanza)
        return self.commit


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='den@rooms.example.org' type='groupchat'><body>hi</body></message>",
        "<presence to='den@rooms.example.org/nick'/>",
        "<iq to='rooms.example.org' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    ],
)
async def test_a_component_takes_what_is_for_its_domain_and_refuses_with_an_error(stanza: str) -> None:
    world = await World.create(["rfc_6121_message", "rfc_6121_roster", "rfc_6121_presence"])
    rooms = Rooms()
    world.shared.components.add("rooms.example.org", rooms)
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(stanza)
    assert [taken.from_ for taken in rooms.taken] == [romeo.jid]
    rooms.refusal = StanzaError("not-allowed")
    await romeo.send(stanza)
    assert (await romeo.next_stanza()).type == "error"


async def test_an_acknowledgement_waits_for_the_components_commit() -> None:
    world = await World.create(["rfc_6121_message", "xep_0198_sm"])
    rooms = Rooms()
    rooms.commit = Commit()
    world.shared.components.add("rooms.example.org", rooms)
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send("<enable xmlns='urn:xmpp:sm:3'/>", "<message to='den@rooms.example.org'><body>hi</body></message>")
    assert romeo.resource is not None and romeo.resource.acks is not None
    assert romeo.resource.acks.durable == 0
    rooms.commit.finish()
    assert romeo.resource.acks.durable == 1


def test_what_is_for_other_domains_goes_to_the_remote_one() -> None:
    components, rooms, others = Components(), Rooms(), Rooms()
    assert components.find("elsewhere.example") is None
    components.remote = others
    components.add("rooms.example.org", rooms)
    assert components.find("rooms.example.org") is rooms and components.find("elsewhere.example") is others
    assert components.is_ours("rooms.example.org") and not components.is_ours("elsewhere.example")
    with pytest.raises(ValueError, match="component already"):
        components.add("rooms.example.org", others)
    components.remove("rooms.example.org")
    assert components.domains() == ()


def test_two_commits_together_are_done_with_the_later_and_keep_the_error() -> None:
    first, second = Commit(), Commit()
    together = both(first, second)
    assert together is not None
    second.finish(OSError("disk"))
    assert not together.done
    first.finish()
    assert together.done and isinstance(together.error, OSError)
    assert both(first, None) is first and both(None, second) is second and both(first, first) is first
