"""A person with a client: slixmpp, with what it receives kept so that a test can wait for it."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from slixmpp import ClientXMPP
from slixmpp.stanza import Message

TIMEOUT_S = 15.0


class Person(ClientXMPP):  # type: ignore[misc]
    """One logged-in client.

    Args:
        jid: bare or full; without a resource the server gives one.
        password: of the account.
        ca: PEM file of the authority to trust; None logs in without TLS.
        plugins: names of slixmpp's plugins.
    """

    def __init__(self, jid: str, password: str, *, ca: Path | None, plugins: Iterable[str] = ()) -> None:
        super().__init__(jid, password)
        self.received: list[Any] = []
        self.changed = asyncio.Event()
        self.port = 0
        self.enable_direct_tls = False
        self.enable_starttls = ca is not None
        self.enable_plaintext = ca is None
        self.use_aiodns = False
        if ca is not None:
            self.ssl_context = ssl.create_default_context(cafile=str(ca))
        else:
            self["feature_mechanisms"].unencrypted_plain = True
            self["feature_mechanisms"].unencrypted_scram = True
        for plugin in plugins:
            self.register_plugin(plugin)
        for event in ("message", "message_error", "presence"):
            self.add_event_handler(event, self._keep)

    def _keep(self, stanza: Any) -> None:
        self.received.append(stanza)
        self.changed.set()

    async def login(self, port: int, *, presence: bool = True) -> "Person":
        """Connect to that port of 127.0.0.1, log in, fetch the roster and, unless told not to, become available.

        Raises:
            TimeoutError: no session within some seconds.
            PermissionError: the password was refused.
        """
        started = asyncio.get_running_loop().create_future()

        def settle(result: BaseException | None) -> None:
            if not started.done():
                started.set_exception(result) if result else started.set_result(None)

        self.add_event_handler("session_start", lambda _: settle(None), disposable=True)
        self.add_event_handler("failed_all_auth", lambda _: settle(PermissionError("login refused")), disposable=True)
        self.port = port
        self.connect("127.0.0.1", port)
        await asyncio.wait_for(started, TIMEOUT_S)
        await self.get_roster()
        if presence:
            self.send_presence()
        return self

    async def wait_for(self, wanted: Callable[[Any], bool], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Return the first stanza received, already or still to come, for which `wanted` holds, and forget it.

        Raises:
            TimeoutError: none came; names `what`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for index, stanza in enumerate(self.received):
                        if wanted(stanza):
                            return self.received.pop(index)
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{self.boundjid}: {what} did not come; got {self.received}") from None

    async def wait_message(self, body: str, **options: Any) -> Message:
        """Wait for a message with that body."""
        return await self.wait_for(lambda s: s.name == "message" and s["body"] == body, f"message {body!r}", **options)

    async def wait_presence(self, sender: str, kind: str = "available", **options: Any) -> Any:
        """Wait for presence of that type ("available", "unavailable", "subscribe", …) from a bare or full JID."""

        def wanted(stanza: Any) -> bool:
            from_ = stanza["from"]
            if stanza.name != "presence" or sender not in (from_.bare, from_.full):
                return False
            type_ = stanza["type"]
            return type_ == kind or (kind == "available" and type_ in ("away", "chat", "dnd", "xa"))

        return await self.wait_for(wanted, f"presence {kind} from {sender}", **options)

    def count(self, body: str) -> int:
        """Return how many messages with that body are waiting to be looked at."""
        return sum(s.name == "message" and s["body"] == body for s in self.received)

    async def settle(self) -> None:
        """Return when all that the server sent before is here: a ping answered."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.domain, timeout=TIMEOUT_S)

    def make_future(self, event: str) -> "asyncio.Future[Any]":
        """Return a future of the next time slixmpp raises that event."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.add_event_handler(event, lambda data: future.done() or future.set_result(data), disposable=True)
        return future

    async def wait_managed(self) -> None:
        """Wait until stream management is on (it is asked for after the session starts)."""
        plugin = self.plugin["xep_0198"]
        if not plugin.enabled_in:
            await asyncio.wait_for(self.make_future("sm_enabled"), TIMEOUT_S)
        await self.settle()

    async def wait_disconnected(self) -> None:
        """Wait for the end of the connection."""
        if self.is_connected():
            await asyncio.wait_for(self.make_future("disconnected"), TIMEOUT_S)

    async def resume(self) -> None:
        """Connect again after `cut` and resume the stream.

        Raises:
            TimeoutError: it was not resumed.
        """
        resumed = self.make_future("session_resumed")
        self.connect("127.0.0.1", self.port)
        await asyncio.wait_for(resumed, TIMEOUT_S)

    async def leave(self) -> None:
        """Close the stream and wait for its end."""
        if self.is_connected():
            await self.disconnect()
        self.cancel_connection_attempt()

    def cut(self) -> None:
        """Drop the connection without a word, as a tunnel would."""
        self.abort()


async def befriend(one: Person, other: Person) -> None:
    """Make two people see each other's presence."""
    for asks, answers in ((one, other), (other, one)):
        asks.send_presence(pto=answers.boundjid.bare, ptype="subscribe")
        if not answers.auto_authorize:
            await answers.wait_presence(asks.boundjid.bare, "subscribe")
            answers.send_presence(pto=asks.boundjid.bare, ptype="subscribed")
        await asks.wait_presence(answers.boundjid.bare, "subscribed")
