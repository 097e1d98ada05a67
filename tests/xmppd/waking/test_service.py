"""Push in a process."""

import asyncio

import pytest

from push.gateway import BadToken, Device, Notification, Outcome, Result
from push.outbox import OutboxOptions
from storage.memory import MemoryBackend
from tests.support.push.scripted import FakeClock, ScriptedGateway, settle
from xmppd.logs import get_logger
from xmppd.waking.registrations import Registration
from xmppd.waking.service import PushService, is_app_server

OWNER = "j@example.org"


async def make(
    sends=lambda _: True, backend: MemoryBackend | None = None
) -> tuple[PushService, ScriptedGateway, ScriptedGateway]:
    backend = backend or MemoryBackend()
    await backend.open()
    apns, xmpp = ScriptedGateway("apns"), ScriptedGateway("xmpp")
    service = PushService(backend, [apns, xmpp], FakeClock(), OutboxOptions(), get_logger("test"), sends=sends)
    return service, apns, xmpp


def device(gateway: str = "apns") -> Registration:
    return Registration(key="k", gateway=gateway, token="t", registered_at_us=10)


async def test_what_is_put_is_sent_and_its_result_is_kept():
    service, apns, _ = await make()
    await service.registrar.put(OWNER, device(), ())
    service.start()
    waiting = asyncio.ensure_future(service.wait_for(f"{OWNER}/k", 5))
    await asyncio.sleep(0)
    service.put(Notification(device().device(OWNER)))
    attempt = await waiting
    assert attempt is not None and attempt.result == "delivered" and len(apns.sent) == 1
    assert (await service.results(OWNER))["k"] == attempt
    await service.close()
    assert (await service.registrar.results(OWNER))["k"] == attempt
    assert service.counts["apns", "delivered", ""] == 1 and sum(service.latency_counts) == 1
    assert len(service.bounds_s) + 1 == len(service.latency_counts)


async def test_what_another_process_sends_is_only_kept():
    service, apns, xmpp = await make(sends=is_app_server)
    service.start()
    for name in ("apns", "xmpp"):
        service.put(Notification(Device("j@x/k", name, "t")))
    await settle()
    assert (len(apns.sent), len(xmpp.sent)) == (0, 1)
    assert {name: state.waiting for name, state in (await service.states()).items()} == {"apns": 1, "xmpp": 0}
    await service.close()


async def test_nobody_waits_longer_than_they_said():
    service, _, _ = await make()
    assert await service.wait_for("j@x/k", 0.01) is None


async def test_a_gateway_that_is_not_set_up_takes_nothing():
    service, _, _ = await make()
    assert service.put(Notification(Device("j@x/k", "fcm", "t"))) is None
    with pytest.raises(BadToken, match="fcm"):
        service.check(Device("j@x/k", "fcm", "t"))
    assert service.names == ("apns", "xmpp")


async def test_a_token_that_cannot_be_is_logged_not_raised():
    service, _, _ = await make()
    assert service.put(Notification(Device("j@x/k", "apns", ""))) is None


async def test_a_dead_device_is_removed_and_told():
    service, apns, _ = await make()
    gone: list[tuple[str, str]] = []
    service.on_removed = lambda owner, key: gone.append((owner, key))
    await service.registrar.put(OWNER, device(), ())
    apns.outcomes.append(Outcome(Result.DEAD, "Unregistered"))
    service.start()
    service.put(Notification(device().device(OWNER)))
    await settle()
    assert gone == [(OWNER, "k")] and not service.registrar.has_devices(OWNER)
    await service.close()


async def test_a_gateway_in_trouble_is_seen():
    service, apns, _ = await make()
    apns.outcomes.append(Outcome(Result.RETRY, "timeout", is_gateway=True))
    service.start()
    service.put(Notification(device().device(OWNER)))
    await settle()
    assert (await service.states())["apns"].reason == "timeout"
    service.broke("apns", ValueError("fault"))
    service.opened("apns")
    await service.close()
