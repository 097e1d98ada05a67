"""A phone is woken, and fetches what it was woken for: `python -m bench.wakeup [--count N]`.

A server of ours in a process of its own, stand-ins of APNs and FCM that check what Apple and Google check, and a phone whose connection is
gone. Somebody writes to it; the time from the acknowledgement of that message to the notification at each stand-in is one figure. Then
the phone, which speaks the binary form, connects by direct TLS, logs in by a token (FAST), resumes, gets the message and acknowledges it:
its time from the notification on, its bytes (inside TLS) and round trips are the others. Printed is one line of JSON.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.accounts import PASSWORD, write_accounts
from bench.session import (
    DOMAIN,
    FAST,
    MESSAGE,
    SM,
    Connection,
    Count,
    Kept,
    Scene,
    authenticate,
    bind_request,
    by_token,
)
from codec.element import Element
from tests.support.ca import make_test_ca
from tests.support.push.stand_ins import APNS_TOKEN, FCM_TOKEN, StandIns, stand_ins
from tests.support.server import ServerProcess

REGISTER = tuple(
    f"<iq xmlns='jabber:client' type='set' id='{gateway}'>"
    f"<register xmlns='urn:xmppd:push:0' gateway='{gateway}' token='{token}'/></iq>"
    for gateway, token in (("apns", APNS_TOKEN), ("fcm", FCM_TOKEN))
)


@dataclass(slots=True)
class Figures:
    """In ms since the acknowledgement: to APNs, to FCM; in ms since the notification: until the phone has acknowledged; and its bytes."""

    apns_ms: list[float] = field(default_factory=list)
    fcm_ms: list[float] = field(default_factory=list)
    phone_ms: list[float] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return what is printed."""
        return {
            "count": len(self.apns_ms),
            "median_ms_to_apns": _median(self.apns_ms),
            "median_ms_to_fcm": _median(self.fcm_ms),
            "worst_ms": round(max(self.apns_ms + self.fcm_ms), 1),
            "median_ms_phone": _median(self.phone_ms),
            "median_ms_whole": _median([a + b for a, b in zip(self.apns_ms, self.phone_ms, strict=True)]),
            "bytes_up": _median([count.sent for count in self.counts]),
            "bytes_down": _median([count.received for count in self.counts]),
            "round_trips": _median([count.round_trips for count in self.counts]),
        }


def _median(values: list[float] | list[int]) -> float:
    return round(statistics.median(values), 1)


@asynccontextmanager
async def place(folder: Path, **settings: object) -> AsyncIterator[tuple[Scene, StandIns]]:
    """Run the server with stand-ins of its gateways; the accounts u0 (the phone) and u1."""
    authority = make_test_ca(folder)
    leaf = authority.sign([DOMAIN], file_name="server")
    await write_accounts(folder / "server" / "data" / "xmppd.db", ("u0", "u1"))
    async with stand_ins(folder, authority) as gateways:
        server = ServerProcess(
            folder / "server",
            settings={"c2s.require_tls": False, "push.device_per_minute": 0, **gateways.settings, **settings},  # type: ignore[arg-type]
            certificate=leaf.certificate,
            key=leaf.key,
        )
        await asyncio.to_thread(server.start)
        try:
            yield Scene(server, authority.path), gateways
        finally:
            await asyncio.to_thread(server.close)


@asynccontextmanager
async def writer(scene: Scene) -> AsyncIterator[Connection]:
    """Log u1 in, who writes."""
    async with scene.connect("xml", "") as wire:
        wire.send(wire.header() + wire.item(authenticate("PLAIN", f"\0u1\0{PASSWORD}".encode(), bind_request())))
        await wire.until("success")
        yield wire


async def write(wire: Connection, jid: str) -> float:
    """Write to somebody and return the moment of the acknowledgement."""
    wire.send(MESSAGE.format(to=jid, id=uuid.uuid4()).encode() + f"<r xmlns='{SM}'/>".encode())
    await wire.until("a")
    return time.perf_counter()


async def fetch(scene: Scene, kept: Kept) -> Count:
    """Connect, resume by a token, take what has come, and acknowledge it; return what it cost."""
    async with scene.connect("binary", "resume") as wire:
        count: Count = wire.count
        resume = f"<resume xmlns='{SM}' previd='{kept.previd}' h='{kept.h}'/>"
        wire.send(wire.header() + wire.item(by_token("u0", kept, wire.binding(), resume)))
        success = await wire.until("success")
        renewed = success.find(f"{FAST} token")
        if renewed is not None:
            kept.token = renewed.get("token") or kept.token
        if success.find(f"{SM} resumed") is None:
            raise ValueError("the session was not resumed")
        await wire.until_message()
        trips = count.round_trips
        await wire.until("r")
        kept.h += 1
        wire.send(wire.item(Element(f"{SM} a", {"h": str(kept.h)})))
        cost = replace(count, round_trips=trips)
        # not part of it: that the server has read all before it sees the connection end
        wire.send(wire.item(Element(f"{SM} r")))
        await wire.until("a")
        return cost


async def measure(folder: Path, number: int) -> Figures:
    """Wake the phone so many times."""
    figures = Figures()
    async with place(folder) as (scene, gateways), writer(scene) as wire:
        kept = await scene.first_login("u0", True, REGISTER)
        for turn in range(1, number + 1):
            acknowledged_s = await write(wire, kept.jid)
            await asyncio.gather(gateways.pushes.reach(turn), gateways.messages.reach(turn))
            woken_s = gateways.pushes.moments_s[turn - 1]
            figures.apns_ms.append(1000 * (woken_s - acknowledged_s))
            figures.fcm_ms.append(1000 * (gateways.messages.moments_s[turn - 1] - acknowledged_s))
            begun_s = time.perf_counter()
            figures.counts.append(await fetch(scene, kept))
            figures.phone_ms.append(1000 * (time.perf_counter() - begun_s))
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="how often the phone is woken (20)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-wakeup-") as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), options.count)).summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
