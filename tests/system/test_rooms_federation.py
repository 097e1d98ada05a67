"""Our rooms with occupants of other makers' servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.federation import claims
from tests.support.federation.internet import Internet, small_internet
from tests.support.federation.ours import OurServer
from tests.support.federation.peer import Mode, Peer
from tests.support.person import TIMEOUT_S, Person

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
DOMAIN = "capulet.example"
ROOMS = f"conference.{DOMAIN}"


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    """DNS and authorities."""
    with small_internet() as made:
        yield made


@pytest.fixture(scope="module")
def ours(internet: Internet) -> Iterator[OurServer]:
    """Our server, whose rooms others may come to."""
    server = OurServer(internet, [DOMAIN], {"rooms.create": "everyone"})
    internet.zone.add(ROOMS, server.s2s_port)
    server.add_accounts("juliet")
    server.start()
    yield server
    server.close()


@pytest.fixture(params=["prosody", "ejabberd"])
def peer(internet: Internet, request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Another server, with the account romeo."""
    peer = internet.peer(request.param, Mode.EXTERNAL)
    peer.spawn()
    peer.wait_ready()
    peer.add_accounts("romeo")
    yield peer
    peer.kill9()


@pytest.fixture
async def two(ours: OurServer, peer: Peer) -> AsyncIterator[tuple[Person, Person]]:
    """juliet here and romeo there."""
    juliet, romeo = await ours.login(f"juliet@{DOMAIN}"), await peer.login("romeo")
    yield juliet, romeo
    await asyncio.gather(juliet.leave(), romeo.leave(), return_exceptions=True)


async def made(owner: Person, room: str) -> None:
    """Make a room as it comes, and leave it open."""
    await owner.plugin["xep_0045"].join_muc_wait(room, owner.boundjid.user, timeout=TIMEOUT_S)
    form = owner.make_iq_set(ito=room)
    form["mucowner_query"]["form"]["type"] = "submit"
    await form.send(timeout=TIMEOUT_S)


async def test_people_of_both_servers_talk_in_a_room_of_ours(two: tuple[Person, Person]) -> None:
    juliet, romeo = two
    for owner, guest in ((juliet, romeo), (romeo, juliet)):
        room = f"hall-of-{owner.boundjid.user}-{romeo.boundjid.domain}@{ROOMS}"
        await made(owner, room)
        await claims.talk_in_room(owner, guest, room)


async def test_whoever_is_far_is_seen_to_go_when_its_client_is_lost(two: tuple[Person, Person]) -> None:
    juliet, romeo = two
    room = f"den-{romeo.boundjid.domain}@{ROOMS}"
    await made(juliet, room)
    await romeo.plugin["xep_0045"].join_muc_wait(room, "romeo", timeout=TIMEOUT_S)
    gone = juliet.make_future(f"muc::{room}::got_offline")
    await romeo.leave()
    assert (await asyncio.wait_for(gone, TIMEOUT_S))["from"] == f"{room}/romeo"
