"""Push put together: the service inside the server, and `xmppd push`, which sends beside it."""

import asyncio
from collections.abc import Callable
from typing import Any

from codec.stanza import IQ
from push.gateway import BadCredentials
from storage.interface import Backend
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.host import Shared
from xmppd.push_gateways import make_gateways, outbox_options
from xmppd.waking.app_servers import AppServers
from xmppd.waking.content import Occasion, notification_of
from xmppd.waking.registrations import APP_SERVER
from xmppd.waking.service import PushService

STATUS_EVERY_S = 60.0


def open_push(shared: Shared, log: Any) -> PushService:
    """Return the push of a server, not started yet.

    Raises:
        BadCredentials: a gateway's files are wrong; one line for the operator.
    """
    config, push = shared.config, shared.config.push

    async def ask(iq: IQ, timeout_s: float) -> IQ:
        assert iq.from_ is not None
        host = shared.hosts.get(iq.from_.domainpart)
        if host is None:
            raise TimeoutError
        return await host.request(iq, timeout_s)

    app_servers = AppServers(
        ask, shared.clock, shared.ids.token, push.app_server_per_s, push.placeholder, push.app_server_summary
    )
    gateways = [*make_gateways(config, shared.clock), app_servers]
    return PushService(
        shared.backend,
        gateways,
        shared.clock,
        outbox_options(push),
        log,
        sends=lambda name: push.run == "server" or name == APP_SERVER,
    )


async def run_beside(
    config: Config, backend: Backend, log: Any, stopping: asyncio.Event, began: Callable[[], None]
) -> None:
    """Send what servers have put, until `stopping` is set.

    Args:
        backend: open, and shared with the servers.
        began: called once it sends.

    Raises:
        BadCredentials: a gateway's files are wrong, or there is no gateway.
    """
    clock = Clock()
    gateways = make_gateways(config, clock)
    if not gateways:
        raise BadCredentials("[push] sets up no gateway")
    service = PushService(backend, gateways, clock, outbox_options(config.push), log)
    for domain in config.server.domains:
        await service.registrar.open(domain)
    service.start()
    began()
    try:
        while not stopping.is_set():
            try:
                async with asyncio.timeout(STATUS_EVERY_S):
                    await stopping.wait()
            except TimeoutError:
                waiting = {name: state.waiting for name, state in (await service.states()).items()}
                log.info("push_runs", waiting=waiting)
    finally:
        await service.close()


async def wake_all(service: PushService, owner: str, wait_s: float) -> list[dict[str, Any]]:
    """Wake all devices of an account, and return what became of it: a line for each.

    Args:
        owner: its bare JID.
        wait_s: how long for results; a device without one by then is "waiting".
    """
    wakings = await service.registrar.load(owner)
    occasion = Occasion(owner, owner, text="This is a test.", count=wakings.count, kind="test")
    registrations = list(wakings.registrations.values())
    waits = [asyncio.ensure_future(service.wait_for(f"{owner}/{one.key}", wait_s)) for one in registrations]
    await asyncio.sleep(0)  # they listen before anything is sent
    for one in registrations:
        service.put(notification_of(occasion, owner, one, "full"))
    attempts = await asyncio.gather(*waits)
    return [
        {
            "id": one.key,
            "name": one.name,
            "gateway": one.gateway,
            "result": "waiting" if attempt is None else attempt.result,
            "reason": "" if attempt is None else attempt.reason,
            "waited_ms": 0 if attempt is None else attempt.waited_ms,
        }
        for one, attempt in zip(registrations, attempts, strict=True)
    ]


async def describe(service: PushService) -> dict[str, str]:
    """Return how each gateway is, in words for people."""
    states = await service.states()
    return {
        name: f"{one.state}{f' ({one.reason})' if one.reason else ''}, {one.waiting} waiting"
        for name, one in states.items()
    }
