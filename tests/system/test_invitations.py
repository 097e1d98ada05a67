"""Invitations from end to end: made by an administrator or the command line, redeemed by a new client, and both are contacts."""

import re
from typing import Any

import pytest
from slixmpp.xmlstream import ET

from bench.accounts import PASSWORD
from tests.support.raw import HEADER, Raw
from tests.system.conftest import ADMIN, Login, Target

SETTINGS = {"c2s.require_tls": False, "registration.landing_page": "https://localhost/i/#"}

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


async def register(server: Target, token: str, name: str) -> tuple[bytes, bytes]:
    """Show a token and register by it, as a client without an account does; return both answers."""
    raw = await Raw.connect(server.c2s_port)
    async with raw:
        await raw.send(HEADER)
        assert b"urn:xmpp:ibr-token:0" in await raw.read_until(b"</stream:features>")
        preauth = f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>"
        await raw.send(f"<iq type='set' id='p' to='localhost'>{preauth}</iq>")
        shown = await _answer(raw, b"p")
        fields = f"<username>{name}</username><password>{PASSWORD}</password>"
        await raw.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>")
        return shown, await _answer(raw, b"r")


async def _answer(raw: Raw, id_: bytes) -> bytes:
    got = b""
    while not re.search(rb"<iq[^>]*id=['\"]" + id_ + rb"['\"][^>]*(/>|>.*</iq>)", got, re.DOTALL):
        got += await raw.read_until(b">")
    return got


def token_of(text: str) -> str:
    found = re.search("preauth=([a-z0-9]+)", text)
    assert found is not None, text
    return found[1]


async def roster(person: Any) -> dict[str, str]:
    iq = person.make_iq_get()
    iq.enable("roster")
    answer = await iq.send(timeout=10)
    return {str(jid): item["subscription"] for jid, item in answer["roster"]["items"].items()}


async def test_administrator_invites_and_the_new_account_is_a_contact_both_ways(server: Target, login: Login) -> None:
    admin = await login(ADMIN, plugins=("xep_0050", "xep_0004"))
    await roster(admin)
    answer = await admin.plugin["xep_0050"].send_command("localhost", "urn:xmpp:invite#invite")
    values = {field["var"]: field["value"] for field in answer["command"]["form"]}
    assert values["uri"].startswith(f"xmpp:{ADMIN}?roster;preauth=") and values["uri"].endswith(";ibr=y")
    assert values["landing-url"].startswith(f"https://localhost/i/#{ADMIN}?roster;")
    shown, made = await register(server, token_of(values["uri"]), "juliet")
    assert b"result" in shown and b"result" in made
    juliet = await login("juliet@localhost")
    assert (await roster(juliet))[ADMIN] == "both" and (await roster(admin))["juliet@localhost"] == "both"
    await admin.wait_presence("juliet@localhost")
    await juliet.wait_presence(ADMIN)
    admin.send_message("juliet@localhost", "Welcome.")
    await juliet.wait_message("Welcome.")
    again, refused = await register(server, token_of(values["uri"]), "tybalt")
    assert b"item-not-found" in again and b"not-allowed" in refused


async def test_somebody_who_has_an_account_becomes_a_contact_by_the_token(login: Login) -> None:
    romeo, juliet = await login(plugins=("xep_0050", "xep_0004")), await login()
    romeo.auto_authorize = juliet.auto_authorize = None
    answer = await romeo.plugin["xep_0050"].send_command("localhost", "urn:xmpp:invite#invite")
    values = {field["var"]: field["value"] for field in answer["command"]["form"]}
    presence = juliet.make_presence(pto=romeo.boundjid.bare, ptype="subscribe")
    presence.append(ET.Element("{urn:xmpp:pars:0}preauth", {"token": token_of(values["uri"])}))
    presence.send()
    await juliet.wait_presence(romeo.boundjid.bare)
    assert (await roster(romeo))[juliet.boundjid.bare] == (await roster(juliet))[romeo.boundjid.bare] == "both"


async def test_invitation_of_the_command_line_is_good_while_the_server_runs(server: Target, login: Login) -> None:
    printed = server.run_command("invite", "--username", "nurse", "--contact", ADMIN)  # type: ignore[union-attr]
    uri, page = printed.split()
    assert uri.startswith("xmpp:nurse@localhost?register;preauth=") and page.startswith("https://localhost/i/#nurse@")
    _, refused = await register(server, token_of(uri), "tybalt")
    assert b"not-acceptable" in refused
    _, made = await register(server, token_of(uri), "nurse")
    assert b"result" in made
    assert (await roster(await login("nurse@localhost")))[ADMIN] == "both"


async def test_wrong_token_opens_no_door(server: Target) -> None:
    shown, refused = await register(server, "guess", "paris")
    assert b"item-not-found" in shown and b"not-allowed" in refused
