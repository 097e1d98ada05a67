"""The memory of idle sessions: `python -m bench.idle [--n N] [--tls] [--forms xml,talked,stateless,tables,asleep]`.

A server of ours in a process of its own; N clients log in, bind and become available, and say nothing for a while. What the server's memory
has grown by (PSS), shared among them, is what a session takes. A few have come and gone before, so that what all share does not count.

    xml         streams in XML, as `python -m bench --only idle` measures them
    talked      the same after the messages that fill tables in the rows below: what talking itself leaves behind
    stateless   the binary form, without tables
    tables      with all four tables of each session full: 64 addresses and 64 values each way, none of them shared
    asleep      the same after the server has put them to sleep, as it does with silent streams
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.accounts import PASSWORD, write_accounts
from bench.scram import Scram
from bench.session import BIND2, DOMAIN, SASL2, Connection, element
from codec.binary_dictionary import Dictionary, load_all
from codec.binary_features import SeenFeatures
from codec.binary_tables import SLOTS
from codec.element import Element
from codec.jid import JID
from codec.stanza import Message, Presence
from tests.support.ca import make_test_ca
from tests.support.daemon import raise_file_limit
from tests.support.raw import memory_bytes
from tests.support.server import ServerProcess

FORMS = ("xml", "talked", "stateless", "tables", "asleep")
XML_FORMS = ("xml", "talked")
TALKING = ("talked", "tables", "asleep")
CAPS_NS = "http://jabber.org/protocol/caps"
WARM = WAVE = 50
AT_ONCE = 50
SETTLE_S = 12.0
"""The server puts a stream to sleep after five seconds of silence, and looks every few."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients connect to, and how."""

    server: ServerProcess
    form: str
    context: ssl.SSLContext | None
    dictionaries: dict[bytes, Dictionary]


async def enter(place: Place, user: str) -> Connection:
    """Return a client that is available."""
    is_binary = place.form not in XML_FORMS
    if place.context is None:
        streams = await asyncio.open_connection("127.0.0.1", place.server.c2s_port)
    else:
        port = place.server.direct_tls_port
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=place.context, server_hostname=DOMAIN)
    wire = Connection(streams, place.form, "bind")
    if is_binary and place.context is None:
        upgrade = Element("urn:xmppd:binary:0 upgrade", {"dict": next(iter(place.dictionaries)).hex()})
        wire.send(wire.header() + upgrade.to_xml())
        await wire.until("proceed")
    if is_binary:
        wire.speak_binary(place.dictionaries, SeenFeatures(), takes_tables=place.form != "stateless")
    scram = Scram("sha1", user, PASSWORD)
    begin = (
        f"<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-1'><initial-response>{scram.first()}</initial-response>"
        f"<bind xmlns='{BIND2}'/></authenticate>"
    )
    wire.send(wire.header() + wire.item(element(begin)))
    challenge = await wire.until("challenge")
    answer = scram.answer(challenge.text)
    wire.send(wire.item(element(f"<response xmlns='{SASL2}'>{answer}</response>")))
    success = await wire.until("success")
    if wire.count.jid is None:
        identifier = success.find(f"{SASL2} authorization-identifier")
        assert identifier is not None
        wire.count.jid = JID.parse(identifier.text)
    wire.send(wire.item(Presence(None, None, None, "")))
    await wire.until_presence()
    return wire


async def crowd(place: Place, users: list[str]) -> list[Connection]:
    """Return clients for all of them."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(user: str) -> Connection:
        async with turns:
            return await enter(place, user)

    return await asyncio.gather(*(one(user) for user in users))


def news(to: JID, number: int) -> Message:
    """Return a message that nobody keeps, with a value that goes into the tables."""
    ver = base64.b64encode(hash_bytes(f"{to} {number}")).decode()
    caps = Element(f"{CAPS_NS} c", {"hash": "sha-1", "node": "urn:example", "ver": ver})
    return Message.build(caps, to=to, type="headline")


def hash_bytes(text: str) -> bytes:
    """Return 20 bytes that no other text has."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).digest()


