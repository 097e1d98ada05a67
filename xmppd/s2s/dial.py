"""Reaching a server of a domain: its targets one after the other, the addresses of each as RFC 8305 says ("happy eyeballs")."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal

from xmppd.addresses import Address
from xmppd.s2s.resolver import NoService, Resolver, ResolverDown, Target

SHOWN_FAILURES = 6
"""So many are told; the line goes into logs and to people."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection to a server that the domain names. Whoever gets it closes `sock`.

    Attributes:
        sock: connected, non-blocking.
        target: what the domain says is there.
        address: which of the target's addresses it is.
    """

    sock: socket.socket
    target: Target
    address: str


class CannotConnect(Exception):
    """No server of the domain could be reached; the text is one line that says what was tried.

    Attributes:
        is_dns_negative: DNS says that there is nothing to reach.
    """

    def __init__(self, line: str, *, is_dns_negative: bool) -> None:
        super().__init__(line)
        self.is_dns_negative = is_dns_negative

    @property
    def condition(self) -> Literal["remote-server-not-found", "remote-server-timeout"]:
        """The stanza error for what was to be sent there (RFC 6120 §8.3.3.16, §8.3.3.17)."""
        return "remote-server-not-found" if self.is_dns_negative else "remote-server-timeout"


async def dial(
    resolver: Resolver,
    domain: str,
    *,
    attempt_timeout_s: float,
    total_timeout_s: float,
    attempt_delay_s: float = 0.25,
    source: str | None = None,
) -> AsyncGenerator[Dialled, None]:
    """Yield connections to servers of a domain, the best first.

    Take the next when a connection turns out to be of no use: TLS fails, or its stream. While the caller has one, nothing else is open
    or under way here, so a caller that stops has nothing to clean up but its own socket.

    Args:
        domain: a prepared domainpart.
        attempt_timeout_s: for one connection to be made.
        total_timeout_s: from now; when it is over, no more are tried.
        attempt_delay_s: the head start of an address over the next of its target.
        source: the address to connect from, which leaves out the other family; None lets the kernel choose.

    Raises:
        CannotConnect: there was not a single connection.
    """
    attempts = _Attempts(
        attempt_timeout_s, attempt_delay_s, asyncio.get_running_loop().time() + total_timeout_s, source
    )
    has_connected = False
    for target in await attempts.targets(resolver, domain):
        addresses = await attempts.addresses(resolver, target)
        while addresses and (won := await attempts.first_to_connect(addresses, target.port)):
            has_connected = True
            sock, address = won
            yield Dialled(sock, target, address)
    if not has_connected:
        raise CannotConnect(attempts.told(domain), is_dns_negative=attempts.is_dns_negative)


@dataclass(slots=True)
class _Attempts:
    """What may be tried for one domain, and what has failed.

    Attributes:
        deadline: by the loop's clock.
        failures: a few words on each.
        is_dns_negative: DNS had no address of any target.
    """

    timeout_s: float
    delay_s: float
    deadline: float
    source: str | None
    failures: list[str] = field(default_factory=list)
    is_dns_negative: bool = True

    async def targets(self, resolver: Resolver, domain: str) -> list[Target]:
        """Return what the domain names.

        Raises:
            CannotConnect: it names nothing, or DNS does not tell.
        """
        try:
            async with asyncio.timeout_at(self.deadline):
                return await resolver.targets(domain)
        except NoService as error:
            raise CannotConnect(str(error), is_dns_negative=True) from None
        except ResolverDown as error:
            raise CannotConnect(str(error), is_dns_negative=False) from None
        except TimeoutError:
            raise CannotConnect(f"DNS did not tell in time about {domain}", is_dns_negative=False) from None

    async def addresses(self, resolver: Resolver, target: Target) -> list[str]:
        """Return the addresses of a target, [] when it has none or the time is over."""
        try:
            async with asyncio.timeout_at(self.deadline):
                return await resolver.addresses(target.host)
        except NoService as error:
            self.failures.append(str(error))
            return []
        except ResolverDown as error:
            self.failures.append(str(error))
        except TimeoutError:
            self.failures.append(f"{target}: not tried, the time is over")
        self.is_dns_negative = False
        return []

    async def first_to_connect(self, addresses: list[str], port: int) -> tuple[socket.socket, str] | None:
        """Connect to one of the addresses, None when none can be reached.

        Each starts when the one before has failed or had its head start. Whatever else is open or under way when the first has
        connected, or when the caller is cancelled, is closed.

        Args:
            addresses: the one that connected and those that failed are taken out, those that were slower stay in.

        Spec: RFC 8305 §5.
        """
        self.is_dns_negative = False
        waiting = list(addresses)
        running: dict[asyncio.Task[socket.socket], str] = {}
        won: tuple[socket.socket, str] | None = None
        try:
            while won is None and (waiting or running):
                if waiting:
                    address = waiting.pop(0)
                    running[asyncio.create_task(self._connect(address, port))] = address
                done, _ = await asyncio.wait(
                    running, timeout=self.delay_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in [task for task in running if task in done]:
                    if won is None or task.exception():
                        won = self._settled(task, running.pop(task), port, addresses) or won
            await _ended(running)
        except BaseException:
            if won is not None:
                won[0].close()
            _cancel(running)
            raise
        return won

    def _settled(
        self, task: "asyncio.Task[socket.socket]", address: str, port: int, addresses: list[str]
    ) -> tuple[socket.socket, str] | None:
        """Take an address out of the list and return its connection; None when it failed, which is noted."""
        addresses.remove(address)
        try:
            return task.result(), address
        except TimeoutError:
            reason = "timed out"
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
        self.failures.append(f"{Address(address, port)}: {reason}")
        return None

    async def _connect(self, address: str, port: int) -> socket.socket:
        """Return a connected socket.

        Raises:
            OSError: there is no connection, TimeoutError in time.
        """
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if self.source is not None:
                sock.bind((self.source, 0))
            async with asyncio.timeout_at(min(loop.time() + self.timeout_s, self.deadline)):
                await loop.sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def told(self, domain: str) -> str:
        """Return one line on all that failed."""
        more = len(self.failures) - SHOWN_FAILURES
        shown = "; ".join(self.failures[:SHOWN_FAILURES]) + (f"; and {more} more" if more > 0 else "")
        return f"no server of {domain} can be reached: {shown}"


async def _ended(running: "dict[asyncio.Task[socket.socket], str]") -> None:
    """Give up the attempts and wait until nothing of them is left."""
    _cancel(running)
    if left := [task for task in running if not task.done()]:
        await asyncio.wait(left)


def _cancel(running: "dict[asyncio.Task[socket.socket], str]") -> None:
    """Give up the attempts: each closes its own socket, and one that has connected meanwhile is closed."""
    for task in running:
        if task.done():
            _close(task)
        else:
            task.cancel()
            task.add_done_callback(_close)


def _close(task: "asyncio.Task[socket.socket]") -> None:
    if not task.cancelled() and not task.exception():
        task.result().close()
