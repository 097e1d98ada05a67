"""RFC 6121 §8: delivery of messages."""

from typing import Any

import pytest

from codec.stanza import Message
from tests.modules.conftest import MakeWorld
from tests.support.chat import MESSAGES, Phone, Timers, bodies, body, chat, condition
from tests.support.world import Client, World

ROMEO, BARE = "romeo@example.org/orchard", "juliet@example.org"
AVAILABLE = "<presence><priority>{}</priority></presence>"

REFUSED, WAITS, DROPPED = "refused", "waits", "dropped"
"""What may become of a message that nobody gets."""


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MESSAGES)
    await world.account(BARE)
    return world


async def cast(world: World, priorities: dict[str, int | None]) -> dict[str, Client]:
    """Return juliet's clients by resource; priority None: connected, not available."""
    clients = {}
    for name, priority in priorities.items():
        presence = None if priority is None else AVAILABLE.format(priority)
        clients[name] = await world.client(f"{BARE}/{name}", presence)
    for client in clients.values():
        await client.drain()
    return clients


async def send(world: World, to: str, type_: str, clients: dict[str, Client]) -> tuple[str, list[str]]:
    """Send one message; return who got it (or what became of it), and the errors that came back."""
    romeo = await world.client(ROMEO)
    await romeo.send(chat(to, "hello", type_=type_))
    got = [name for name, client in clients.items() if [body(message) for message in await client.drain()] == ["hello"]]
    errors = [condition(stanza) for stanza in await romeo.drain() if stanza.type == "error"]
    return " ".join(got), errors


async def outcome(world: World, to: str, type_: str, clients: dict[str, Client]) -> str:
    """Return who got it, or one of REFUSED, WAITS, DROPPED."""
    got, errors = await send(world, to, type_, clients)
    if got:
        assert not errors
        return got
    if errors:
        assert errors == ["service-unavailable"]
        return REFUSED
    late = await world.client(f"{BARE}/late", AVAILABLE.format(100))
    pending = await world.shared.backend.archive.pending(BARE, 0, 10)
    await late.disconnect()
    return WAITS if pending else DROPPED


# RFC 6121 §8.5.4, its table: resources with their priorities, then what becomes of each type. Where the RFC leaves a choice: O is
# to wait, S is an error for groupchat and normal messages and silence for headlines, M are those of the highest priority.
TABLE = [
    # resources, address, normal, chat, groupchat, headline, error
    ({}, "", WAITS, WAITS, REFUSED, DROPPED, DROPPED),
    ({}, "/gone", REFUSED, WAITS, REFUSED, DROPPED, DROPPED),
    ({"a": None}, "", WAITS, WAITS, REFUSED, DROPPED, DROPPED),
    ({"a": None}, "/a", "a", "a", "a", "a", "a"),
    ({"a": None}, "/gone", REFUSED, WAITS, REFUSED, DROPPED, DROPPED),
    ({"a": -1}, "", WAITS, WAITS, REFUSED, DROPPED, DROPPED),
    ({"a": -1}, "/a", "a", "a", "a", "a", "a"),
    ({"a": -1}, "/gone", REFUSED, WAITS, REFUSED, DROPPED, DROPPED),
    ({"a": 0}, "", "a", "a", REFUSED, "a", DROPPED),
    ({"a": 0}, "/a", "a", "a", "a", "a", "a"),
    ({"a": 0}, "/gone", REFUSED, "a", REFUSED, DROPPED, DROPPED),
    ({"a": 0, "b": 0, "c": -1, "d": None}, "", "a b", "a b", REFUSED, "a b", DROPPED),
    ({"a": 0, "b": 5, "c": 5, "d": 1}, "", "b c", "b c", REFUSED, "a b c d", DROPPED),
    ({"a": 0, "b": 5, "c": -1}, "/a", "a", "a", "a", "a", "a"),
    ({"a": 0, "b": 5, "c": -1}, "/c", "c", "c", "c", "c", "c"),
    ({"a": 0, "b": 5, "c": -1}, "/gone", REFUSED, "b", REFUSED, DROPPED, DROPPED),
]


