"""What people publish reaches their contacts on other servers: between two servers of ours, and to clients behind Prosody."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from slixmpp.exceptions import IqError

from tests.support.federation.internet import small_internet
from tests.support.federation.ours import OurServer
from tests.support.federation.peer import Mode, Peer
from tests.support.person import Person, befriend
from tests.support.watch import PLUGINS, options_of, wish

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

TUNE, OPEN = "http://jabber.org/protocol/tune", "urn:example:open"
HERE, THERE = "capulet.example", "montague.example"


@dataclass(frozen=True, slots=True)
class World:
    """Two servers of ours and a Prosody; each has romeo and juliet."""

    here: OurServer
    there: OurServer
    peer: Peer


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Everything started, at the same time."""
    with small_internet() as internet:
        peer = internet.peer("prosody", Mode.EXTERNAL)
        here, there = OurServer(internet, [HERE]), OurServer(internet, [THERE])
        for ours in (here, there):
            ours.add_accounts("romeo", "juliet")
        servers = [here, there, peer]
        try:
            for server in servers:
                server.spawn()
            for server in servers:
                server.wait_ready()
            peer.add_accounts("romeo", "juliet")
            yield World(here, there, peer)
        finally:
            for server in servers:
                server.kill9()


async def publish_tune(person: Person, title: str) -> None:
    """Publish what a person listens to."""
    await person.plugin["xep_0118"].publish_tune(title=title)


async def test_friends_on_two_servers_of_ours_are_told_and_given_the_last_item(world: World) -> None:
    romeo = await world.here.login(f"romeo@{HERE}", *PLUGINS, "xep_0118", presence=False)
    juliet = await world.there.login(f"juliet@{THERE}", *PLUGINS, "xep_0118", presence=False)
    seen_here, seen_there = await wish(romeo, TUNE), await wish(juliet, TUNE)
    await befriend(romeo, juliet)
    await publish_tune(romeo, "Dance of the Knights")
    assert await seen_there.wait(TUNE) == (["current"], romeo.boundjid.bare)
    await publish_tune(juliet, "Balcony Scene")
    while (await seen_here.wait(TUNE))[1] != juliet.boundjid.bare:
        pass  # romeo's own
    await juliet.leave()
    await romeo.wait_presence(juliet.boundjid.full, "unavailable")
    again = await world.there.login(f"juliet@{THERE}", *PLUGINS, presence=False)
    seen_there = await wish(again, TUNE)
    while (await seen_there.wait(TUNE))[1] != romeo.boundjid.bare:
        pass  # her own
    await again.leave()
    await romeo.leave()


async def test_friend_behind_prosody_is_told_and_given_the_last_item(world: World) -> None:
    romeo = await world.here.login(f"romeo@{HERE}", *PLUGINS, "xep_0118")
    await publish_tune(romeo, "Before she came")
    juliet = await world.peer.login("juliet", *PLUGINS, presence=False)
    seen = await wish(juliet, TUNE)
    await befriend(romeo, juliet)
    assert await seen.wait(TUNE) == (["current"], romeo.boundjid.bare)
    await publish_tune(romeo, "While she is there")
    assert await seen.wait(TUNE) == (["current"], romeo.boundjid.bare)
    await juliet.leave()
    await romeo.leave()


async def test_stranger_behind_prosody_reads_what_is_open_and_nothing_else(world: World) -> None:
    juliet = await world.here.login(f"juliet@{HERE}", *PLUGINS, "xep_0118")
    await publish_tune(juliet, "For friends")
    payload = juliet.plugin["xep_0118"].stanza.UserTune().xml
    options = options_of(juliet, access_model="open")
    await juliet.plugin["xep_0060"].publish(None, OPEN, id="a", payload=payload, options=options)
    stranger = await world.peer.login("romeo", *PLUGINS)
    found = await stranger.plugin["xep_0060"].get_items(juliet.boundjid.bare, OPEN)
    assert [item["id"] for item in found["pubsub"]["items"]] == ["a"]
    with pytest.raises(IqError) as refused:
        await stranger.plugin["xep_0060"].get_items(juliet.boundjid.bare, TUNE)
    assert refused.value.condition == "not-authorized"
    await stranger.leave()
    await juliet.leave()