async def fill_tables(clients: list[Connection], senders: list[Connection]) -> None:
    """Have every client and the server write to each other until their tables are full."""
    for wire in clients:
        for number, sender in enumerate(senders):
            assert wire.count.jid is not None and sender.count.jid is not None
            wire.send(wire.item(news(sender.count.jid, number)))
            sender.send(sender.item(news(wire.count.jid, number)))
        for _ in senders:
            await wire.until_message()
    for sender in senders:
        for _ in clients:
            await sender.until_message()


@asynccontextmanager
async def serving(folder: Path, n: int, form: str, is_tls: bool) -> AsyncIterator[Place]:
    """Run a server with accounts u0, u1, … and v0, v1, …"""
    authority = make_test_ca(folder)
    leaf = authority.sign([DOMAIN], file_name="server")
    users = [f"u{number}" for number in range(n)] + [f"v{number}" for number in range(SLOTS)]
    await write_accounts(folder / "server" / "data" / "xmppd.db", users)
    settings: dict[str, str | int | float | bool] = {"c2s.require_tls": False, "log.level": "warning"}
    if form == "tables":
        settings["c2s.idle_sleep_s"] = 0
    server = ServerProcess(folder / "server", settings=settings, certificate=leaf.certificate, key=leaf.key)
    context = None
    if is_tls:
        context = ssl.create_default_context(cafile=str(authority.path))
        context.set_alpn_protocols(["xmpp-client" if form in XML_FORMS else "xmppd-bin/0"])
    await asyncio.to_thread(server.start)
    try:
        yield Place(server, form, context, dict(load_all()))
    finally:
        await asyncio.to_thread(server.close)


async def measure(folder: Path, n: int, form: str, is_tls: bool, settle_s: float = SETTLE_S) -> float:
    """Return how many bytes an idle session of a form takes."""
    async with serving(folder, n, form, is_tls) as place:
        has_tables = form in TALKING
        senders = await crowd(place, [f"v{number}" for number in range(SLOTS)]) if has_tables else []
        await _come(place, range(min(n, WARM)), senders, settle_s)
        await asyncio.sleep(settle_s)
        before = memory_bytes(place.server.pid)
        clients: list[Connection] = []
        wave = WAVE if form == "asleep" else n
        for first in range(0, n, wave):
            clients += await _come(place, range(first, min(n, first + wave)), senders, settle_s, leave=False)
            if form == "asleep":
                await asyncio.sleep(settle_s)  # people fall silent one after another
        await asyncio.sleep(settle_s)
        grown = memory_bytes(place.server.pid) - before
        for wire in [*clients, *senders]:
            wire.cut()
        return grown / n


async def _come(
    place: Place, numbers: range, senders: list[Connection], settle_s: float, leave: bool = True
) -> list[Connection]:
    """Return clients with full tables, if there are senders; those that leave have been idle for a while before."""
    clients = await crowd(place, [f"u{number}" for number in numbers])
    if senders:
        await fill_tables(clients, senders)
    if leave:
        await asyncio.sleep(settle_s)
        for wire in clients:
            wire.cut()
    return clients


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000, help="sessions")
    parser.add_argument("--tls", action="store_true", help="inside TLS 1.3")
    parser.add_argument("--forms", default=",".join(FORMS), help="which, by comma")
    options = parser.parse_args(arguments)
    raise_file_limit()
    print(f"| {options.n} idle sessions, {'TLS 1.3' if options.tls else 'plain'} | KiB each |\n|---|---|")
    for form in options.forms.split(","):
        with tempfile.TemporaryDirectory(prefix="bench-idle-") as folder, contextlib.suppress(BrokenPipeError):
            each = asyncio.run(measure(Path(folder), options.n, form, options.tls))
            print(f"| {form} | {each / 1024:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
