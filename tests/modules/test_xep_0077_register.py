"""XEP-0077: In-Band Registration."""

from typing import Any

import pytest

from codec.element import Element
from codec.jid import JID
from codec.payloads.data_form import Form
from storage.interface import AccountRecord
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, FakeClock, World
from xmppd.hooks import AccountEvent, account_created, account_deleted
from xmppd.modules import xep_0077_register
from xmppd.modules.xep_0077_register import HourlyLimit, Register
from xmppd.sasl.keys import verify_password

NS = "jabber:iq:register"
FEATURE = "http://jabber.org/features/iq-register register"
OPEN = {"registration.open": True, "registration.limit_per_hour": 2, "scram.iterations": 4096}


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(
        "xep_0077_register",
        "rfc_6121_roster",
        "rfc_6121_presence",
        settings={**OPEN, "admin.jids": ["admin@example.org"]},
        domains=("example.org", "example.net"),
    )


async def ask(client: Client, type_: str, inner: str, to: str = "") -> Any:
    """Send a query; return `Register` or None of the result, or the condition of the error."""
    address = f" to='{to}'" if to else ""
    await client.send(f"<iq type='{type_}' id='r'{address}><query xmlns='{NS}'>{inner}</query></iq>")
    answer = await client.next_stanza()
    if answer.type == "error":
        return answer.element("jabber:client error").elements()[0].name
    return answer.get(Register)


async def register(client: Client, username: str, password: str = "secret") -> Any:
    return await ask(client, "set", f"<username>{username}</username><password>{password}</password>")


async def record(world: World, jid: str) -> AccountRecord | None:
    return await world.shared.backend.accounts.get(jid)


async def has_password(world: World, jid: str, password: str) -> bool:
    found = await record(world, jid)
    return found is not None and verify_password(found, password)


async def test_strangers_are_offered_registration_and_others_are_not(world: World) -> None:
    stranger = world.stranger()
    assert stranger.features is not None and stranger.features.find(FEATURE) is not None
    romeo = await world.login("romeo@example.org")
    assert romeo.features is not None and romeo.features.find(FEATURE) is None


async def test_server_that_is_not_open_offers_nothing_and_allows_nothing(make_world: MakeWorld) -> None:
    world = await make_world("xep_0077_register")
    stranger = world.stranger()
    assert stranger.features is not None and stranger.features.find(FEATURE) is None
    assert await ask(stranger, "get", "") == "not-allowed"
    assert await register(stranger, "juliet") == "not-allowed"
    assert await record(world, "juliet@example.org") is None


async def test_stranger_learns_what_to_fill_in(world: World) -> None:
    asked = await ask(world.stranger(), "get", "", "example.org")
    assert (asked.username, asked.password, asked.registered) == ("", "", False)
    assert asked.instructions
    assert asked.form.form_type == NS
    assert [field.var for field in asked.form.fields if field.required] == ["username", "password"]


async def test_stranger_makes_an_account(world: World) -> None:
    told: list[AccountEvent] = []
    world.host().handlers[account_created] = (told.append,)
    assert await register(world.stranger(), "Juliet") is None
    assert await has_password(world, "juliet@example.org", "secret")
    assert told == [AccountEvent(JID.parse("juliet@example.org"))]


async def test_account_is_made_on_the_domain_of_the_stream(world: World) -> None:
    await register(world.stranger("example.net"), "juliet")
    assert await record(world, "juliet@example.net") is not None
    assert await record(world, "juliet@example.org") is None


async def test_stranger_may_fill_in_the_form_instead(world: World) -> None:
    form = Form.submit(NS, {"username": "juliet", "password": "from the form"}).to_xml().decode()
    assert await ask(world.stranger(), "set", form) is None
    assert await has_password(world, "juliet@example.org", "from the form")


async def test_name_that_is_taken_is_a_conflict(world: World) -> None:
    await register(world.stranger(), "juliet", "one")
    assert await register(world.stranger(), "juliet", "two") == "conflict"
    assert await has_password(world, "juliet@example.org", "one")


async def test_name_of_an_administrator_is_never_to_be_had(world: World) -> None:
    assert await register(world.stranger(), "Admin") == "conflict"
    assert await record(world, "admin@example.org") is None


@pytest.mark.parametrize(
    ("username", "password"),
    [("", "x"), ("a@b", "x"), ("a b", "x"), ("x" * 1024, "x"), ("juliet", ""), ("juliet", "&#x85;")],
)
async def test_what_cannot_be_a_name_or_a_password_is_not_acceptable(
    world: World, username: str, password: str
) -> None:
    assert await register(world.stranger(), username, password) == "not-acceptable"


async def test_missing_fields_are_not_acceptable(world: World) -> None:
    assert await ask(world.stranger(), "set", "<username>juliet</username>") == "not-acceptable"
    assert await ask(world.stranger(), "set", "<password>x</password>") == "not-acceptable"


async def test_address_makes_no_more_accounts_in_an_hour_than_the_limit(world: World) -> None:
    stranger = world.stranger(address="192.0.2.1")
    assert await register(stranger, "a") is None
    assert await register(stranger, "a") == "conflict"
    assert await register(stranger, "b") is None
    assert await register(world.stranger(address="192.0.2.1"), "c") == "resource-constraint"
    assert await record(world, "c@example.org") is None
    assert await register(world.stranger(address="192.0.2.2"), "c") is None
    world.clock.advance(3600)
    assert await register(stranger, "d") is None


