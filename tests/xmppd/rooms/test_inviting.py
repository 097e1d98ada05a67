"""Invitations through the room, declines, and requests for voice (XEP-0045 §7.8.2, §7.13, §8.6)."""

import pytest

from codec.payloads.data_form import Form
from tests.support.rooms import MUC, ROOM, admin, condition, den, enter, item, presences, x_of
from tests.support.world import Client, World
from xmppd.rooms import limits


async def invite(client: Client, *to: str, inner: str = "<reason>come</reason>") -> None:
    invites = "".join(f"<invite to='{jid}'>{inner}</invite>" for jid in to)
    await client.send(f"<message to='{ROOM}' id='i'><x xmlns='{MUC}#user'>{invites}</x></message>")


async def test_invitation_names_room_inviter_reason_and_password(world: World) -> None:
    romeo, juliet, _ = await den(world, passwordprotectedroom=True, roomsecret="rose")
    await invite(romeo, "juliet@example.org", inner="<reason>come</reason><continue thread='t'/>")
    (message,) = await juliet.drain()
    assert message.from_ == ROOM and message.type == "normal"
    found, password = x_of(message).elements()
    assert found.get("from") == "romeo@example.org" and found.get("to") is None
    assert found.elements()[0].text == "come" and found.elements()[1].get("thread") == "t"
    assert password.text == "rose"


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, ""), ({"allowinvites": False}, "forbidden"), ({"membersonly": True}, "forbidden")]
)
async def test_who_may_invite_is_said_by_the_settings(world: World, settings: dict[str, bool], expected: str) -> None:
    romeo, juliet, mercutio = await den(world, **settings)
    await admin(romeo, "jid='juliet@example.org' affiliation='member'")
    await enter(juliet, "Juliet")
    await invite(juliet, "mercutio@example.org")
    assert [condition(stanza) for stanza in await juliet.drain()] == ([expected] if expected else [])
    assert len(await mercutio.drain()) == (0 if expected else 1)


async def test_invitation_into_a_room_for_members_makes_a_member(world: World) -> None:
    romeo, juliet, _ = await den(world, membersonly=True)
    await invite(romeo, "juliet@example.org")
    await juliet.drain()
    assert item(presences(await enter(juliet, "Juliet"))[-1])["affiliation"] == "member"


async def test_who_is_not_there_does_not_invite(world: World) -> None:
    _, juliet, mercutio = await den(world)
    await invite(juliet, "mercutio@example.org")
    assert condition((await juliet.drain())[0]) == "forbidden"
    await mercutio.expect_nothing()


async def test_invitation_of_nobody_comes_back_as_an_error(world: World) -> None:
    romeo, _, _ = await den(world)
    await invite(romeo, "nobody@example.org")
    (error,) = await romeo.drain()
    assert error.from_ == ROOM and error.id == "i" and condition(error) == "service-unavailable"
    await invite(romeo, "@")
    assert condition((await romeo.drain())[0]) == "jid-malformed"


async def test_invitations_are_limited(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await invite(romeo, *(["juliet@example.org"] * 21))
    assert condition((await romeo.drain())[0]) == "policy-violation"
    await juliet.expect_nothing()
    for _ in range(int(limits.INVITATIONS_BURST)):
        await invite(romeo, "juliet@example.org")
    await romeo.drain()
    await invite(romeo, "juliet@example.org")
    assert condition((await romeo.drain())[-1]) == "policy-violation"


@pytest.mark.parametrize("to", ["romeo@example.org", f"{ROOM}/Romeo"])
async def test_decline_reaches_the_inviter(world: World, to: str) -> None:
    romeo, juliet, _ = await den(world)
    await juliet.send(
        f"<message to='{ROOM}'><x xmlns='{MUC}#user'><decline to='{to}'><reason>no</reason></decline></x></message>"
    )
    (message,) = await romeo.drain()
    decline = x_of(message).elements()[0]
    assert message.from_ == ROOM and decline.get("from") == "juliet@example.org" and decline.elements()[0].text == "no"


async def test_decline_reaches_nobody_outside_the_room(world: World) -> None:
    _, juliet, mercutio = await den(world)
    await juliet.send(f"<message to='{ROOM}'><x xmlns='{MUC}#user'><decline to='mercutio@example.org'/></x></message>")
    assert condition((await juliet.drain())[0]) == "item-not-found"
    await mercutio.expect_nothing()


async def test_message_to_the_room_that_is_neither_is_refused(world: World) -> None:
    romeo, _, _ = await den(world)
    await romeo.send(f"<message to='{ROOM}' type='chat'><body>x</body></message>")
    assert condition((await romeo.drain())[0]) == "bad-request"


# voice


def voice(inner: str = "") -> str:
    form = f"<field var='FORM_TYPE'><value>{MUC}#request</value></field><field var='muc#role'><value>participant</value></field>"
    return f"<message to='{ROOM}'><x xmlns='jabber:x:data' type='submit'>{form}{inner}</x></message>"


ALLOWED = (
    "<field var='muc#roomnick'><value>Juliet</value></field><field var='muc#request_allow'><value>{}</value></field>"
)


async def test_visitor_asks_and_gets_voice(world: World) -> None:
    romeo, juliet, _ = await den(world, moderatedroom=True)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.send(voice())
    (question,) = await romeo.drain()
    form = question.get(Form)
    assert (form.type, form.value("muc#roomnick"), form.value("muc#jid")) == ("form", "Juliet", juliet.jid)
    await romeo.send(voice(ALLOWED.format("false")))
    await juliet.expect_nothing()
    await romeo.send(voice(ALLOWED.format("true")))
    assert item((await juliet.drain())[0])["role"] == "participant"


async def test_visitor_cannot_allow_itself_and_where_nobody_may_ask_it_is_told(world: World) -> None:
    romeo, juliet, _ = await den(world, moderatedroom=True, allowvoicerequests=False)
    await enter(juliet, "Juliet")
    await romeo.drain()
    for message in (voice(ALLOWED.format("true")), voice()):
        await juliet.send(message)
        assert condition((await juliet.drain())[0]) == "forbidden"
    await juliet.send(voice("<field var='muc#request_allow'><value>perhaps</value></field>"))
    assert condition((await juliet.drain())[0]) == "bad-request"
    await romeo.expect_nothing()
