"""Before the checks: accounts to work with, and what the server says it can do."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import escape

from compliance.check import Failed
from compliance.client import Account, Client, Target
from compliance.names import Element, bare, condition, find, find_all, text
from compliance.scene import Profile
from compliance.stream import TrafficLog

DISCO_INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"


async def register(target: Target, log: TrafficLog) -> Account:
    """Make an account in-band (XEP-0077 §3.1) with a random name and password.

    Raises:
        Failed: the server does not register accounts, or not with a name and password alone.
    """
    before = len(log.entries)
    name, password = f"compliance-{secrets.token_hex(5)}", secrets.token_urlsafe(18)
    client = Client("register", target, None, log)
    try:
        await client.start()
        await client.ask("get", "<query xmlns='jabber:iq:register'/>")
        await send_registration(client, name, password)
    finally:
        client.abort()
    log.fold(before, "register", f"made the account {name}@{target.domain}")
    return Account(f"{name}@{target.domain}", password)


async def send_registration(client: Client, name: str, password: str) -> None:
    """Send the name and password on a stream that is not logged in, and see them accepted."""
    reply = await register_request(client, name, password)
    if reply.get("type") != "result":
        raise Failed(f"registering an account was refused with {condition(reply)}")


async def register_request(client: Client, name: str, password: str) -> Element:
    """Send the name and password and return the answer, whatever it is."""
    opening = f"<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>{escape(name)}</username>"
    closing = "</query></iq>"
    shown = f"{opening}<password>[left out]</password>{closing}"
    await client.send(f"{opening}<password>{escape(password)}</password>{closing}", shown=shown)
    return await client.expect("c:iq", id="register")


async def unregister(target: Target, account: Account, log: TrafficLog) -> None:
    """Remove an account that `register` made (XEP-0077 §3.2)."""
    client = Client("unregister", target, account, log)
    try:
        await client.login()
        await client.send("<iq type='set' id='gone'><query xmlns='jabber:iq:register'><remove/></query></iq>")
        # RFC-wise the server may answer first or only close the stream; either is the end of the account.
        await client.expect("c:iq", id="gone")
    except Failed:
        pass
    finally:
        client.abort()


async def explore(target: Target, account: Account, log: TrafficLog) -> Profile:
    """Log in once and return what the server offers at each step."""
    profile = Profile()
    client = Client("probe", target, account, log)
    try:
        await client.connect()
        await client.open_stream()
        features = await client.read_features()
        profile.before_tls = {str(el.tag) for el in features}
        if find(features, "tls:starttls") is not None:
            await client.start_tls()
        profile.before_login = {str(el.tag) for el in client.features}
        profile.mechanisms = client.mechanisms()
        await client.enter()
        profile.after_login = {str(el.tag) for el in client.features}
        server = await client.iq("get", DISCO_INFO, to=target.domain)
        profile.server = _features(server)
        identities = find_all(server, "disco:query/disco:identity")
        profile.identities = {(el.get("category", ""), el.get("type", "")) for el in identities}
        profile.account = _features(await client.iq("get", DISCO_INFO, to=bare(client.jid)))
        version = await client.iq("get", "<query xmlns='jabber:iq:version'/>", to=target.domain)
        known = (text(version, f"version:query/version:{part}") for part in ("name", "version"))
        profile.software = " ".join(part for part in known if part)
    finally:
        await client.close()
    return profile


def _features(reply: Element) -> set[str]:
    return {el.get("var", "") for el in find_all(reply, "disco:query/disco:feature")}
