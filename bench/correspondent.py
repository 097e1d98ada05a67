"""One of the people in a kill run: a client that talks to its partner, loses the server, and comes back as clients do."""

import asyncio
import random
from collections import deque
from enum import Enum
from xml.etree.ElementTree import Element

from bench.client import CLIENT, SID, Client, Disconnected, ManagedState, Refused
from bench.ledger import Ledger, Way


class Kind(Enum):
    """How a client comes back."""

    STEADY = "steady"
    """There from the start; after a cut it resumes, else binds anew, reads the archive, and becomes available."""
    LATE = "late"
    """Not there before the first restart; then as STEADY. What it was sent until then is in its archive."""
    CLASSIC = "classic"
    """Not there before the first restart, and knows no archive: the server must give it what was kept."""


class Correspondent:
    """One account's client over all its connections."""

    def __init__(self, user: str, partner: str, kind: Kind, port: int, ledger: Ledger, chance: random.Random) -> None:
        self.user, self.partner, self.kind, self.port = user, partner, kind, port
        self.ledger, self.chance = ledger, chance
        self.may_connect = asyncio.Event()
        self.is_in = asyncio.Event()
        self.counts = {"resumed": 0, "bound": 0, "asked_for_unknown_id": 0}
        self._client: Client | None = None
        self._state: ManagedState | None = None
        self._unacknowledged: dict[str, str] = {}  # origin id -> stanza
        self._origins: dict[str, str] = {}  # stanza -> origin id
        self._ids: deque[str] = deque(maxlen=4096)  # stanza ids of our archive, newest last
        self._number = 0
        if kind is Kind.STEADY:
            self.may_connect.set()

    @property
    def bare(self) -> str:
        """The account."""
        return f"{self.user}@localhost"

    @property
    def waiting(self) -> int:
        """How many messages are not acknowledged."""
        return len(self._unacknowledged)

    # Saying

    def say(self) -> None:
        """Write the next message to the partner, and send it when there is a stream."""
        self._number += 1
        origin = f"{self.user}.{self._number}"
        stanza = (
            f"<message to='{self.partner}@localhost' type='chat' id='{origin}'><body>{origin} says hello</body>"
            f"<origin-id xmlns='{SID}' id='{origin}'/></message>"
        )
        self.ledger.note_sent(origin, self.user, self.partner)
        self._unacknowledged[origin] = stanza
        self._origins[stanza] = origin
        if self.is_in.is_set() and self._client is not None:
            self._client.send(stanza)
            self._client.request_acknowledgement()

    # Hearing (bench.client.Handler)

    def on_acknowledged(self, stanza: str) -> None:
        """Take note of a message that the server answers for."""
        origin = self._origins.pop(stanza, None)
        if origin is not None and self._unacknowledged.pop(origin, None):
            self.ledger.note_acknowledged(origin)

    def on_stanza(self, stanza: Element) -> None:
        """Take note of a message that came unasked."""
        if stanza.tag != f"{{{CLIENT}}}message":
            return
        if stanza.get("type") == "error":
            self.ledger.note_refused(stanza.get("id", ""))
            return
        origin = origin_id(stanza)
        if origin is None:
            return
        own = (i.get("id", "") for i in stanza.findall(f"{{{SID}}}stanza-id") if i.get("by") == self.bare)
        stanza_id = next(own, "")
        self.ledger.note_delivered(self.user, origin, stanza_id, Way.PUSHED)
        if stanza_id:
            self._ids.append(stanza_id)

    # Living

    async def live(self) -> None:
        """Be connected, again and again, until cancelled."""
        await self.may_connect.wait()
        while True:
            try:
                client = await self._come_in()
                await client.closed
            except (OSError, Refused, TimeoutError):
                pass
            finally:
                self._go_out()
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    def _go_out(self) -> None:
        self.is_in.clear()
        if self._client is not None:
            self._client.cut()
            self._state = self._client.state if self._client.is_managed else self._state
            self._client = None

    async def _come_in(self) -> Client:
        client = Client(self.user, "pass", self, state=self._state)
        self._client = client
        await client.connect(self.port)
        await client.authenticate()
        if client.state.id and await client.resume():
            self.counts["resumed"] += 1
            sent = set(client.state.unacknowledged)
            missing = [stanza for stanza in self._unacknowledged.values() if stanza not in sent]
        else:
            await client.bind()
            await client.enable()
            self._state = client.state
            self.counts["bound"] += 1
            if self.kind is not Kind.CLASSIC:
                await self._catch_up(client)
            client.send("<presence/>")
            missing = list(self._unacknowledged.values())
        for stanza in missing:
            client.send(stanza)
        self.is_in.set()
        client.request_acknowledgement()
        return client

    async def _catch_up(self, client: Client) -> None:
        """Read what the archive has after the newest stanza id we know; go back when the server does not know that one."""
        known = list(self._ids)
        back, way = 0, Way.FETCHED
        while True:
            after = known[-1 - back] if back < len(known) else ""

            def take(stanza_id: str, message: Element, way: Way = way) -> None:
                self._ids.append(stanza_id)
                origin = origin_id(message)
                if origin is not None and not (message.get("from") or "").startswith(self.bare):
                    self.ledger.note_delivered(self.user, origin, stanza_id, way)

            try:
                await client.archive(take, after)
                return
            except Refused:
                if not after:
                    raise
                self.counts["asked_for_unknown_id"] += 1
                back, way = back * 2 + 1, Way.FETCHED_AGAIN

    async def read_whole_archive(self) -> None:
        """Tell the ledger all that our archive holds."""
        if self._client is None:
            raise Disconnected(self.user)
        entries: list[tuple[str, str]] = []

        def take(stanza_id: str, message: Element) -> None:
            entries.append((origin_id(message) or "", stanza_id))

        await self._client.archive(take)
        self.ledger.note_archive(self.user, entries)

    async def leave(self) -> None:
        """Close the stream in order."""
        if self._client is not None:
            await self._client.leave()


def origin_id(message: Element) -> str | None:
    """Return a message's origin id (XEP-0359)."""
    found = message.find(f"{{{SID}}}origin-id")
    return None if found is None else found.get("id")
