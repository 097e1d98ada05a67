"""XEP-0045: rooms are where the settings say, and tell modules of absent members."""

from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.rooms import MODULES, admin, codes, den, enter, presences, say
from xmppd.hooks import AbsentEvent, room_message_for_absent, server_stops
from xmppd.modules.xep_0045_muc import RoomsModule


async def test_each_virtual_host_has_rooms_of_its_own(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, domains=("example.org", "example.net"), settings={"rooms.prefix": "rooms"})
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    for domain in ("example.org", "example.net"):
        assert 201 in codes(presences(await enter(romeo, "Romeo", room=f"den@rooms.{domain}"))[-1])
    assert world.shared.components.find("conference.example.org") is None


async def test_absent_members_are_signalled_with_their_addresses(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES)
    romeo, _, _ = await den(world)
    await admin(romeo, "jid='juliet@example.org' affiliation='member'")
    told: list[AbsentEvent] = []
    world.host().handlers[room_message_for_absent] = (told.append,)
    await say(romeo, "hello")
    assert told[0].absent == ("juliet@example.org",)


async def test_occupant_ids_stay_the_same_over_a_restart(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    secrets = {
        (await make_world(*MODULES, backend=backend)).host().module(RoomsModule).service.world.secret for _ in range(2)
    }
    assert len(secrets) == 1


async def test_stopping_sends_everybody_away_at_once(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES)
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    world.host().signal(server_stops, None)
    assert [codes(stanza) for stanza in await romeo.drain()] == [[110, 332]]
    await juliet.close()
    await romeo.expect_nothing()
    assert not world.host().module(RoomsModule).service.rooms


async def test_rooms_work_without_the_module_for_blocking(make_world: MakeWorld) -> None:
    world = await make_world(*(name for name in MODULES if name != "xep_0191_blocking"))
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await say(juliet, "hello")
    assert len(await romeo.drain()) == 2
