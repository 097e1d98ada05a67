"""The promises, whatever happens: every acknowledged message reaches its recipient; nothing that was acknowledged comes again.

Romeo sends, Juliet has two devices that come and go, storage is slow or fails, the server crashes. Hypothesis looks for a story in
which a message is lost or doubled, and tells the shortest one.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from codec.element import Element
from codec.stanza import IQ, Message
from storage.interface import StorageError
from storage.memory import MemoryBackend
from tests.support.chat import CARBONS, MAM, MESSAGES, SM, Phone, Timers, chat, delay_of, is_closed, origin
from tests.support.world import Client, World
from xmppd.modules.xep_0160_offline import OfflineModule

T = TypeVar("T")

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
DEVICES = ("balcony", "chamber")
PRESENCES = {
    "available": "<presence/>",
    "preferred": "<presence><priority>5</priority></presence>",
    "negative": "<presence><priority>-1</priority></presence>",
    "unavailable": "<presence type='unavailable'/>",
}
TAKING = ("available", "preferred")
MAM_QUERY = (
    f"<iq type='set' id='mam'><query xmlns='{MAM}'><set xmlns='http://jabber.org/protocol/rsm'>{{}}</set></query></iq>"
)


class Sender:
    """Romeo's client: it sends again, with the same origin-id, whatever was not acknowledged.

    Attributes:
        waiting: (text, recipient) of what is not acknowledged, in order.
        acknowledged: texts.
    """

    def __init__(self) -> None:
        self.phone: Phone | None = None
        self.waiting: deque[tuple[str, str]] = deque()
        self.acknowledged: set[str] = set()
        self.sent = 0
        self.h = 0

    async def login(self, world: World) -> None:
        self.phone = await Phone.login(world, f"{ROMEO}/orchard", presence=None)
        self.sent = self.h = 0
        for text, to in self.waiting:
            self._push(text, to)
        await world.settle()

    async def send(self, world: World, text: str, to: str) -> None:
        self.waiting.append((text, to))
        if self.phone is not None:
            self._push(text, to)
            await world.settle()

    def _push(self, text: str, to: str) -> None:
        assert self.phone is not None
        self.sent += 1
        self.phone.push(chat(to, text, origin(text)))

    async def ask(self) -> None:
        if self.phone is not None:
            h = await self.phone.handled()
            if h is not None:
                self._take(h)

    def _take(self, h: int) -> None:
        for _ in range(h - self.h):
            text, _ = self.waiting.popleft()
            self.acknowledged.add(text)
        self.h = h

    async def resume(self, world: World) -> None:
        assert self.phone is not None
        answer = await self.phone.resume()
        if answer is not None and answer.name == "resumed":
            self._take(int(answer.get("h") or ""))
            again = list(self.waiting)
            self.sent = self.h
            for text, to in again:
                self._push(text, to)
            await world.settle()
        elif answer is not None:
            h = answer.get("h")
            if h is not None:
                self._take(int(h))
            await self.phone.cut()
            await self.login(world)
        else:
            await self.phone.cut()


class Device:
    """One of Juliet's clients, with what it remembers over all its sessions.

    Attributes:
        phone: its session, None while it has none.
        seen: texts that it has.
        acked: stanza-ids that the server knows it has.
        fresh: stanza-ids that came and are not acknowledged yet, in the order of counting.
        had: stanza-ids that came in this session.
        takes: it gets the account's messages. What another sort of client acknowledges may come again in its next session: copies
            do not keep a message from waiting, and what came to its full JID is remembered only as long as that session lasts.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.phone: Phone | None = None
        self.is_connected = False
        self.takes = False
        self.seen: set[str] = set()
        self.acked: set[str] = set()
        self.fresh: list[str] = []
        self.had: set[str] = set()
        self.last_id = ""


def content(message: Message) -> tuple[Element, str, str] | None:
    """Return a message, how it came ("live", "late", "copy" or "history") and its id in the archive; None for what holds none."""
    [first, *_] = message.elements() or [None]
    if first is None:
        return None
    if first.ns == MAM:
        return first.elements()[0].elements()[1], "history", first.get("id") or ""
    if first.ns == CARBONS:
        found, way = first.elements()[0].elements()[0], "copy"
    else:
        found = Element("jabber:client message", {}, message.elements())
        way = "live" if delay_of(message) is None else "late"
    id_ = found.find("urn:xmpp:sid:0 stanza-id")
    return found, way, "" if id_ is None else id_.get("id") or ""


