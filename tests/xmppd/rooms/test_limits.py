"""A flood of one room is held up, costs no more than its share, and leaves other rooms alone."""

from codec.element import Element
from codec.jid import JID
from codec.stanza import Presence, Stanza
from storage.memory import MemoryBackend
from tests.support.rooms import MODULES, MUC, ROOM, bodies, condition, den, enter, presences, say
from tests.support.world import World


class Elsewhere:
    """Counts what goes to other servers, and keeps what was refused."""

    def __init__(self) -> None:
        self.count = 0
        self.refused: list[Stanza] = []

    def take(self, stanza: Stanza) -> None:
        self.count += 1
        if stanza.type == "error":
            self.refused.append(stanza)


async def test_ten_thousand_who_enter_within_a_second_wait_or_are_refused(world: World) -> None:
    romeo, juliet, _ = await den(world)
    world.shared.components.remote = elsewhere = Elsewhere()
    service = world.shared.components.find("conference.example.org")
    room = service.rooms["den"]
    later: list[object] = []
    room.world.later = lambda _, call: later.append(call)
    room.entries = type(room.entries)(20_000.0, 40_000.0, world.clock.monotonic())
    to = JID.parse(ROOM)
    for number in range(10_000):
        wish = Presence.build(
            Element(f"{MUC} x"), to=to.with_resource(f"n{number}"), from_=JID.parse(f"a{number}@away.example/x")
        )
        service.take(wish)
    inside, waiting = len(room.occupants), len(room.entering)
    assert 150 < inside < 300 and waiting == 2_000
    assert len(elsewhere.refused) == 10_001 - inside - waiting
    assert {condition(stanza) for stanza in elsewhere.refused} == {"resource-constraint"}
    assert elsewhere.count - len(elsewhere.refused) < 60_000
    other = "hall@conference.example.org"
    assert len(presences(await enter(juliet, "Juliet", room=other))) == 1
    await romeo.drain()
    await say(romeo, "still here")
    assert bodies(await romeo.drain()) == ["still here"]
    world.clock.advance(1)
    later.pop()()  # type: ignore[operator]
    assert len(room.occupants) > inside


async def test_full_room_refuses_the_rest(make_world: object) -> None:
    world = await make_world(*MODULES, settings={"rooms.max_occupants": 20}, backend=MemoryBackend())  # type: ignore[operator]
    await den(world)
    world.shared.components.remote = elsewhere = Elsewhere()
    service = world.shared.components.find("conference.example.org")
    for number in range(100):
        wish = Presence.build(
            Element(f"{MUC} x"), to=JID.parse(f"{ROOM}/n{number}"), from_=JID.parse(f"a{number}@away.example/x")
        )
        service.take(wish)
    assert len(service.rooms["den"].occupants) == 20
    assert {condition(stanza) for stanza in elsewhere.refused} == {"service-unavailable"} and len(
        elsewhere.refused
    ) == 81
