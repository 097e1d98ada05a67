"""The server that system tests talk to: ours, or Prosody when XMPPD_TEST_TARGET=prosody (to try the tests themselves)."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.accounts import PASSWORD, write_accounts, write_prosody_accounts
from bench.peers import ProsodyServer
from tests.support.ca import make_test_ca
from tests.support.person import Person, befriend
from tests.support.server import ServerProcess

Target = ServerProcess | ProsodyServer
ADMIN = "admin@localhost"
SPARE_ACCOUNTS = 200
PLUGINS = ("xep_0030", "xep_0199")


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM files: the authority, and a certificate for localhost with its key."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="xmppd-system-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def tls(folder: Path) -> TLSFiles:
    """A certificate for localhost from the tests' own authority."""
    authority = make_test_ca(folder)
    leaf = authority.sign(["localhost"], file_name="server")
    return TLSFiles(authority.path, leaf.certificate, leaf.key)


@pytest.fixture(scope="module")
def server(folder: Path, tls: TLSFiles, request: pytest.FixtureRequest) -> Iterator[Target]:
    """The server under test for one file of tests, with TLS, started; the file's SETTINGS are added to ours.

    It has the accounts admin and s0, s1, …, all with the password `PASSWORD`.
    """
    users = ["admin", *(f"s{number}" for number in range(SPARE_ACCOUNTS))]
    settings: dict[str, Any] = {"admin.jids": [ADMIN], **getattr(request.module, "SETTINGS", {})}
    place = folder / "server"
    if os.environ.get("XMPPD_TEST_TARGET") == "prosody":
        target: Target = ProsodyServer(
            place,
            certificate=tls.certificate,
            key=tls.key,
            admins=(ADMIN,),
            registration_open=settings.get("registration.open", False),
            require_tls=settings.get("c2s.require_tls", True),
        )
        write_prosody_accounts(place / "data", users)
    else:
        target = ServerProcess(place, settings=settings, certificate=tls.certificate, key=tls.key)
        asyncio.run(write_accounts(place / "data" / "xmppd.db", users))
    target.start()
    yield target
    target.close()


@pytest.fixture(scope="module")
def spare() -> Iterator[str]:
    """Bare JIDs of accounts that no other test of the file has used."""
    return (f"s{number}@localhost" for number in itertools.count())


Login = Callable[..., Awaitable[Person]]


@pytest.fixture
async def login(server: Target, tls: TLSFiles, spare: Iterator[str]) -> AsyncIterator[Login]:
    """A function that logs a person in and out again at the end of the test.

    `await login()` takes a spare account; `await login(jid, plugins=(...), presence=False)` does what it says.
    """
    people: list[Person] = []

    async def log_in(
        jid: str = "", *, plugins: tuple[str, ...] = (), presence: bool = True, password: str = PASSWORD
    ) -> Person:
        person = Person(jid or next(spare), password, ca=tls.ca, plugins=(*PLUGINS, *plugins))
        people.append(person)
        return await person.login(server.c2s_port, presence=presence)

    yield log_in
    await asyncio.gather(*(person.leave() for person in people), return_exceptions=True)


@pytest.fixture
async def friends(login: Login) -> tuple[Person, Person]:
    """Two people who see each other's presence."""
    one, other = await login(), await login()
    await befriend(one, other)
    return one, other
