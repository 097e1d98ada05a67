"""Accounts out of files: what is kept, what is told of, what stays as it was."""

from pathlib import Path

import pytest

from codec.document import DocumentError
from storage.interface import AccountRecord, Backend
from tests.support.files import MODULES, export_text, import_text, inside, user
from tests.support.world import World
from xmppd import pie_import
from xmppd.pie import credentials_of
from xmppd.pie_import import PieImport
from xmppd.sasl.keys import make_keys, verify_password

JULIET = "juliet@example.org"
ROSTER = "<query xmlns='jabber:iq:roster'><item jid='romeo@example.net' subscription='both' name='R'/></query>"
VCARD = "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>"


@pytest.fixture
async def world(make_world) -> World:
    return await make_world(*MODULES)


async def record(world: World, jid: str = JULIET) -> AccountRecord | None:
    return await world.shared.backend.accounts.get(jid)


async def owners(backend: Backend) -> list[str]:
    return [owner async for owner in backend.owners()]


async def test_a_plain_password_becomes_keys(world: World, tmp_path: Path) -> None:
    summary = await import_text(world, tmp_path, user(ROSTER + VCARD))
    found = await record(world)
    assert found is not None
    assert verify_password(found, "s3cret") and not found.disabled
    assert set(found.keys) == {"SHA-1", "SHA-256"}
    assert (summary.accounts, summary.elements, summary.problems) == (1, 2, [])


async def test_keys_come_as_they_are_and_the_password_is_the_same(world: World, tmp_path: Path) -> None:
    keys = make_keys("s3cret", 4096)
    xml = b"".join(element.to_xml("urn:xmpp:pie:0") for element in credentials_of(keys)).decode()
    await import_text(world, tmp_path, user(xml + ROSTER, attrs=""))
    found = await record(world)
    assert found is not None
    assert found.keys == keys
    assert verify_password(found, "s3cret")


async def test_both_namespaces_are_read(world: World, tmp_path: Path) -> None:
    old = user(ROSTER).replace("urn:xmpp:pie:0", "http://www.xmpp.org/extensions/xep-0227.html#ns")
    assert (await import_text(world, tmp_path, old)).accounts == 1


async def test_an_account_that_exists_stays_as_it_is_unless_it_is_merged(world: World, tmp_path: Path) -> None:
    await import_text(world, tmp_path, user(ROSTER))
    summary = await import_text(world, tmp_path, user(VCARD, attrs="password='another'"))
    assert summary.problems == [f"{JULIET}: exists already, and was left as it is"]
    assert len(inside(await export_text(world))) == 1
    summary = await import_text(world, tmp_path, user(VCARD, attrs="password='another'"), may_merge=True)
    assert (summary.accounts, summary.problems) == (1, [])
    found = await record(world)
    assert found is not None
    assert verify_password(found, "s3cret")
    assert len(inside(await export_text(world))) == 2


async def test_an_import_that_broke_off_is_done_anew(world: World, tmp_path: Path) -> None:
    whole = user(ROSTER + VCARD)
    with pytest.raises(DocumentError):
        await import_text(world, tmp_path, whole[: whole.index("</user>")])
    half = await record(world)
    assert half is not None
    assert half.disabled and not half.keys
    summary = await import_text(world, tmp_path, user(VCARD))
    assert summary.problems == []
    assert ["romeo@example.net" in line for line in inside(await export_text(world))] == [False]
    assert await world.shared.backend.keyval(pie_import.UNFINISHED).get(JULIET) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (user("<x xmlns='urn:x'/>"), f"{JULIET}: <x xmlns='urn:x'/> is nothing that is kept here"),
        (user(attrs=""), f"{JULIET}: has no password: give it one with xmppd account passwd"),
        (user(domain="example.net"), "example.net: is not in server.domains; its accounts are left out"),
        (user(name="a@b"), "'a@b' of example.org: is no name of an account"),
        (user(name=""), "'' of example.org: is no name of an account"),
        (user("<pubsub xmlns='http://jabber.org/protocol/pubsub'><x/></pubsub>"), f"{JULIET}: <x/> was left out"),
    ],
)
async def test_what_cannot_be_kept_is_told_of(world: World, tmp_path: Path, text: str, problem: str) -> None:
    summary = await import_text(world, tmp_path, text)
    assert summary.problem_count == 1
    assert summary.problems[0].startswith(problem)