def test_limit_of_zero_means_none() -> None:
    limit = HourlyLimit(0, FakeClock())
    assert all(limit.take("192.0.2.1") for _ in range(100))
    limit.give_back("192.0.2.1")


def test_hosts_of_one_ipv6_network_count_as_one_and_mapped_ipv4_as_itself() -> None:
    limit = HourlyLimit(1, FakeClock())
    assert limit.take("2001:db8::1") and not limit.take("2001:db8::2:3%eth0")
    assert limit.take("2001:db8:0:1::1")
    assert limit.take("192.0.2.1") and not limit.take("::ffff:192.0.2.1")
    assert limit.take("") and not limit.take("")


def test_hour_slides() -> None:
    clock = FakeClock()
    limit = HourlyLimit(2, clock)
    assert limit.take("a")
    clock.advance(1800)
    assert limit.take("a") and not limit.take("a")
    clock.advance(1800)
    assert limit.take("a") and not limit.take("a")


def test_addresses_beyond_the_bound_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0077_register, "MAX_ADDRESSES", 2)
    limit = HourlyLimit(1, FakeClock())
    assert limit.take("a") and limit.take("b") and limit.take("c")
    assert not limit.take("b")
    assert limit.take("a")


# after login


async def test_account_is_told_that_it_is_registered(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    for to in ("", "example.org"):
        answer = await ask(romeo, "get", "", to)
        assert (answer.registered, answer.username, answer.password) == (True, "romeo", "")


async def test_other_clients_are_told_of_another_password(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    other = await world.client("romeo@example.org/balcony", "<presence/>")
    hidden = await world.client("romeo@example.org/hidden")
    juliet = await world.client("juliet@example.org/x", "<presence/>")
    assert await ask(romeo, "set", "<username>romeo</username><password>new</password>") is None
    told = await other.next_stanza()
    assert (told.type, told.from_) == ("headline", "example.org") and b"password" in told.inner
    for client in (romeo, hidden, juliet):
        await client.expect_nothing()


async def test_nobody_is_told_of_a_password_that_was_refused(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    other = await world.client("romeo@example.org/balcony", "<presence/>")
    assert await ask(romeo, "set", "<username>romeo</username><password>&#x85;</password>") == "not-acceptable"
    await other.expect_nothing()


@pytest.mark.parametrize("to", ["", "example.org"])
async def test_account_changes_its_password_and_its_sessions_go_on(world: World, to: str) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    garden = await world.client("romeo@example.org/garden")
    assert await ask(romeo, "set", "<username>Romeo</username><password>new</password>", to) is None
    assert await has_password(world, "romeo@example.org", "new")
    assert not garden.connection.is_closing


@pytest.mark.parametrize(
    ("inner", "error"),
    [
        ("<username>juliet</username><password>new</password>", "not-allowed"),
        ("<username>a@b</username><password>new</password>", "bad-request"),
        ("<password>new</password>", "bad-request"),
        ("<username>romeo</username>", "bad-request"),
        ("<username>romeo</username><password/>", "bad-request"),
        ("<username>romeo</username><password>&#x85;</password>", "not-acceptable"),
        ("<username>romeo</username><remove/>", "bad-request"),
    ],
)
async def test_request_that_is_wrong_changes_nothing(world: World, inner: str, error: str) -> None:
    await register(world.stranger(), "romeo", "old")
    await register(world.stranger(), "juliet", "old")
    romeo = await world.client("romeo@example.org/orchard")
    assert await ask(romeo, "set", inner) == error
    assert await has_password(world, "romeo@example.org", "old")
    assert await has_password(world, "juliet@example.org", "old")


async def test_account_of_another_domain_has_nothing_to_change_here(world: World) -> None:
    romeo = await world.client("romeo@example.net/orchard")
    assert await ask(romeo, "get", "", "example.org") == "not-allowed"
    inner = "<username>romeo</username><password>new</password>"
    assert await ask(romeo, "set", inner, "example.org") == "not-allowed"
    assert await ask(romeo, "set", "<remove/>", "example.org") == "not-allowed"


async def test_account_goes_and_all_of_it_after_the_result(world: World) -> None:
    told: list[AccountEvent] = []
    world.host().handlers[account_deleted] = (told.append,)
    romeo = await world.client("romeo@example.org/orchard")
    garden = await world.client("romeo@example.org/garden")
    await world.shared.backend.keyval("x").set("romeo@example.org", b"x")
    await romeo.send(f"<iq type='set' id='r' to='example.org'><query xmlns='{NS}'><remove/></query></iq>")
    await romeo.expect(f"<iq type='result' id='r' from='example.org' to='{romeo}'/>")
    for client in (romeo, garden):
        error = await client.next()
        assert isinstance(error, Element) and error.elements()[0].name == "not-authorized"
    await world.settle()
    assert told == [AccountEvent(JID.parse("romeo@example.org"))]
    assert await record(world, "romeo@example.org") is None
    assert await world.shared.backend.keyval("x").get("romeo@example.org") is None


async def test_name_of_a_removed_account_can_be_had_again_with_nothing_of_the_old(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    assert await ask(romeo, "set", "<remove/>") is None
    await world.settle()
    assert await register(world.stranger(), "romeo", "new") is None
    assert await has_password(world, "romeo@example.org", "new")
