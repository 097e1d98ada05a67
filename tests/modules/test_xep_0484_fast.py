"""XEP-0484: Fast Authentication Streamlining Tokens."""

import asyncio
import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from codec.element import Element
from codec.jid import JID
from codec.values import parse_datetime
from storage.interface import StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.sasl2 import (
    AGENT,
    END_POINT_HASH,
    FAST,
    OTHER_AGENT,
    PASSWORD,
    SASL2,
    account,
    answers,
    authenticate,
    b64,
    failure_of,
    hashed,
    identifier,
    knock,
    login,
    plain,
    success_of,
)
from tests.support.world import Client, World
from xmppd import accounts
from xmppd.modules.xep_0484_fast import LIFETIME_S, MAX_CLIENTS, ROTATE_AFTER_S, FastModule, Turns

NONE, ENDP = "HT-SHA-256-NONE", "HT-SHA-256-ENDP"
MODULES = ("xep_0386_bind2", "xep_0388_sasl2", "xep_0484_fast")


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES)
    await account(world, "romeo@example.org")
    await account(world, "juliet@example.org")
    return world


def wish(mechanism: str = NONE) -> str:
    return f"<request-token xmlns='{FAST}' mechanism='{mechanism}'/>"


def fast(**attributes: object) -> str:
    shown = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return f"<fast xmlns='{FAST}'{shown}/>"


def token_in(success: Element) -> str:
    """Return the token that a <success/> carries, "" for none."""
    token = success.find(f"{FAST} token")
    return "" if token is None else token.get("token") or ""


async def token_for(world: World, mechanism: str = NONE, agent: str = AGENT, user: str = "romeo") -> str:
    """Return a token that a client got with its password."""
    client, success = await login(world, wish(mechanism), agent=agent, user=user)
    await client.close()
    token = token_in(success)
    assert token
    return token


async def attempt(
    world: World,
    token: str,
    inner: str = "",
    *,
    mechanism: str = NONE,
    binding: bytes = b"",
    agent: str = AGENT,
    user: str = "romeo",
    with_fast: str | None = None,
    tls: bool = True,
) -> list[Any]:
    """Try a token and return what came."""
    client = knock(world, tls=tls)
    element = fast() if with_fast is None else with_fast
    return await answers(client, authenticate(mechanism, hashed(token, binding, user), element + inner, agent))


async def works(world: World, token: str, **options: Any) -> bool:
    found = await attempt(world, token, **options)
    return bool(found[0].name == "success")


async def kept(world: World, user: str = "romeo") -> dict[str, bytes]:
    return await world.host().modules[FastModule].stores["tokens"].items(f"{user}@example.org")


# offering and asking


def inline_of(client: Client) -> Element:
    assert client.features is not None
    return client.features.find(f"{SASL2} authentication").find(f"{SASL2} inline")  # type: ignore[union-attr,return-value]


@pytest.mark.parametrize(("tls", "names"), [(True, [ENDP, NONE]), (False, [NONE])])
async def test_mechanisms_are_offered_inline_and_nowhere_else(world: World, tls: bool, names: list[str]) -> None:
    client = knock(world, tls=tls)
    feature = inline_of(client).find(f"{FAST} fast")
    assert feature is not None and [el.text for el in feature.elements()] == names
    assert feature.get("tls-0rtt") is None  # Python's ssl takes no early data
    assert client.features is not None
    mechanisms = [el.text for group in client.features.elements() for el in group.elements() if el.name == "mechanism"]
    assert mechanisms and not any(name.startswith("HT-") for name in mechanisms)


async def test_token_comes_with_success_and_says_how_long_it_holds(world: World) -> None:
    _, success = await login(world, wish())
    token = success.find(f"{FAST} token")
    assert token is not None and len(token_in(success)) >= 32
    left = parse_datetime(token.get("expiry") or "") - world.clock.now()
    assert abs(left.total_seconds() - LIFETIME_S) <= 1


@pytest.mark.parametrize(
    ("inner", "agent", "tls"),
    [
        ("", AGENT, True),
        (wish(), "", True),  # nothing says whose it would be
        (wish(), "not-a-uuid", True),
        (wish("HT-SHA-256-EXPR"), AGENT, True),
        (wish("PLAIN"), AGENT, True),
        (f"<request-token xmlns='{FAST}'/>", AGENT, True),
        (fast(), AGENT, True),
    ],
)
async def test_no_token_comes_for(world: World, inner: str, agent: str, tls: bool) -> None:
    _, success = await login(world, inner, agent=agent, tls=tls)
    assert token_in(success) == "" and await kept(world) == {}


async def test_no_token_comes_for_a_wrong_password(world: World) -> None:
    client = knock(world)
    found = await answers(client, authenticate("PLAIN", plain(password="pen"), wish()))
    assert failure_of(found) == "not-authorized" and await kept(world) == {}


async def test_login_succeeds_without_a_token_where_none_can_be_kept(world: World) -> None:
    class Full:
        async def items(self, owner: str) -> dict[str, bytes]:
            return {}

        def update(self, *_: object) -> None:
            raise StorageFull("no room")

    world.host().modules[FastModule].stores["tokens"] = Full()
    _, success = await login(world, wish())
    assert identifier(success) == "romeo@example.org" and token_in(success) == ""


