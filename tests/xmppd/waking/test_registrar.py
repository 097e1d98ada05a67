"""Where registrations are kept."""

import pytest

from push.gateway import Outcome, Result
from storage.memory import MemoryBackend
from xmppd.waking.registrar import Registrar, split_id, target_of
from xmppd.waking.registrations import Attempt, Registration, Settings

OWNER = "j@example.org"


@pytest.fixture
async def backend() -> MemoryBackend:
    made = MemoryBackend()
    await made.open()
    return made


def device(key: str = "k", at_us: int = 10) -> Registration:
    return Registration(key=key, gateway="apns", token="t", registered_at_us=at_us)


async def test_what_is_put_is_loaded_by_another(backend):
    one = Registrar(backend)
    await one.put(OWNER, device(), ())
    await one.count(OWNER, "r@example.org", 3)
    await one.keep_settings(OWNER, Settings(content="full"))
    other = Registrar(backend)
    await other.open("example.org")
    found = await other.load(OWNER)
    assert found.registrations == {"k": device()} and found.count == 3 and found.settings.content == "full"


async def test_an_account_without_devices_is_known_to_have_none(backend):
    one = Registrar(backend)
    assert not one.has_devices(OWNER)
    await one.put(OWNER, device(), ())
    await one.remove(OWNER, ["k"], is_last=True)
    other = Registrar(backend)
    await other.open("example.org")
    assert not one.has_devices(OWNER) and not other.has_devices(OWNER)
    assert (await other.load(OWNER)).registrations == {}


@pytest.mark.parametrize(("dead_at_us", "expected"), [(None, True), (10, True), (9, False)])
async def test_a_dead_token_is_buried_unless_it_was_registered_since(backend, dead_at_us, expected):
    one = Registrar(backend)
    await one.put(OWNER, device(), ())
    assert await one.bury(OWNER, "k", Outcome(Result.DEAD, dead_at_us=dead_at_us)) is expected
    assert one.has_devices(OWNER) is not expected


async def test_what_is_not_there_is_not_buried(backend):
    assert not await Registrar(backend).bury(OWNER, "k", Outcome(Result.DEAD))


async def test_nothing_is_left_of_a_forgotten_account(backend):
    one = Registrar(backend)
    await one.put(OWNER, device(), ())
    await one.count(OWNER, "r@example.org", 3)
    await one.keep_results(OWNER, {"k": Attempt(1, "dead")})
    await one.keep_settings(OWNER, Settings(content="full"))
    one.forget(OWNER)
    await backend.flush()
    assert [owner async for owner in backend.owners(OWNER)] == []


async def test_results_and_reads_are_kept(backend):
    one = Registrar(backend)
    await one.keep_results(OWNER, {"k": Attempt(1, "delivered")})
    assert await one.results(OWNER) == {"k": Attempt(1, "delivered")}
    await one.put(OWNER, device(), ())
    await one.count(OWNER, "a@b", 2)
    await one.read(OWNER, ["a@b"])
    assert (await one.load(OWNER)).unread == {}


def test_ids_are_split_at_the_last_slash():
    assert split_id("j@example.org/k") == (OWNER, "k")


@pytest.mark.parametrize("token", ["x", "[]", '{"jid": "a"}'])
def test_what_is_no_app_server_is_an_error(token):
    with pytest.raises(ValueError):
        target_of(token)
