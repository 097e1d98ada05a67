"""The worker that `bench.push` measures and kills: puts notifications into an outbox of its own, and sends them.

    python -m bench.push_worker --config FILE --count N --rate R

It prints "accepted N" now and then: so many are on disk. Killed and begun again it goes on where it stood.
"""

import argparse
import asyncio
import contextlib
import time
from pathlib import Path

from push.gateway import Device, Notification
from push.outbox import Outbox
from storage.interface import Backend, StorageError
from tests.support.push.scripted import Notes
from tests.support.push.stand_ins import APNS_TOKEN
from xmppd.clock import Clock
from xmppd.config_sources import load_config
from xmppd.push_gateways import make_gateways, outbox_options
from xmppd.storage_url import open_backend

TELL_EVERY = 50
TOKEN = "bench-device-{:07}:" + "A1-_" * 30


def notification(number: int) -> Notification:
    """Return one for a device of its own; every other one goes to APNs."""
    gateway, token = ("apns", APNS_TOKEN) if number % 2 else ("fcm", TOKEN.format(number))
    data = {"n": str(number), "put": str(time.time_ns())}
    return Notification(Device(f"bench/{number}", gateway, token), conversation=str(number), data=data)


async def put_all(outbox: Outbox, backend: Backend, count: int, rate: float) -> None:
    """Put what is not there yet, `rate` a second (0: as fast as they are committed)."""
    place = backend.keyval("bench")
    done = int(await place.get("put") or b"0")
    begun_s, first = time.monotonic(), done
    for number in range(done, count):
        ahead_s = (number - first) / rate - (time.monotonic() - begun_s) if rate else 0.0
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        outbox.put(notification(number))
        if (number + 1) % TELL_EVERY == 0 or number + 1 == count:
            await place.set(
                "put", str(number + 1).encode()
            )  # in the order of the calls: what is before it is on disk as well
            print("accepted", number + 1, flush=True)


async def work(config_path: Path, count: int, rate: float) -> None:
    """Put and send until killed."""
    config = load_config(config_path, (), {})
    backend = open_backend(config.storage_url, exclusive=True)
    await backend.open()
    backend.work.take_over()
    clock = Clock()
    gateways = make_gateways(config, clock)
    options = outbox_options(config.push)
    outbox = Outbox(backend.work, gateways, clock, Notes(), options, queue_errors=(StorageError,))
    async with asyncio.TaskGroup() as group:
        group.create_task(outbox.run())
        group.create_task(put_all(outbox, backend, count, rate))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work(options.config, options.count, options.rate))


if __name__ == "__main__":
    main()