# logging in


async def test_token_logs_in_in_one_step_and_the_server_proves_itself(world: World) -> None:
    token = await token_for(world)
    success = success_of(await attempt(world, token, "<bind xmlns='urn:xmpp:bind:0'/>"))
    assert identifier(success).startswith("romeo@example.org/")
    data = success.find(f"{SASL2} additional-data")
    assert data is not None
    assert data.text == b64(base64.b64decode(hashed(token, role=b"Responder")).partition(b"\0")[2])
    assert token_in(success) == ""


async def test_token_works_again_and_again(world: World) -> None:
    token = await token_for(world)
    assert [await works(world, token) for _ in range(3)] == [True] * 3


async def test_token_bound_to_the_channel_works_on_that_channel(world: World) -> None:
    token = await token_for(world, ENDP)
    assert await works(world, token, mechanism=ENDP, binding=END_POINT_HASH)
    assert not await works(world, token, mechanism=ENDP, binding=b"x" * 32)


async def test_token_works_after_a_restart(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    await account(world, "romeo@example.org")
    token = await token_for(world)
    assert await works(await make_world(*MODULES, backend=backend), token)


@pytest.mark.parametrize(("made_for", "used_with"), [(ENDP, NONE), (NONE, ENDP)])
async def test_token_is_good_for_its_own_mechanism_alone(world: World, made_for: str, used_with: str) -> None:
    token = await token_for(world, made_for)
    binding = END_POINT_HASH if used_with == ENDP else b""
    assert failure_of(await attempt(world, token, mechanism=used_with, binding=binding)) == "not-authorized"


async def test_token_of_another_account_or_installation_does_not_work(world: World) -> None:
    token = await token_for(world)
    await token_for(world, user="juliet")
    await token_for(world, agent=OTHER_AGENT)
    assert failure_of(await attempt(world, token, user="juliet")) == "not-authorized"
    assert failure_of(await attempt(world, token, agent=OTHER_AGENT)) == "not-authorized"
    assert failure_of(await attempt(world, token, user="nobody")) == "not-authorized"


@pytest.mark.parametrize("token", ["", "guess", "x" * 5000])
async def test_guesses_do_not_work(world: World, token: str) -> None:
    assert failure_of(await attempt(world, token)) == "not-authorized"  # where there is no token at all
    await token_for(world)
    assert failure_of(await attempt(world, token)) == "not-authorized"


async def test_token_needs_fast_and_an_id(world: World) -> None:
    token = await token_for(world)
    assert failure_of(await attempt(world, token, with_fast="")) == "malformed-request"
    assert failure_of(await attempt(world, token, agent="")) == "malformed-request"
    assert await works(world, token)


async def test_tokens_are_not_taken_by_the_old_profile(world: World) -> None:
    token = await token_for(world)
    ns = "urn:ietf:params:xml:ns:xmpp-sasl"
    (failure,) = await answers(knock(world), f"<auth xmlns='{ns}' mechanism='{NONE}'>{hashed(token)}</auth>")
    assert failure.tag == f"{ns} failure" and failure.elements()[0].name == "invalid-mechanism"


async def test_mechanism_bound_to_tls_is_not_there_without_it(world: World) -> None:
    token = await token_for(world, ENDP)
    found = await attempt(world, token, mechanism=ENDP, binding=END_POINT_HASH, tls=False)
    assert failure_of(found) == "invalid-mechanism"


@pytest.mark.parametrize("kept_data", [b"{}", b'{"current":null,"new":null}'])
async def test_installation_whose_tokens_are_gone_is_refused(world: World, kept_data: bytes) -> None:
    token = await token_for(world)
    await world.host().modules[FastModule].stores["tokens"].update("romeo@example.org", {AGENT: kept_data})
    assert not await works(world, token)


# counting


async def test_count_must_rise(world: World) -> None:
    token = await token_for(world)
    tried = [await works(world, token, with_fast=fast(count=count)) for count in (1, 1, 0, 2, 2, 10, 9, 11)]
    assert tried == [True, False, False, True, False, True, False, True]


async def test_count_of_a_failed_try_does_not_count(world: World) -> None:
    token = await token_for(world)
    assert not await works(world, "guess", with_fast=fast(count=99))
    assert await works(world, token, with_fast=fast(count=1))


async def test_count_begins_anew_with_the_next_token(world: World) -> None:
    assert await works(world, await token_for(world), with_fast=fast(count=50))
    assert await works(world, await token_for(world), with_fast=fast(count=1))


@pytest.mark.parametrize("count", ["", "-1", "one", "1.5", "99999999999", "2147483648", "٣"])
async def test_count_that_is_no_number_is_malformed(world: World, count: str) -> None:
    token = await token_for(world)
    assert failure_of(await attempt(world, token, with_fast=fast(count=count))) == "malformed-request"


async def test_of_two_logins_with_one_count_at_the_same_time_one_succeeds(world: World) -> None:
    token = await token_for(world)
    request = authenticate(NONE, hashed(token), fast(count=1))
    clients = [knock(world) for _ in range(4)]
    for client in clients:
        client.stream.receive(request.encode())
    names = sorted([(await client.next()).name for client in clients])  # type: ignore[union-attr]
    assert names == ["failure", "failure", "failure", "success"]


# rotation and the end of tokens


async def test_token_that_is_due_is_replaced_and_goes_on_until_the_next_one_is_used(world: World) -> None:
    old = await token_for(world)
    assert await works(world, old)
    world.clock.advance(ROTATE_AFTER_S + 1)
    new = token_in(success_of(await attempt(world, old)))
    assert new and new != old
    assert await works(world, old)  # the answer may have been lost
    newest = token_in(success_of(await attempt(world, old)))
    assert newest and not await works(world, new)  # one that was never used, and another was given since
    assert await works(world, newest)
    assert failure_of(await attempt(world, old)) == "not-authorized"
    assert token_in(success_of(await attempt(world, newest))) == ""


async def test_expired_token_fails_as_expired(world: World) -> None:
    token = await token_for(world)
    world.clock.advance(LIFETIME_S + 1)
    assert failure_of(await attempt(world, token)) == "credentials-expired"
    assert failure_of(await attempt(world, "guess")) == "not-authorized"


async def test_installation_may_ask_for_another_mechanism_than_it_has(world: World) -> None:
    old = await token_for(world)
    new = token_in(success_of(await attempt(world, old, wish(ENDP))))
    assert await works(world, new, mechanism=ENDP, binding=END_POINT_HASH)
    assert not await works(world, old)


@pytest.mark.parametrize("yes", ["1", "true"])
async def test_client_ends_its_token(world: World, yes: str) -> None:
    token = await token_for(world)
    other = await token_for(world, agent=OTHER_AGENT)
    world.clock.advance(ROTATE_AFTER_S + 1)
    success = success_of(await attempt(world, token, with_fast=fast(invalidate=yes)))
    assert token_in(success) == ""
    assert failure_of(await attempt(world, token)) == "not-authorized"
    assert await works(world, other, agent=OTHER_AGENT)


async def test_client_may_end_its_token_and_ask_for_another(world: World) -> None:
    token = await token_for(world)
    new = token_in(success_of(await attempt(world, token, wish(), with_fast=fast(invalidate="true"))))
    assert new and await works(world, new) and not await works(world, token)


async def test_wrong_token_ends_nothing(world: World) -> None:
    token = await token_for(world)
    assert not await works(world, "guess", with_fast=fast(invalidate="true"))
    assert await works(world, token)


async def test_another_password_ends_all_tokens(world: World) -> None:
    token = await token_for(world)
    await accounts.set_password(world.host(), JID.parse("romeo@example.org"), "another")
    assert failure_of(await attempt(world, token)) == "credentials-expired"


async def test_password_that_was_changed_behind_the_servers_back_ends_them_too(world: World) -> None:
    token = await token_for(world)
    await account(world, "romeo@example.org", PASSWORD)  # other salts, so other keys
    assert failure_of(await attempt(world, token)) == "credentials-expired"


async def test_disabled_account_is_not_logged_in(world: World) -> None:
    token = await token_for(world)
    await accounts.set_disabled(world.host(), JID.parse("romeo@example.org"), True)
    assert failure_of(await attempt(world, token)) == "not-authorized"


async def test_tokens_go_with_their_account(world: World) -> None:
    token = await token_for(world)
    jid = JID.parse("romeo@example.org")
    await accounts.set_disabled(world.host(), jid, True)
    await accounts.remove(world.host(), jid)
    assert await kept(world) == {}
    await account(world, jid)
    assert failure_of(await attempt(world, token)) == "not-authorized"


async def test_account_has_tokens_for_so_many_installations_and_the_oldest_lose_theirs(world: World) -> None:
    tokens = []
    for number in range(MAX_CLIENTS + 2):
        world.clock.advance(1)
        agent = f"00000000-0000-4000-8000-{number:012x}"
        tokens.append((await token_for(world, agent=agent), agent))
    assert len(await kept(world)) == MAX_CLIENTS
    tried = [await works(world, token, agent=agent) for token, agent in tokens]
    assert tried == [False, False] + [True] * MAX_CLIENTS


async def test_expired_tokens_make_room_first(world: World) -> None:
    await token_for(world)
    world.clock.advance(LIFETIME_S + 1)
    await token_for(world, agent=OTHER_AGENT)
    assert set(await kept(world)) == {OTHER_AGENT}


async def test_expiry_is_in_utc(world: World) -> None:
    _, success = await login(world, wish())
    expiry = parse_datetime(success.find(f"{FAST} token").get("expiry") or "")  # type: ignore[union-attr]
    assert expiry == datetime.fromtimestamp(world.clock.now_us() // 1_000_000 + LIFETIME_S, UTC)


async def test_turns_are_forgotten_when_nobody_waits() -> None:
    turns, order = Turns(), []

    async def work(name: str) -> None:
        async with turns.of("key"):
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(*(work(name) for name in "abc"))
    assert order == list("aabbcc") and turns._locks == {}