class Promises(RuleBasedStateMachine):
    """The story."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.backend = MemoryBackend()
        self.is_held = False
        self.count = 0
        self.crashes = False
        self.may_double = self.has_failed = False
        self.ids: dict[str, str] = {}
        self.world: World
        self.timers: Timers
        self.sender = Sender()
        self.devices = {name: Device(name) for name in DEVICES}
        self.run(self._start())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await coroutine

        return self.loop.run_until_complete(bounded())

    async def _start(self) -> None:
        previous = getattr(self, "world", None)
        self.world = await World.create(MESSAGES, backend=self.backend)
        if previous is not None:
            self.world.clock.advance((previous.clock.now() - self.world.clock.now()).total_seconds() + 1)
        self.timers = Timers(self.world)
        for jid in (ROMEO, JULIET):
            await self.world.account(jid)

    @initialize(crashes=st.booleans(), presences=st.tuples(*[st.sampled_from([*PRESENCES, ""])] * len(DEVICES)))
    def everybody_comes(self, crashes: bool, presences: tuple[str, ...]) -> None:
        async def story() -> None:
            self.crashes = crashes
            await self.sender.login(self.world)
            for device, presence in zip(self.devices.values(), presences, strict=True):
                if presence:
                    await self._login(device, presence, catches_up=False)

        self.run(story())

    def _devices(self, is_connected: bool) -> list[str]:
        """Return the devices that have a session and a connection, or a session alone."""
        found = [device for device in self.devices.values() if device.phone is not None]
        return [device.name for device in found if device.is_connected is is_connected]

    # the sender

    @rule(to=st.lists(st.sampled_from(["", *(f"/{name}" for name in DEVICES)]), min_size=1, max_size=3))
    def send(self, to: list[str]) -> None:
        for resource in to:
            self.count += 1
            self.world.clock.advance(0.001)
            self.run(self.sender.send(self.world, str(self.count), JULIET + resource))

    @rule()
    def sender_asks(self) -> None:
        self.run(self.sender.ask())

    @precondition(lambda self: self.sender.phone is None or not self.is_up(self.sender.phone))
    @rule()
    def sender_logs_in(self) -> None:
        self.run(self.sender.login(self.world))

    @precondition(lambda self: self.sender.phone is not None)
    @rule(resumes=st.booleans())
    def sender_is_cut(self, resumes: bool) -> None:
        async def story() -> None:
            assert self.sender.phone is not None
            await self.sender.phone.cut()
            if resumes:
                await self.sender.resume(self.world)

        self.run(story())

    # the recipient's devices

    @rule(name=st.sampled_from(DEVICES), presence=st.sampled_from([*PRESENCES, ""]), catches_up=st.booleans())
    def device_logs_in(self, name: str, presence: str, catches_up: bool) -> None:
        async def story() -> None:
            await self._lose(self.devices[name])
            await self._login(self.devices[name], presence, catches_up)

        self.run(story())

    async def _login(self, device: Device, presence: str, catches_up: bool) -> None:
        device.phone = await Phone.login(self.world, f"{JULIET}/{device.name}", presence=None)
        device.is_connected = True
        device.takes = False
        device.phone.push(f"<iq type='set' id='carbons'><enable xmlns='{CARBONS}'/></iq>")
        if catches_up:
            after = f"<after>{device.last_id}</after>" if device.last_id else ""
            device.phone.push(MAM_QUERY.format(after))
        if presence:
            device.phone.push(PRESENCES[presence])
        await self.world.settle()
        device.takes = presence in TAKING and self._is_taking(device)
        self._take(device)

    @precondition(lambda self: self._devices(True))
    @rule(data=st.data(), presence=st.sampled_from(list(PRESENCES)))
    def device_sends_presence(self, data: st.DataObject, presence: str) -> None:
        async def story(device: Device) -> None:
            assert device.phone is not None
            self._take(device)
            device.phone.push(PRESENCES[presence])
            device.takes = device.takes and presence in TAKING
            await self.world.settle()
            device.takes = presence in TAKING and self._is_taking(device)
            self._take(device)

        self.run(story(self._draw(data, True)))

    def _is_taking(self, device: Device) -> bool:
        """Whether the server has dealt with the presence that says so; its stream may be busy."""
        resource = None if device.phone is None else device.phone.resource
        return resource is not None and resource.is_available and resource.priority >= 0

    def _draw(self, data: st.DataObject, is_connected: bool) -> Device:
        return self.devices[data.draw(st.sampled_from(self._devices(is_connected)))]

    @precondition(lambda self: self._devices(True))
    @rule(data=st.data(), part=st.booleans())
    def device_acknowledges(self, data: st.DataObject, part: bool) -> None:
        async def story(device: Device) -> None:
            assert device.phone is not None
            self._take(device)
            count = len(device.fresh) // 2 if part else len(device.fresh)
            h = device.phone.h - (len(device.fresh) - count)
            device.phone.push(f"<a xmlns='{SM}' h='{h}'/>")
            await self.world.settle()
            if device.phone.resource is not None and device.phone.resource.acks.acked == h:  # else its stream is busy
                device.acked.update(id_ for id_ in device.fresh[:count] if id_)
                del device.fresh[:count]
            self._take(device)

        self.run(story(self._draw(data, True)))

    @precondition(lambda self: self._devices(True))
    @rule(data=st.data(), reads=st.booleans(), way=st.sampled_from(["resume", "expire", "stay", "close"]))
    def device_is_cut(self, data: st.DataObject, reads: bool, way: str) -> None:
        async def story(device: Device) -> None:
            assert device.phone is not None
            if reads:
                self._take(device)
            if way == "close":
                await device.phone.client.close()
                self._forget(device)
                return
            await self._cut(device)
            if way == "resume":
                await self._resume(device)
            elif way == "expire":
                await self.timers.advance(601)
                self._forget(device)

        self.run(story(self._draw(data, True)))

    @precondition(lambda self: self._devices(False))
    @rule(data=st.data())
    def device_resumes(self, data: st.DataObject) -> None:
        self.run(self._resume(self._draw(data, False)))

    async def _cut(self, device: Device) -> None:
        assert device.phone is not None
        await device.phone.cut()
        device.is_connected = False

    async def _lose(self, device: Device) -> None:
        """A session that is there ends without a word, and is not resumed."""
        if device.phone is not None and device.is_connected:
            self._take(device)
            await self._cut(device)
        self._forget(device)

    def _forget(self, device: Device) -> None:
        device.phone, device.is_connected = None, False
        device.fresh.clear()
        device.had.clear()

    async def _resume(self, device: Device) -> None:
        assert device.phone is not None
        confirmed = list(device.fresh)  # <resume h=…/> acknowledges what the device has
        answer = await device.phone.resume()
        if answer is not None and answer.name == "resumed":
            device.is_connected = True
            device.acked.update(id_ for id_ in confirmed if id_)
            received, device.phone.received = device.phone.received, []
            device.fresh.clear()
            self._note(device, received)
            return
        await device.phone.cut()
        if answer is not None:
            self._forget(device)

    def _take(self, device: Device) -> None:
        """Let a device read what has come."""
        if device.phone is None or not device.is_connected:
            return
        device.phone.take()
        received, device.phone.received = device.phone.received, []
        self._note(device, received)

    def _note(self, device: Device, received: list[Any]) -> None:
        for stanza in received:
            found = content(stanza) if isinstance(stanza, Message) and stanza.type != "error" else None
            if found is None:
                device.fresh.append("")
                if isinstance(stanza, IQ) and stanza.id == "mam" and stanza.type == "result":
                    last = stanza.elements()[0].elements()[0].find("http://jabber.org/protocol/rsm last")
                    device.last_id = last.text if last is not None else device.last_id
                continue
            self._note_message(device, *found)

    def _note_message(self, device: Device, message: Element, way: str, id_: str) -> None:
        text = message.find("jabber:client body")
        assert text is not None
        if id_ and way != "history":
            known = self.ids.setdefault(text.text, id_)
            assert known == id_ or self.has_failed, f"{text.text} was sent again, and taken for another message"
        if way != "history" and not self.may_double:
            assert id_ not in device.acked, f"{device.name} gets {text.text} ({way}) again, and had acknowledged it"
            assert id_ not in device.had, f"{device.name} gets {text.text} ({way}) twice"
        device.seen.add(text.text)
        if id_ and (way != "copy" or device.takes):
            device.had.add(id_)
        device.fresh.append(id_ if way != "history" and device.takes else "")

    def is_up(self, phone: Phone) -> bool:
        return not is_closed(phone.client) and phone.client.connection.stream is not None

    # storage, time and crashes

    @precondition(lambda self: not self.is_held)
    @rule()
    def storage_becomes_slow(self) -> None:
        self.backend.hold()
        self.is_held = True

    @precondition(lambda self: self.is_held)
    @rule(fails=st.sampled_from([False, False, True]))
    def storage_goes_on(self, fails: bool) -> None:
        async def story() -> None:
            if fails:
                self.has_failed = True
                self.backend.fail_with(StorageError("broken"))
            self.backend.release()
            self.backend.fail_with(None)
            self.is_held = False
            await self.world.settle()

        self.run(story())

    @rule(seconds=st.sampled_from([1, 60]))
    def time_passes(self, seconds: int) -> None:
        self.run(self.timers.advance(seconds))

    @rule(clean=st.booleans())
    def server_restarts(self, clean: bool) -> None:
        clean = clean or not self.crashes

        async def story() -> None:
            if clean:
                self.backend.release()
                await self._stop()
            else:
                self.backend._held = None  # what was not committed is gone
                self.may_double = self.has_failed = True
            self.is_held = False
            for task in list(self.world.tasks):
                task.cancel()
            await asyncio.sleep(0)
            self.sender.phone = None
            for device in self.devices.values():
                if clean:
                    self._take(device)
                self._forget(device)
            await self._start()

        self.run(story())

    async def _stop(self) -> None:
        host = self.world.host()
        for resource in host.sessions():
            await self.world.shared.end_resource(resource, "system-shutdown")
        await self.world.settle()
        await host.module(OfflineModule).stop()

    @invariant()
    def nothing_is_ever_acknowledged_that_is_not_in_storage(self) -> None:
        if self.is_held:
            return
        stored = {message.id for message in self.run(self.backend.archive.pending(JULIET, 0, 10_000))}
        assert len(self.sender.acknowledged) <= len(stored)

    def teardown(self) -> None:
        try:
            self.run(self._end())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    async def _end(self) -> None:
        """Everybody comes back; then all must be where it belongs."""
        self.backend.release()
        await self.world.settle()
        if self.sender.phone is not None:
            await self.sender.phone.cut()
        await self.sender.login(self.world)
        await self.sender.ask()
        assert not self.sender.waiting, "the server acknowledges everything in the end"
        for device in self.devices.values():
            await self._lose(device)
        await self.timers.advance(601)
        last = Device("last")
        last.phone = await Phone.login(self.world, f"{JULIET}/last")
        last.is_connected = last.takes = True
        self._take(last)
        seen = last.seen.union(*(device.seen for device in self.devices.values()))
        missing = self.sender.acknowledged - seen
        assert not missing, f"{sorted(missing, key=int)} reached nobody"
        await self._check_end(last)

    async def _check_end(self, last: Device) -> None:
        """What the last device got, nobody had acknowledged before; and another one gets nothing."""
        had = set().union(*(device.acked for device in self.devices.values()))
        doubled = {id_ for id_ in last.fresh if id_} & had
        assert self.may_double or not doubled, "something came late that had been acknowledged"
        assert last.phone is not None
        await last.phone.ack()
        await last.phone.client.close()
        nobody: Client = await self.world.client(f"{JULIET}/nobody")
        await nobody.send("<presence/>")
        assert not [stanza for stanza in await nobody.drain() if isinstance(stanza, Message)]


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
