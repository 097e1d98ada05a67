"""Roles and affiliations by request: who may, what others see, all or nothing (XEP-0045 §8, §9, §10.3 to §10.8)."""

import pytest

from tests.support.rooms import MODULES, ROOM, admin, codes, condition, den, enter, item, presences, say, x_of
from tests.support.world import Client, World
from xmppd.rooms import administering

REASON = "<item nick='Juliet' role='none'><reason>Off you go</reason></item>"


@pytest.fixture
async def three(world: World) -> tuple[Client, Client, Client]:
    """romeo owns; juliet and mercutio are participants."""
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    await enter(mercutio, "Mercutio")
    for client in (romeo, juliet):
        await client.drain()
    return romeo, juliet, mercutio


async def test_kick_is_seen_with_307_reason_and_actor(three: tuple[Client, ...]) -> None:
    romeo, juliet, mercutio = three
    assert (await admin(romeo, REASON)).type == "result"
    for client, own in ((juliet, [110]), (mercutio, [])):
        (gone,) = await client.drain()
        assert (gone.from_, gone.type, sorted(codes(gone))) == (f"{ROOM}/Juliet", "unavailable", sorted([307, *own]))
        found = x_of(gone).elements()[0]
        assert found.get("role") == "none" and found.get("affiliation") == "none"
        assert [child.text or child.get("nick") for child in found.elements()] == ["Romeo", "Off you go"]
    await say(juliet, "x")
    assert condition((await juliet.drain())[0]) == "not-acceptable"


async def test_kicked_may_come_again_and_banned_may_not(three: tuple[Client, ...]) -> None:
    romeo, juliet, _ = three
    await admin(romeo, REASON)
    await juliet.drain()
    assert condition((await enter(juliet, "Juliet"))[0]) == ""
    await admin(romeo, "jid='juliet@example.org' affiliation='outcast'")
    (gone,) = await juliet.drain()
    assert codes(gone) == [110, 301] and item(gone)["affiliation"] == "outcast"
    assert condition((await enter(juliet, "Juliet"))[0]) == "forbidden"
    await admin(romeo, "jid='juliet@example.org' affiliation='none'")
    assert condition((await enter(juliet, "Juliet"))[0]) == ""


async def test_whole_domain_is_banned_and_its_members_are_not(three: tuple[Client, ...]) -> None:
    romeo, juliet, mercutio = three
    await admin(romeo, "jid='juliet@example.org' affiliation='member'")
    await juliet.drain()
    await mercutio.drain()
    assert (await admin(romeo, "jid='example.org' affiliation='outcast'")).type == "result"
    assert [codes(stanza) for stanza in await mercutio.drain()] == [[110, 301]]
    assert [stanza.from_ for stanza in await juliet.drain()] == [f"{ROOM}/Mercutio"]
    assert condition((await enter(mercutio, "Mercutio"))[0]) == "forbidden"
    assert condition(await admin(romeo, "jid='example.net' affiliation='member'")) == "not-acceptable"


async def test_voice_is_granted_and_revoked(world: World) -> None:
    romeo, juliet, mercutio = await den(world, moderatedroom=True)
    await enter(juliet, "Juliet")
    await enter(mercutio, "Mercutio")
    await juliet.drain()
    for role in ("participant", "visitor"):
        await admin(romeo, f"nick='Juliet' role='{role}'")
        assert [item(stanza)["role"] for stanza in presences(await mercutio.drain())] == [role]


async def test_new_moderator_sees_real_jids(three: tuple[Client, ...]) -> None:
    romeo, juliet, mercutio = three
    await admin(romeo, "nick='Juliet' role='moderator'")
    seen = {stanza.from_.resourcepart: item(stanza).get("jid") for stanza in await juliet.drain()}
    assert seen == {"Juliet": juliet.jid, "Romeo": romeo.jid, "Mercutio": mercutio.jid}
    assert (await admin(juliet, "nick='Mercutio' role='none'")).type == "result"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["nick='Nobody' role='none'"], "item-not-found"),
        (["nick='Mercutio' role='king'"], "bad-request"),
        (["nick='Mercutio' role='none' affiliation='none'"], "bad-request"),
        (["nick='Mercutio'"], "bad-request"),
        (["role='none'"], "bad-request"),
        (["affiliation='member'"], "bad-request"),
        (["jid='@@' affiliation='member'"], "bad-request"),
        (["jid='a@b.example' affiliation='king'"], "bad-request"),
        (["nick='Mercutio' role='visitor'", "jid='a@b.example' affiliation='member'"], "bad-request"),
        ([], "bad-request"),
        (["jid='romeo@example.org' affiliation='outcast'"], "conflict"),
        (["jid='romeo@example.org' affiliation='admin'"], "conflict"),
        (["nick='Romeo' role='participant'"], "not-allowed"),
    ],
)
async def test_request_that_cannot_be_done_is_refused(
    three: tuple[Client, ...], items: list[str], expected: str
) -> None:
    romeo, juliet, _ = three
    assert condition(await admin(romeo, *items)) == expected
    await juliet.expect_nothing()


