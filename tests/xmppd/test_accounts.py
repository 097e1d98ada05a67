"""What is done with accounts as such."""

import asyncio

import pytest

from codec.element import Element
from codec.jid import JID
from storage.interface import AccountRecord, Commit, StorageError, StorageFull
from tests.support.world import World
from xmppd import accounts
from xmppd.errors import StanzaError
from xmppd.hooks import AccountEvent, account_created, account_deleted
from xmppd.sasl.keys import make_keys, verify_password
from xmppd.sasl.password_work import TooBusy

ROMEO = JID.parse("romeo@example.org")


@pytest.fixture
async def world() -> World:
    return await World.create([], settings={"scram.iterations": 4096})


async def record(world: World, jid: JID = ROMEO) -> AccountRecord:
    found = await world.shared.backend.accounts.get(jid)
    assert found is not None
    return found


async def test_new_account_has_its_password_and_its_time_and_is_announced(world: World) -> None:
    told: list[AccountEvent] = []
    world.host().handlers[account_created] = (told.append,)
    await accounts.create(world.host(), ROMEO, "wherefore")
    made = await record(world)
    assert verify_password(made, "wherefore")
    assert made.keys["SHA-256"].iterations == 4096
    assert made.created_at_us == world.clock.now_us()
    assert told == [AccountEvent(ROMEO)]


async def test_account_that_exists_is_not_made_again(world: World) -> None:
    await accounts.create(world.host(), ROMEO, "one")
    with pytest.raises(StanzaError, match="conflict"):
        await accounts.create(world.host(), ROMEO, "two")
    assert verify_password(await record(world), "one")


async def test_of_two_who_make_the_same_account_at_once_one_gets_it(world: World) -> None:
    both = [accounts.create(world.host(), ROMEO, password) for password in ("one", "two")]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(result) for result in results if result is not None) == [StanzaError]


@pytest.mark.parametrize("password", ["", "x" * 2000, "bell\a"])
async def test_what_cannot_be_a_password_is_not_acceptable(world: World, password: str) -> None:
    with pytest.raises(StanzaError, match="not-acceptable"):
        await accounts.create(world.host(), ROMEO, password)
    assert await world.shared.backend.accounts.get(ROMEO) is None


async def test_when_too_many_passwords_wait_the_next_must_come_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        async def make_keys(self, *_: object) -> None:
            raise TooBusy

    monkeypatch.setattr(world.shared, "password_work", Busy())
    with pytest.raises(StanzaError, match="resource-constraint"):
        await accounts.create(world.host(), ROMEO, "x")


async def test_another_password_takes_the_place_of_the_first_and_sessions_go_on(world: World) -> None:
    await accounts.create(world.host(), ROMEO, "one")
    romeo = await world.client("romeo@example.org/orchard")
    await accounts.set_password(world.host(), ROMEO, "two")
    changed = await record(world)
    assert verify_password(changed, "two") and not verify_password(changed, "one")
    assert not romeo.connection.is_closing


async def test_account_that_does_not_exist_gets_no_password(world: World) -> None:
    with pytest.raises(StanzaError, match="item-not-found"):
        await accounts.set_password(world.host(), ROMEO, "two")
    assert await world.shared.backend.accounts.get(ROMEO) is None


async def test_account_is_disabled_and_enabled_again(world: World) -> None:
    await accounts.create(world.host(), ROMEO, "one")
    for disabled in (True, True, False):
        await accounts.set_disabled(world.host(), ROMEO, disabled)
        assert (await record(world)).disabled is disabled
    assert verify_password(await record(world), "one")


async def test_sessions_end_by_full_jid_or_all_together(world: World) -> None:
    clients = [await world.client(f"romeo@example.org/{name}") for name in "abc"]
    assert await accounts.end_sessions(world.host(), JID.parse("romeo@example.org/b"), "policy-violation") == 1
    assert [client.connection.is_closing for client in clients] == [False, True, False]
    assert await accounts.end_sessions(world.host(), ROMEO, "policy-violation") == 2
    assert await accounts.end_sessions(world.host(), ROMEO, "policy-violation") == 0
    assert await accounts.end_sessions(world.host(), JID.parse("nobody@example.org"), "policy-violation") == 0