@pytest.mark.parametrize("column", ["normal", "chat", "groupchat", "headline", "error"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}{row[1]}")
async def test_the_table_of_delivery(world: World, row: tuple[Any, ...], column: str) -> None:
    priorities, resource, *outcomes = row
    expected = outcomes[("normal", "chat", "groupchat", "headline", "error").index(column)]
    clients = await cast(world, priorities)
    assert await outcome(world, BARE + resource, column, clients) == expected


@pytest.mark.parametrize("type_", ["normal", "chat", "groupchat", "headline"])
async def test_a_message_to_an_account_that_does_not_exist_is_refused(world: World, type_: str) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(chat("nobody@example.org", "x", type_=type_, id_="m"))
    [reply] = await romeo.drain()
    assert condition(reply) == "service-unavailable" and reply.from_ == "nobody@example.org"


@pytest.mark.parametrize(("to", "expected"), [(BARE, "a"), (f"{BARE}/a", "a"), (f"{BARE}/gone", REFUSED)])
async def test_an_unknown_type_counts_as_normal(world: World, to: str, expected: str) -> None:
    assert await outcome(world, to, "sonnet", await cast(world, {"a": 0})) == expected


async def test_an_unknown_type_waits_for_somebody_absent(world: World) -> None:
    assert await outcome(world, BARE, "sonnet", {}) == WAITS


async def test_a_message_to_another_domain_is_refused(world: World) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(chat("juliet@elsewhere.example", "x"))
    [reply] = await romeo.drain()
    assert condition(reply) == "remote-server-not-found"


async def test_the_message_arrives_as_it_was_sent_with_its_senders_full_jid(world: World) -> None:
    juliet = await world.client(f"{BARE}/a", "<presence/>")
    romeo = await world.client(ROMEO)
    inner = "<subject>s</subject><body>a &amp; b</body><thread>t</thread><x xmlns='urn:example:x'><y z='&quot;'/></x>"
    await romeo.send(f"<message to='{juliet}' type='headline' id='m1' xml:lang='it'>{inner}</message>")
    await juliet.expect(
        f"<message from='{ROMEO}' to='{{juliet}}' type='headline' id='m1' xml:lang='it'>{inner}</message>"
    )


async def test_messages_of_one_sender_arrive_in_order(world: World) -> None:
    juliet = await world.client(f"{BARE}/a", "<presence/>")
    romeo = await world.client(ROMEO)
    for count in range(20):
        romeo.stream.receive(chat(BARE, str(count)).encode())
    assert bodies(await juliet.drain()) == [str(count) for count in range(20)]


async def test_between_domains_of_one_server_messages_pass(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES, domains=("example.org", "example.net"))
    juliet = await world.client("juliet@example.net/balcony", "<presence/>")
    romeo = await world.client(ROMEO)
    await romeo.send(chat("juliet@example.net", "hello"))
    assert bodies(await juliet.drain()) == ["hello"]


async def test_a_client_whose_connection_is_about_to_close_gets_nothing_that_would_be_lost(world: World) -> None:
    juliet = await world.client(f"{BARE}/a", "<presence/>")
    romeo = await world.client(ROMEO)
    juliet.stream.receive(b"</stream:stream>")
    assert juliet.connection.is_closing
    await romeo.send(chat(BARE, "one"), chat(f"{BARE}/a", "two"))
    await juliet.disconnect()
    again = await world.client(f"{BARE}/a")
    await again.send("<presence/>")
    assert bodies(await again.drain()) == ["one", "two"]


async def test_a_client_that_can_be_resumed_is_there(world: World) -> None:
    juliet = await Phone.login(world, f"{BARE}/a")
    romeo = await world.client(ROMEO)
    await juliet.cut()
    await romeo.send(chat(f"{BARE}/a", "one", type_="normal"))
    assert await romeo.drain() == []
    await juliet.resume()
    assert bodies(await juliet.messages()) == ["one"]


@pytest.mark.parametrize("enabled", [True, False])
async def test_what_one_resource_never_acknowledged_goes_to_another_that_is_there(
    make_world: MakeWorld, enabled: bool
) -> None:
    world = await make_world(*MESSAGES, settings={"archive.enabled": enabled})
    timers = Timers(world)
    lost = await Phone.login(world, f"{BARE}/lost")
    other = await Phone.login(world, f"{BARE}/other")
    romeo = await world.client(ROMEO)
    await lost.cut()
    await romeo.send(chat(lost, "one"), f"<message to='{lost}' type='headline'><body>news</body></message>")
    await timers.advance(600)
    assert bodies(await other.messages()) == ["one"]


async def test_a_message_refused_is_answered_from_whom_it_was_for(world: World) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(chat(f"{BARE}/gone", "x", type_="groupchat", id_="g"))
    [reply] = await romeo.drain()
    assert isinstance(reply, Message) and (reply.from_, reply.to, reply.id) == (f"{BARE}/gone", ROMEO, "g")
    assert body(reply) == ""