@pytest.mark.parametrize(
    "what",
    [
        "nick='Mercutio' role='none'",
        "nick='Mercutio' role='moderator'",
        "jid='mercutio@example.org' affiliation='outcast'",
        "jid='juliet@example.org' affiliation='owner'",
    ],
)
async def test_participant_may_change_nothing(three: tuple[Client, ...], what: str) -> None:
    romeo, juliet, _ = three
    assert condition(await admin(juliet, what)) == "forbidden"
    await romeo.expect_nothing()


async def test_one_bad_item_keeps_all_from_being_done(three: tuple[Client, ...]) -> None:
    romeo, _, mercutio = three
    found = await admin(
        romeo, "jid='mercutio@example.org' affiliation='outcast'", "jid='romeo@example.org' affiliation='none'"
    )
    assert condition(found) == "conflict"
    await mercutio.expect_nothing()


async def test_admin_cannot_touch_an_owner_nor_make_one(three: tuple[Client, ...]) -> None:
    romeo, juliet, _ = three
    await admin(romeo, "jid='juliet@example.org' affiliation='admin'")
    assert condition(await admin(juliet, "jid='romeo@example.org' affiliation='outcast'")) == "not-allowed"
    assert condition(await admin(juliet, "jid='mercutio@example.org' affiliation='owner'")) == "forbidden"
    assert (await admin(juliet, "jid='mercutio@example.org' affiliation='member'")).type == "result"


async def test_second_owner_lets_the_first_go(three: tuple[Client, ...]) -> None:
    romeo, juliet, _ = three
    await admin(romeo, "jid='juliet@example.org' affiliation='owner'")
    await juliet.drain()
    assert (await admin(romeo, "jid='romeo@example.org' affiliation='none'")).type == "result"
    assert item(presences(await juliet.drain())[-1]) == {
        "affiliation": "none",
        "role": "participant",
        "jid": romeo.jid,
    }


async def test_lists_are_given_to_admins_and_to_others_where_addresses_are_no_secret(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await admin(romeo, "<item jid='tybalt@example.org' affiliation='outcast'><reason>duels</reason></item>")
    await admin(romeo, "jid='nurse@example.org' affiliation='member'")

    async def listed(client: Client, what: str) -> list[tuple[str | None, ...]]:
        answer = await admin(client, what, type_="get")
        found = [] if answer.type == "error" else answer.elements()[0].elements()
        return [(one.get("jid"), one.get("affiliation"), one.get("role"), one.get("nick")) for one in found]

    assert await listed(romeo, "affiliation='outcast'") == [("tybalt@example.org", "outcast", None, None)]
    assert await listed(romeo, "affiliation='member'") == [("nurse@example.org", "member", None, None)]
    assert await listed(romeo, "affiliation='owner'") == [("romeo@example.org", "owner", None, None)]
    assert await listed(romeo, "role='participant'") == [(juliet.jid, "none", "participant", "Juliet")]
    for what in ("affiliation='member'", "affiliation='outcast'", "role='moderator'"):
        assert condition(await admin(juliet, what, type_="get")) == "forbidden"
    assert condition(await admin(romeo, "nick='x'", type_="get")) == "bad-request"


async def test_where_all_see_addresses_occupants_see_the_members(world: World) -> None:
    romeo, juliet, mercutio = await den(world, whois="anyone", getmemberlist=("participant", "moderator"))
    await enter(juliet, "Juliet")
    await admin(romeo, "jid='nurse@example.org' affiliation='member'")
    assert (await admin(juliet, "affiliation='member'", type_="get")).type == "result"
    assert condition(await admin(juliet, "affiliation='outcast'", type_="get")) == "forbidden"
    assert condition(await admin(mercutio, "affiliation='member'", type_="get")) == "forbidden"


async def test_member_who_is_one_no_more_leaves_a_room_for_members(world: World) -> None:
    romeo, juliet, _ = await den(world, membersonly=True)
    await admin(romeo, "jid='juliet@example.org' affiliation='member'")
    (invitation,) = await juliet.drain()
    assert x_of(invitation).elements()[0].get("from") == "romeo@example.org"
    await enter(juliet, "Juliet")
    await admin(romeo, "jid='juliet@example.org' affiliation='none'")
    assert codes((await juliet.drain())[-1]) == [110, 321]


async def test_a_room_knows_so_many_people_at_most(three: tuple[Client, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    romeo = three[0]
    monkeypatch.setattr(administering, "MAX_AFFILIATIONS", 2)
    assert (await admin(romeo, "jid='a@b.example' affiliation='member'")).type == "result"
    assert condition(await admin(romeo, "jid='c@b.example' affiliation='member'")) == "policy-violation"


async def test_administrator_of_the_server_owns_every_room(make_world: object) -> None:
    world = await make_world(*MODULES, settings={"admin.jids": ["juliet@example.org"]})  # type: ignore[operator]
    _, juliet, mercutio = await den(world)
    await enter(mercutio, "Mercutio")
    assert (await admin(juliet, "nick='Mercutio' role='none'")).type == "result"
    assert item(presences(await enter(juliet, "Juliet"))[-1])["affiliation"] == "owner"
