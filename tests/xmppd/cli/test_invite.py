"""`xmppd invite`."""

import asyncio
from pathlib import Path

import pytest

from xmppd.modules.xep_0401_tokens import STORE, Invite, Invites, key_of
from xmppd.storage_url import open_backend


def kept(folder: Path, domain: str = "example.org") -> dict[str, Invite]:
    """Return the invitations in the storage, by key."""

    async def read() -> dict[str, Invite]:
        backend = open_backend(f"sqlite:{folder}/data/xmppd.db", exclusive=False)
        await backend.open()
        try:
            invites = Invites(backend.map(STORE), domain)
            keys = [key for key in await backend.map(STORE).items(domain) if not key.startswith("@")]
            return {key: invite for key in keys if (invite := await invites.take(key)) is not None}
        finally:
            await backend.close()

    return asyncio.run(read())


def token_of(line: str) -> str:
    return line.partition("preauth=")[2].partition(";")[0]


def test_invitation_is_printed_and_kept(folder, run):
    done = run("invite")
    assert done.code == 0 and done.out.startswith("xmpp:example.org?register;preauth=") and "good until" in done.err
    (invite,) = kept(folder).values()
    assert (invite.uses, invite.registers, invite.subscribes, invite.inviter) == (1, True, False, "")
    assert key_of(token_of(done.out.strip())) in kept(folder)


def test_invitation_has_domain_days_and_uses(folder, run):
    done = run("invite", "other.example", "--days", "2", "--uses", "30")
    assert done.out.startswith("xmpp:other.example?register;") and kept(folder) == {}
    (invite,) = kept(folder, "other.example").values()
    assert invite.uses == 30


def test_contact_must_have_an_account(folder, run):
    assert run("invite", "--contact", "romeo@example.org").err == "xmppd: there is no account romeo@example.org\n"
    run("account", "add", "romeo@example.org", "--password-stdin", stdin="secret\n")
    done = run("invite", "--contact", "romeo@example.org")
    assert done.out.startswith("xmpp:romeo@example.org?roster;preauth=") and done.out.endswith(";ibr=y\n")
    (invite,) = kept(folder).values()
    assert (invite.inviter, invite.subscribes, invite.registers) == ("romeo@example.org", True, True)


def test_username_is_reserved_once(folder, run):
    done = run("invite", "--username", "Juliet")
    assert done.out.startswith("xmpp:juliet@example.org?register;")
    assert run("invite", "--username", "juliet").err == "xmppd: juliet@example.org is taken\n"


def test_landing_page_is_printed_where_there_is_one(folder, run):
    done = run("invite", "--set", "registration.landing_page=https://example.org/i/#")
    uri, page = done.out.split()
    assert page == "https://example.org/i/#" + uri.removeprefix("xmpp:")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere.example",),
        ("--contact", "romeo@nowhere.example"),
        ("--contact", "example.org"),
        ("--contact", "romeo@example.org/x"),
        ("--username", "a@b"),
        ("--days", "0"),
        ("--uses", "0"),
    ],
)
def test_what_cannot_be_invited_is_said_in_one_line(folder, run, arguments):
    done = run("invite", *arguments)
    assert done.code in (1, 2) and done.out == "" and done.err.startswith("xmppd: ") and done.err.count("\n") == 1
    assert not (folder / "data").exists() or kept(folder) == {}
