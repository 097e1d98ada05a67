"""Accounts from the command line, with and without a server."""

import asyncio
from pathlib import Path

import pytest

from storage.interface import AccountRecord
from xmppd.sasl.keys import verify_password
from xmppd.storage_url import open_backend


def stored(folder: Path, jid: str) -> AccountRecord | None:
    """Return what the storage has of an account."""

    async def read() -> AccountRecord | None:
        backend = open_backend(f"sqlite:{folder}/data/xmppd.db", exclusive=False)
        await backend.open()
        try:
            return await backend.accounts.get(jid)
        finally:
            await backend.close()

    return asyncio.run(read())


def add(run, jid: str, password: str = "secret"):
    return run("account", "add", jid, "--password-stdin", stdin=f"{password}\n")


def test_an_added_account_has_its_password(folder, run):
    done = add(run, "romeo@example.org")
    assert (done.code, done.out) == (0, "added romeo@example.org\n")
    record = stored(folder, "romeo@example.org")
    assert record is not None
    assert verify_password(record, "secret")
    assert {keys.iterations for keys in record.keys.values()} == {4096}
    assert record.created_at_us > 1_600_000_000_000_000


def test_the_name_is_prepared(folder, run):
    assert add(run, "ROMEO@Example.org").code == 0
    assert stored(folder, "romeo@example.org") is not None


def test_the_password_may_be_typed(folder, run, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed")
    assert run("account", "add", "romeo@example.org").code == 0
    record = stored(folder, "romeo@example.org")
    assert record is not None
    assert verify_password(record, "typed")


def test_two_different_passwords_change_nothing(folder, run, monkeypatch):
    typed = iter(("one", "two"))
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    done = run("account", "add", "romeo@example.org")
    assert (done.code, done.err) == (1, "xmppd: the two passwords differ; nothing was changed\n")
    assert not (folder / "data").exists()


def test_an_empty_password_is_refused(folder, run):
    done = run("account", "add", "romeo@example.org", "--password-stdin", stdin="")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "password" in done.err


def test_an_account_is_not_added_twice(folder, run):
    add(run, "romeo@example.org", "first")
    done = add(run, "romeo@example.org", "second")
    assert (done.code, done.err) == (1, "xmppd: romeo@example.org exists already\n")
    record = stored(folder, "romeo@example.org")
    assert record is not None
    assert verify_password(record, "first")


@pytest.mark.parametrize(
    "jid", ["romeo", "@example.org", "romeo@example.org/orchard", "example.org", "ro meo@example.org", ""]
)
def test_what_names_no_account_is_refused_in_one_line(folder, run, jid):
    done = add(run, jid)
    assert done.code == 1
    assert done.err.count("\n") == 1


def test_another_servers_account_is_refused(folder, run):
    done = add(run, "romeo@elsewhere.example")
    assert done.err == "xmppd: elsewhere.example is not in server.domains (example.org, other.example)\n"


def test_accounts_are_listed_by_domain(folder, run):
    for jid in ("b@example.org", "a@example.org", "c@other.example"):
        add(run, jid)
    assert run("account", "list").out == "a@example.org\nb@example.org\nc@other.example\n"
    assert run("account", "list", "other.example").out == "c@other.example\n"
    assert run("account", "list", "elsewhere.example").code == 1


def test_a_deleted_account_is_gone(folder, run):
    add(run, "romeo@example.org")
    assert run("account", "del", "romeo@example.org").out == "deleted romeo@example.org\n"
    assert stored(folder, "romeo@example.org") is None
    assert run("account", "list").out == ""


def test_an_account_that_is_not_there_cannot_be_changed(folder, run):
    for arguments in (("del", "romeo@example.org"), ("passwd", "romeo@example.org", "--password-stdin")):
        done = run("account", *arguments, stdin="x\n")
        assert (done.code, done.err) == (1, "xmppd: there is no account romeo@example.org\n")


def test_a_new_password_replaces_the_old_one(folder, run):
    add(run, "romeo@example.org", "old")
    before = stored(folder, "romeo@example.org")
    assert run("account", "passwd", "romeo@example.org", "--password-stdin", stdin="new\n").code == 0
    after = stored(folder, "romeo@example.org")
    assert before is not None
    assert after is not None
    assert verify_password(after, "new")
    assert not verify_password(after, "old")
    assert after.created_at_us == before.created_at_us


def test_a_running_server_is_told(folder, run, stand_in):
    add(run, "romeo@example.org")
    assert stand_in.heard == []
    run("account", "passwd", "romeo@example.org", "--password-stdin", stdin="new\n")
    run("account", "del", "romeo@example.org")
    assert stand_in.heard == [{"do": "account_changed", "jid": "romeo@example.org"}] * 2


def test_a_broken_database_is_one_line(folder, run):
    (folder / "data").mkdir()
    (folder / "data" / "xmppd.db").write_bytes(b"no database" * 1000)
    done = add(run, "romeo@example.org")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "damaged" in done.err