async def test_removed_account_leaves_nothing_and_its_sessions_end_before_contacts_are_told(world: World) -> None:
    host = world.host()
    await accounts.create(host, ROMEO, "one")
    romeo = await world.client("romeo@example.org/orchard")
    await world.shared.backend.keyval("x").set(ROMEO, b"x")
    told: list[tuple[JID, int]] = []

    async def tell(event: AccountEvent) -> None:
        account = await host.load_account(event.jid)
        assert account is not None
        told.append((event.jid, len(account.resources)))

    host.handlers[account_deleted] = (tell,)
    await accounts.remove(host, ROMEO)
    ended = await romeo.next()
    assert isinstance(ended, Element) and ended.elements()[0].name == "not-authorized"
    assert told == [(ROMEO, 0)]
    assert await world.shared.backend.accounts.get(ROMEO) is None
    assert await world.shared.backend.keyval("x").get(ROMEO) is None
    assert ROMEO not in host.accounts


async def test_account_that_cannot_be_removed_stays_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await accounts.create(world.host(), ROMEO, "one")
    await accounts.set_disabled(world.host(), ROMEO, True)

    def full(*_: object) -> Commit:
        commit = Commit()
        commit.finish(StorageFull("full"))
        return commit

    monkeypatch.setattr(world.shared.backend.accounts, "delete", full)
    await accounts.remove(world.host(), ROMEO)
    assert (await record(world)).disabled


async def test_keys_for_another_hash_come_beside_those_that_are_there(world: World) -> None:
    full = make_keys("wherefore", 4096)
    basis = AccountRecord(ROMEO, {"SHA-1": full["SHA-1"]})
    await world.shared.backend.accounts.create(basis)
    await accounts.add_keys(world.host(), ROMEO, basis, "SHA-256", full["SHA-256"])
    assert (await record(world)).keys == full
    await accounts.add_keys(world.host(), ROMEO, basis, "SHA-256", make_keys("another", 4096)["SHA-256"])
    assert (await record(world)).keys == full


async def test_keys_of_an_older_password_are_not_added(world: World) -> None:
    old, new = make_keys("old", 4096), make_keys("new", 4096)
    basis = AccountRecord(ROMEO, {"SHA-1": old["SHA-1"]})
    await world.shared.backend.accounts.create(AccountRecord(ROMEO, {"SHA-1": new["SHA-1"]}))
    with pytest.raises(StanzaError, match="conflict"):
        await accounts.add_keys(world.host(), ROMEO, basis, "SHA-256", old["SHA-256"])
    assert set((await record(world)).keys) == {"SHA-1"}


async def test_account_gets_all_keys_that_it_lacks_and_keeps_its_own(world: World) -> None:
    full = make_keys("wherefore", 4096)
    basis = AccountRecord(ROMEO, {"SHA-1": full["SHA-1"]})
    await world.shared.backend.accounts.create(basis)
    await accounts.complete_keys(world.host(), basis, "wherefore")
    made = await record(world)
    assert set(made.keys) == set(full) and made.keys["SHA-1"] == full["SHA-1"]
    assert verify_password(AccountRecord(ROMEO, {"SHA-256": made.keys["SHA-256"]}), "wherefore")


async def test_keys_of_an_account_that_is_gone_are_not_made(world: World) -> None:
    await accounts.complete_keys(world.host(), AccountRecord(ROMEO, {}), "wherefore")
    assert await world.shared.backend.accounts.get(ROMEO) is None


async def owners(world: World) -> list[str]:
    return [owner async for owner in world.shared.backend.owners()]


async def test_erased_account_leaves_nothing_also_of_one_that_was_deleted_before(world: World) -> None:
    host = world.host()
    told: list[AccountEvent] = []
    host.handlers[account_deleted] = (told.append,)
    for _ in range(2):
        await accounts.create(host, ROMEO, "wherefore")
        await host.backend.keyval("card").set(ROMEO, b"x")
        await accounts.erase(host, ROMEO)
        assert await owners(world) == []
        await host.backend.keyval("card").set(ROMEO, b"left behind")
    await accounts.erase(host, ROMEO)
    assert await owners(world) == []
    assert told == [AccountEvent(ROMEO)] * 3
    with pytest.raises(StanzaError, match="nothing is kept of romeo"):
        await accounts.erase(host, ROMEO)


async def test_erasing_one_account_leaves_another_whose_name_begins_the_same(world: World) -> None:
    await world.shared.backend.keyval("card").set("romeo@example.org.uk", b"x")
    with pytest.raises(StanzaError):
        await accounts.erase(world.host(), ROMEO)
    assert await owners(world) == ["romeo@example.org.uk"]


async def test_erasing_that_fails_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await accounts.create(world.host(), ROMEO, "wherefore")

    def full(_: str) -> Commit:
        raise StorageFull("no room")

    monkeypatch.setattr(world.shared.backend, "erase", full)
    await world.shared.backend.keyval("card").set(ROMEO, b"x")
    with pytest.raises(StorageError, match="not erased altogether"):
        await accounts.erase(world.host(), ROMEO)
