"""XEP-0377: Spam Reporting."""

from typing import Any

import pytest

from codec.payloads.data_form import Form
from tests.modules.conftest import MakeWorld
from tests.support.invites import command
from tests.support.world import Client, World
from xmppd.modules import xep_0377_reports
from xmppd.modules.xep_0191_blocking import BlockList
from xmppd.modules.xep_0377_reports import LIST, MAX_PER_HOUR, MAX_TEXT_CHARS, NS, REMOVE

MODULES = ("rfc_6121_presence", "rfc_6121_roster", "rfc_6121_message", "xep_0030_disco", "xep_0050_commands")
SPAM, ABUSE = "urn:xmpp:reporting:spam", "urn:xmpp:reporting:abuse"
ADMIN = "admin@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    settings = {"admin.jids": [ADMIN], "contacts.abuse": ["xmpp:abuse@example.org?message", "mailto:a@example.org"]}
    return await make_world(*MODULES, "xep_0191_blocking", "xep_0377_reports", settings=settings)


def report(reason: str = SPAM, inner: str = "") -> str:
    return f"<report xmlns='{NS}' reason='{reason}'>{inner}</report>"


async def block(client: Client, *items: tuple[str, str]) -> str:
    """Block JIDs, each with what its item holds; return the answer's type."""
    shown = "".join(f"<item jid='{jid}'>{inner}</item>" for jid, inner in items)
    await client.send(f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{shown}</block></iq>")
    return str((await client.next_stanza()).type)


async def listed(admin: Client) -> list[dict[str, str | None]]:
    form = (await command(admin, LIST)).form
    return [{field.var: field.value for field in row.fields} for row in form.items]


async def test_report_is_kept_and_told_and_the_sender_is_blocked(world: World) -> None:
    admin = await world.client(f"{ADMIN}/x", "<presence/>")
    abuse = await world.client("abuse@example.org/x", "<presence/>")
    romeo = await world.client("romeo@example.org/x")
    inner = "<text xml:lang='en'> Buy now! </text><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.org' id='28482'/>"
    assert await block(romeo, ("spammer@example.net", report(inner=inner))) == "result"
    for operator in (admin, abuse):
        told = await operator.next_stanza()
        assert told.from_ == "example.org" and b"spammer@example.net" in told.inner and b"Buy now!" in told.inner
    (one,) = await listed(admin)
    assert one == {
        "when": "2026-01-02T03:04:05Z",
        "reporter": "romeo@example.org",
        "jid": "spammer@example.net",
        "reason": "spam",
        "text": "Buy now!",
        "ids": "28482",
    }
    assert "spammer@example.net" in romeo.resource.account.part(BlockList).jids


async def test_report_is_not_pushed_to_the_accounts_other_clients(world: World) -> None:
    romeo, other = await world.client("romeo@example.org/x"), await world.client("romeo@example.org/y")
    await other.send("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
    await other.next_stanza()
    await block(romeo, ("spammer@example.net", report()))
    push = await other.next_stanza()
    assert b"spammer" in push.inner and b"report" not in push.inner


async def test_each_report_is_about_its_own_item(world: World) -> None:
    admin, romeo = await world.client(f"{ADMIN}/x"), await world.client("romeo@example.org/x")
    await block(romeo, ("a@example.net", report(ABUSE)), ("b@example.net", ""), ("c@example.net", report()))
    assert [(one["jid"], one["reason"]) for one in await listed(admin)] == [
        ("c@example.net", "spam"),
        ("a@example.net", "abuse"),
    ]


@pytest.mark.parametrize(
    "inner", [f"<report xmlns='{NS}'/>", report("urn:example:other"), "<report xmlns='urn:x'/>", ""]
)
async def test_what_is_no_report_does_not_keep_the_block_from_working(world: World, inner: str) -> None:
    admin, romeo = await world.client(f"{ADMIN}/x", "<presence/>"), await world.client("romeo@example.org/x")
    assert await block(romeo, ("spammer@example.net", inner)) == "result"
    await admin.expect_nothing()
    assert await listed(admin) == [] and romeo.resource.account.part(BlockList).jids


async def test_block_that_is_refused_reports_nothing(world: World) -> None:
    admin, romeo = await world.client(f"{ADMIN}/x"), await world.client("romeo@example.org/x")
    assert await block(romeo, ("romeo@example.org", report())) == "error"
    assert await listed(admin) == []


async def test_long_reports_are_cut(world: World) -> None:
    admin, romeo = await world.client(f"{ADMIN}/x"), await world.client("romeo@example.org/x")
    ids = "<stanza-id xmlns='urn:xmpp:sid:0' by='x' id='1'/>" * 100
    await block(romeo, ("spammer@example.net", report(inner=f"<text>{'x' * 5000}</text>{ids}")))
    (one,) = await listed(admin)
    assert len(one["text"] or "") == MAX_TEXT_CHARS and (one["ids"] or "").count("1") == 20


async def test_one_account_reports_so_often_and_blocks_on(world: World) -> None:
    admin, romeo = await world.client(f"{ADMIN}/x"), await world.client("romeo@example.org/x")
    for number in range(MAX_PER_HOUR + 5):
        assert await block(romeo, (f"s{number}@example.net", report())) == "result"
    assert len(await listed(admin)) == MAX_PER_HOUR
    assert len(romeo.resource.account.part(BlockList).jids) == MAX_PER_HOUR + 5


async def test_reports_are_bounded_and_the_oldest_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0377_reports, "MAX_REPORTS", 3)
    admin, romeo = await world.client(f"{ADMIN}/x"), await world.client("romeo@example.org/x")
    for number in range(5):
        await block(romeo, (f"s{number}@example.net", report()))
    assert [one["jid"] for one in await listed(admin)] == ["s4@example.net", "s3@example.net", "s2@example.net"]


async def test_administrator_removes_reports(world: World) -> None:
    admin, romeo = await world.client(f"{ADMIN}/x"), await world.client("romeo@example.org/x")
    await block(romeo, ("a@example.net", report()), ("b@example.net", report()))
    asked = await command(admin, REMOVE)
    first = asked.form.field("reports").options[0]
    assert first.label.endswith("b@example.net: spam")
    unknown = await command(admin, REMOVE, asked.sessionid, Form.submit(None, {"reports": ["x"]}))
    assert unknown == "item-not-found"
    await command(admin, REMOVE, asked.sessionid, Form.submit(None, {"reports": [first.value]}))
    assert [one["jid"] for one in await listed(admin)] == ["a@example.net"]


async def test_nobody_else_reads_reports(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    results: list[Any] = [await command(romeo, node) for node in (LIST, REMOVE)]
    assert results == ["forbidden", "forbidden"]