async def test_only_the_first_problems_are_kept(world: World, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pie_import, "MAX_PROBLEMS", 3)
    summary = await import_text(world, tmp_path, user("<x xmlns='urn:x'/>" * 10))
    assert (len(summary.problems), summary.problem_count) == (3, 10)


async def test_what_is_no_file_of_accounts_is_refused(world: World, tmp_path: Path) -> None:
    for text in ("<html/>", "nothing", "", "<!DOCTYPE x [<!ENTITY e 'e'>]><server-data xmlns='urn:xmpp:pie:0'/>"):
        with pytest.raises(DocumentError, match=r"accounts\.xml"):
            await import_text(world, tmp_path, text)
    assert await owners(world.shared.backend) == []


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace("<server-data", "<server-data xmlns:xi='http://www.w3.org/2001/XInclude'", 1))
    return path


INCLUDE = "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='{}'/>"


async def test_files_include_others(world: World, tmp_path: Path) -> None:
    main = f"<server-data xmlns='urn:xmpp:pie:0'>{INCLUDE.format('example.org.xml')}</server-data>"
    host = f"<host xmlns='urn:xmpp:pie:0' jid='example.org'>{INCLUDE.format('example.org/juliet.xml')}</host>"
    path = write(tmp_path, "main.xml", main)
    write(tmp_path, "example.org.xml", host)
    write(tmp_path, "example.org/juliet.xml", f"<user xmlns='urn:xmpp:pie:0' name='juliet' password='x'>{VCARD}</user>")
    summary = await PieImport(world.shared.hosts).run(path)
    assert (summary.accounts, summary.elements, summary.problems) == (1, 1, [])


@pytest.mark.parametrize("href", ["../secret.xml", "/etc/passwd", "http://example.org/x.xml", "", "%2e%2e/secret.xml"])
async def test_files_include_nothing_from_elsewhere(world: World, tmp_path: Path, href: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(tmp_path, "secret.xml", "<host xmlns='urn:xmpp:pie:0' jid='example.org'/>")
    main = f"<server-data xmlns='urn:xmpp:pie:0'>{INCLUDE.format(href)}</server-data>"
    with pytest.raises(DocumentError, match="include"):
        await PieImport(world.shared.hosts).run(write(folder, "main.xml", main))


async def test_what_people_keep_includes_nothing(world: World, tmp_path: Path) -> None:
    private = f"<query xmlns='jabber:iq:private'><e xmlns='urn:e'>{INCLUDE.format('/etc/passwd')}</e></query>"
    summary = await import_text(world, tmp_path, user(private))
    assert (summary.elements, summary.problems) == (1, [])
    assert "href='/etc/passwd'" in await export_text(world)


async def test_memory_does_not_grow_with_the_file(world: World, tmp_path: Path, monkeypatch) -> None:
    most = 0
    finish = pie_import._finish

    async def counted(commits):
        nonlocal most
        most = max(most, len(commits))
        await finish(commits)

    monkeypatch.setattr(pie_import, "_finish", counted)
    result = (
        "<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'"
        " stamp='2010-07-10T23:08:25Z'/><message xmlns='jabber:client' from='romeo@example.net/o'><body>x</body></message>"
        "</forwarded></result>"
    )
    summary = await import_text(
        world, tmp_path, user(f"<archive xmlns='urn:xmpp:pie:0#mam'>{result * 1_700}</archive>")
    )
    assert (summary.elements, summary.problems) == (1_700, [])
    assert most == pie_import.MAX_COMMITS
