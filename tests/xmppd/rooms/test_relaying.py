"""Occupants reach one another through the room, and learn nobody's address (XEP-0045 §7.5, §17.4, XEP-0410)."""

import pytest

from codec.jid import JID
from storage.interface import ArchiveQuery
from tests.support.rooms import MUC, ROOM, bodies, codes, condition, den, enter, presences
from tests.support.world import Client, World


@pytest.fixture
async def three(world: World) -> tuple[Client, Client, Client]:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    await enter(mercutio, "Mercutio")
    for client in (romeo, juliet):
        await client.drain()
    return romeo, juliet, mercutio


async def whisper(client: Client, nick: str, type_: str = "chat") -> None:
    await client.send(f"<message to='{ROOM}/{nick}' type='{type_}' id='p'><body>psst</body></message>")


async def test_private_message_comes_from_the_occupant_and_says_what_it_is(three: tuple[Client, ...]) -> None:
    _, juliet, mercutio = three
    await whisper(juliet, "Mercutio")
    (message,) = await mercutio.drain()
    assert (message.from_, message.to, message.type, message.id) == (f"{ROOM}/Juliet", mercutio.jid, "chat", "p")
    assert message.has(f"{MUC}#user x") and message.has("urn:xmpp:occupant-id:0 occupant-id")
    await juliet.expect_nothing()


async def test_private_message_reaches_all_clients_of_the_occupant(world: World, three: tuple[Client, ...]) -> None:
    _, juliet, mercutio = three
    home = await world.client("mercutio@example.org/home", "<presence/>")
    await enter(home, "Mercutio")
    await mercutio.drain()
    await juliet.drain()
    await whisper(juliet, "Mercutio")
    assert bodies(await mercutio.drain()) == bodies(await home.drain()) == ["psst"]
    page = await world.shared.backend.archive.query("mercutio@example.org", ArchiveQuery())
    assert len(page.messages) == 1


@pytest.mark.parametrize(
    ("nick", "type_", "expected"), [("Mercutio", "groupchat", "bad-request"), ("Nobody", "chat", "item-not-found")]
)
async def test_private_message_that_cannot_be_is_refused(
    three: tuple[Client, ...], nick: str, type_: str, expected: str
) -> None:
    _, juliet, mercutio = three
    await whisper(juliet, nick, type_)
    assert condition((await juliet.drain())[0]) == expected
    await mercutio.expect_nothing()


async def test_who_is_not_there_sends_nothing_to_occupants(world: World, three: tuple[Client, ...]) -> None:
    tybalt = await world.client("tybalt@example.org/x", "<presence/>")
    await whisper(tybalt, "Juliet")
    assert condition((await tybalt.drain())[0]) == "not-acceptable"
    await tybalt.send(f"<iq type='get' id='v' to='{ROOM}/Juliet'><vCard xmlns='vcard-temp'/></iq>")
    assert condition((await tybalt.drain())[0]) == "not-acceptable"


@pytest.mark.parametrize(
    ("allow", "expected"), [("none", "forbidden"), ("moderators", "forbidden"), ("participants", "")]
)
async def test_private_messages_are_for_whom_the_settings_name(world: World, allow: str, expected: str) -> None:
    romeo, juliet, _ = await den(world, allowpm=allow)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await whisper(juliet, "Romeo")
    assert [condition(stanza) for stanza in await juliet.drain()] == ([expected] if expected else [])


async def test_ping_to_oneself_tells_whether_one_is_there(world: World, three: tuple[Client, ...]) -> None:
    _, juliet, _ = three
    ping = f"<iq type='get' id='s' to='{ROOM}/Juliet'><ping xmlns='urn:xmpp:ping'/></iq>"
    await juliet.send(ping)
    assert [(stanza.type, stanza.id) for stanza in await juliet.drain()] == [("result", "s")]
    garden = await world.client("juliet@example.org/garden", "<presence/>")
    await garden.send(ping)
    assert condition((await garden.drain())[0]) == "not-acceptable"


async def test_request_and_answer_cross_without_addresses(three: tuple[Client, ...]) -> None:
    _, juliet, mercutio = three
    await juliet.send(f"<iq type='get' id='q' to='{ROOM}/Mercutio'><query xmlns='jabber:iq:version'/></iq>")
    (request,) = await mercutio.drain()
    assert request.from_ == f"{ROOM}/Juliet" and request.id != "q" and "juliet@" not in request.to_xml().decode()
    await mercutio.send(
        f"<iq type='result' id='{request.id}' to='{ROOM}/Juliet'><query xmlns='jabber:iq:version'/></iq>"
    )
    (answer,) = await juliet.drain()
    assert (answer.from_, answer.id, answer.type) == (f"{ROOM}/Mercutio", "q", "result")
    assert "mercutio@" not in answer.to_xml().decode()
    await mercutio.send(f"<iq type='result' id='{request.id}' to='{ROOM}/Juliet'/>")
    await juliet.expect_nothing()


async def test_answer_of_another_than_was_asked_is_dropped(three: tuple[Client, ...]) -> None:
    romeo, juliet, mercutio = three
    await juliet.send(f"<iq type='get' id='q' to='{ROOM}/Mercutio'><query xmlns='jabber:iq:version'/></iq>")
    (request,) = await mercutio.drain()
    await romeo.send(f"<iq type='result' id='{request.id}' to='{ROOM}/Juliet'/>")
    await juliet.expect_nothing()


async def test_vcard_of_an_occupant_is_asked_of_its_account(
    make_world: object, world: World, three: tuple[Client, ...]
) -> None:
    _, juliet, mercutio = three
    await juliet.send(f"<iq type='get' id='v' to='{ROOM}/Mercutio'><vCard xmlns='vcard-temp'/></iq>")
    (answer,) = await juliet.drain()  # no module for vCards here: the account's own error
    assert (answer.from_, answer.id, condition(answer)) == (f"{ROOM}/Mercutio", "v", "service-unavailable")
    await mercutio.expect_nothing()


async def test_message_that_bounces_removes_who_is_gone(world: World, three: tuple[Client, ...]) -> None:
    romeo, juliet, _ = three
    service = world.shared.components.find("conference.example.org")
    session = service.rooms["den"].occupants.by_session[juliet.jid]
    world.host().accounts[JID.parse("juliet@example.org")].resources.clear()
    session.resource.is_ended = True
    await romeo.send(f"<message to='{ROOM}' type='groupchat'><body>x</body></message>")
    gone = presences(await romeo.drain())
    assert [(stanza.from_, stanza.type, codes(stanza)) for stanza in gone] == [(f"{ROOM}/Juliet", "unavailable", [333])]


async def test_error_to_a_private_message_goes_to_its_author_and_removes_nobody(three: tuple[Client, ...]) -> None:
    romeo, juliet, mercutio = three
    await whisper(juliet, "Mercutio")
    await mercutio.drain()
    error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    await mercutio.send(f"<message to='{ROOM}/Juliet' type='error' id='p'>{error}</message>")
    (answer,) = await juliet.drain()
    assert (answer.from_, answer.type, condition(answer)) == (f"{ROOM}/Mercutio", "error", "service-unavailable")
    await romeo.expect_nothing()
