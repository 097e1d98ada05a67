"""What Prosody and ejabberd have in common as peers: a domain, ports, accounts, and how they prove who they are."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.accounts import PASSWORD
from tests.support.ca import Leaf
from tests.support.daemon import Daemon, free_ports, wait_until
from tests.support.person import TIMEOUT_S, Person

PLUGINS = ("xep_0030", "xep_0045", "xep_0199")


class Mode(StrEnum):
    """How a peer proves its domain, and what it asks of others."""

    EXTERNAL = "external"
    """Its certificate is from the authority all trust; it takes certificates alone, no dialback."""
    DIALBACK = "dialback"
    """Nobody trusts its certificate, and it trusts nobody's: TLS is on, and dialback is all that is left."""
    UNTRUSTED = "untrusted"
    """Nobody trusts its certificate, and it has no dialback: it cannot prove anything."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Files of a peer: its own certificate, and the authority it trusts."""

    leaf: Leaf
    trusted: Path


class Peer(Daemon):
    """A real server for one domain, with rooms at `rooms`; everything it keeps is below `folder`.

    Attributes:
        has_bidi: whether it uses one stream for both directions (XEP-0288) where the other side can.
        has_direct_tls: whether other servers reach it by TLS that starts at once (XEP-0368), and in no other way.
    """

    software = ""

    def __init__(
        self, folder: Path, domain: str, identity: Identity, mode: Mode, *, bidi: bool, direct_tls: bool
    ) -> None:
        super().__init__(f"{self.software} of {domain}", folder / f"{self.software}.log")
        self.folder = folder
        self.domain = domain
        self.rooms = f"conference.{domain}"
        self.identity = identity
        self.mode = mode
        self.has_bidi = bidi
        self.has_direct_tls = direct_tls
        self.c2s_port, self.s2s_port = free_ports(2)
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def version() -> str:
        """Return what the package says of its version."""
        raise NotImplementedError

    def proofs(self, other: str) -> set[str]:
        """Return how it and another domain have proved themselves to each other so far, from its log.

        "out external": it logged in there by its certificate; "in dialback": the other did here, by dialback; and so on.
        """
        raise NotImplementedError

    async def has_received(self, id_: str) -> None:
        """Wait until its log has a stanza with that id."""
        await asyncio.to_thread(
            wait_until, lambda: f"id='{id_}'" in self.log_text(), f"{id_} at {self.name}", TIMEOUT_S * 2
        )

    def add_accounts(self, *users: str) -> None:
        """Make accounts with the password `PASSWORD`, before or while it runs; those that exist are left alone."""
        raise NotImplementedError

    def close(self) -> None:
        """End it at once: what it would still do in order is of no use to a test."""
        self.kill9()

    async def login(self, user: str, *plugins: str, presence: bool = True) -> Person:
        """Log somebody in, without TLS: what is between a client and its own server is not under test here."""
        person = Person(f"{user}@{self.domain}", PASSWORD, ca=None, plugins=(*PLUGINS, *plugins))
        await person.login(self.c2s_port, presence=presence)
        return person
