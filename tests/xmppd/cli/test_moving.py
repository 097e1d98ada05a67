"""`xmppd account export`, `import`, `erase` in a folder of their own."""

import asyncio
import stat
from pathlib import Path

import pytest

from storage.interface import AccountRecord, ArchiveCopy, Backend
from tests.support.files import user
from xmppd.sasl.keys import verify_password
from xmppd.storage_url import open_backend

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
ROSTER = "<query xmlns='jabber:iq:roster'><item jid='romeo@example.org' subscription='both' name='R'/></query>"


def on(folder: Path, work):
    """Do something with the storage, and return what it returns."""

    async def run():
        backend = open_backend(f"sqlite:{folder}/data/xmppd.db", exclusive=False)
        await backend.open()
        try:
            return await work(backend)
        finally:
            await backend.close()

    return asyncio.run(run())


async def owners(backend: Backend) -> list[str]:
    return [owner async for owner in backend.owners() if "@" in owner and "conference" not in owner]


@pytest.fixture
def filled(folder: Path, run) -> Path:
    """A folder with Romeo, Juliet and what they said."""
    (folder / "in.xml").write_text(user(ROSTER))
    assert run("account", "import", "in.xml").code == 0
    other = user(ROSTER.replace("romeo", "juliet"), name="romeo")
    (folder / "in.xml").write_text(other)
    assert run("account", "import", "in.xml").code == 0

    async def talk(backend: Backend) -> None:
        copies = (ArchiveCopy(ROMEO, JULIET, outgoing=True), ArchiveCopy(JULIET, ROMEO))
        xml = f"<message from='{ROMEO}' to='{JULIET}'><body>but soft</body></message>".encode()
        await backend.archive.append(1 << 60, xml, copies)

    on(folder, talk)
    return folder


def test_an_import_makes_an_account_with_its_password(folder, run):
    (folder / "in.xml").write_text(user(ROSTER))
    done = run("account", "import", "in.xml")
    assert (done.code, done.out, done.err) == (0, "1 accounts, 1 parts of them\n", "")
    record: AccountRecord = on(folder, lambda backend: backend.accounts.get(JULIET))
    assert verify_password(record, "s3cret")


def test_what_was_left_out_is_told_and_is_exit_code_1(folder, run):
    (folder / "in.xml").write_text(user("<x xmlns='urn:x'/>" * 60))
    done = run("account", "import", "in.xml")
    assert done.code == 1
    assert done.err.splitlines()[0] == f"xmppd: {JULIET}: <x xmlns='urn:x'/> is nothing that is kept here"
    assert done.err.splitlines()[-1] == "xmppd: and 10 more"


def test_a_file_that_is_none_is_an_error_in_one_line(folder, run):
    (folder / "in.xml").write_text("<server-data xmlns='urn:xmpp:pie:0'><host>")
    done = run("account", "import", "in.xml")
    assert done.code == 1
    assert done.err.endswith("accounts before that place are imported\n")
    assert run("account", "import", "nothing.xml").err == "xmppd: nothing.xml: No such file or directory\n"


def test_an_export_is_for_its_owner_alone_and_comes_in_again(filled, run):
    done = run("account", "export", "--domain", "example.org", "out.xml")
    assert (done.code, done.out) == (0, "2 accounts in out.xml\n")
    assert stat.S_IMODE((filled / "out.xml").stat().st_mode) == 0o600
    before = (filled / "out.xml").read_text()
    for jid in (ROMEO, JULIET):
        assert run("account", "erase", "--yes", jid).code == 0
    assert run("account", "import", "out.xml").code == 0
    run("account", "export", "--domain", "example.org", "again.xml")
    after = (filled / "again.xml").read_text()
    assert after.count("but soft") == before.count("but soft") == 2
    assert after.count("stored-key") == before.count("stored-key") > 0


def test_one_account_goes_alone(filled, run):
    assert run("account", "export", ROMEO, "romeo.xml").out == "1 account in romeo.xml\n"
    assert (filled / "romeo.xml").read_text().count("<user name=") == 1
    assert "urn:xmppd:kept:0" not in (filled / "romeo.xml").read_text()
    assert run("account", "export", "--everything", ROMEO, "romeo.xml").code == 0
    assert "urn:xmppd:kept:0" in (filled / "romeo.xml").read_text()


def test_each_account_in_a_file_of_its_own(filled, run):
    assert run("account", "export", "--domain", "example.org", "--by-account", "out").code == 0
    assert sorted(path.name for path in (filled / "out").iterdir()) == [f"{JULIET}.xml", f"{ROMEO}.xml"]
    assert run("account", "import", "--merge", "out").out.startswith("2 accounts")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nobody@example.org", "x.xml"), "there is no account nobody@example.org"),
        (("x.xml",), "say JID FILE, or --domain D FILE"),
        (("--domain", "example.net", "x.xml"), "example.net is not in server.domains"),
        (("--domain", "example.org", "--everything", "x.xml"), "--everything is for one account"),
    ],
)
def test_what_cannot_be_exported_leaves_no_file(filled, run, arguments, why):
    done = run("account", "export", *arguments)
    assert done.code == 1
    assert why in done.err
    assert not list(filled.glob("x.xml*"))


def test_erasing_leaves_nothing_but_what_others_have(filled, run):
    done = run("account", "erase", "--yes", ROMEO)
    assert (done.code, done.out) == (0, f"erased {ROMEO}\n")
    assert on(filled, owners) == [JULIET]
    run("account", "export", JULIET, "juliet.xml")
    text = (filled / "juliet.xml").read_text()
    assert "but soft" in text
    assert "subscription='none'" in text  # she was told that there is nothing between the two any more
    assert run("account", "erase", "--yes", ROMEO).err == f"xmppd: nothing is kept of {ROMEO}\n"


def test_erasing_removes_what_a_deleted_account_left(filled, run):
    async def leave(backend: Backend) -> None:
        await backend.accounts.delete(ROMEO)

    on(filled, leave)
    assert run("account", "erase", "--yes", ROMEO).code == 0
    assert on(filled, owners) == [JULIET]


def test_erasing_asks_first(filled, run):
    assert run("account", "erase", ROMEO, stdin="n\n").code != 0
    assert ROMEO in on(filled, owners)


def test_a_running_server_erases_by_itself(stand_in, run):
    heard = []

    async def erase(request):
        heard.append(request)
        return {}

    stand_in.extra["erase_account"] = erase
    assert run("account", "erase", "--yes", ROMEO).out == f"erased {ROMEO}\n"
    assert heard[0]["jid"] == ROMEO
