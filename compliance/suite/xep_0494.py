"""XEP-0494: Client Access Management."""

from __future__ import annotations

from compliance.check import MUST, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, find_all
from compliance.sasl2 import log_in, new_agent, start
from compliance.scene import Scene

check = checks_of("XEP-0494")
CAM = PREFIXES["cam"]
BIND = f"<bind xmlns='{PREFIXES['bind2']}'/>"


async def _login(scene: Scene, inner: str = "") -> Client:
    """Return a client that has logged in by XEP-0388 as an installation of its own."""
    client = await start(scene)
    await log_in(client, BIND + inner, new_agent())
    if "/" not in client.jid:
        await client.read_features()
        await client.bind()
    return client


async def _list(client: Client) -> list[Element]:
    reply = await client.iq("get", f"<list xmlns='{CAM}'/>")
    if reply.get("type") != "result":
        raise NotPossible(f"asking for the list gave {condition(reply)}")
    return find_all(reply, "cam:clients/cam:client")


@check("3.1", MUST, "The owner gets a list of clients; each has an id, how it logs in, and what it may do.")
async def own_client_is_listed(scene: Scene) -> None:
    client = await _login(scene)
    found = await _list(client)
    require(found, "the list is empty")
    require(any(one.get("connected") in ("true", "1") for one in found), "none is connected")
    for one in found:
        require(one.get("id"), "a client has no id")
        require_in(one.get("type"), ("session", "access"), "the type")
        require(find(one, "cam:auth") is not None, "a client has no <auth/>")
        permission = find(one, "cam:permission")
        require(permission is not None, "a client has no <permission/>")
        assert permission is not None
        require_in(permission.get("status"), ("unrestricted", "normal", "restricted"), "the permission")


@check("3.1", MUST, "A client that is not connected and has a token is listed.")
async def absent_client_is_listed(scene: Scene) -> None:
    wish = f"<request-token xmlns='{PREFIXES['fast']}' mechanism='HT-SHA-256-NONE'/>"
    await (await _login(scene, wish)).close()
    found = await _list(await _login(scene))
    absent = [one for one in found if one.get("connected") in ("false", "0", None)]
    require(any(find(one, "cam:auth/cam:fast") is not None for one in absent), "it is not listed with <fast/>")


@check("3.2", MUST, "A client that knows the password is not revoked: the password must be changed.")
async def client_with_the_password_stays(scene: Scene) -> None:
    client = await _login(scene)
    with_password = [one for one in await _list(client) if find(one, "cam:auth/cam:password") is not None]
    require(with_password, "none is listed with <password/>")
    reply = await client.iq("set", f"<revoke xmlns='{CAM}' id='{with_password[0].get('id')}'/>")
    require_equal(condition(reply), "service-unavailable", "the condition")
    require(find(reply, "c:error/cam:password-reset-required") is not None, "it does not say that a reset is required")
    await client.roundtrip()


@check("3.2", MUST, "Revoking what is not there is an error.")
async def unknown_client_is_an_error(scene: Scene) -> None:
    client = await _login(scene)
    await _list(client)
    reply = await client.iq("set", f"<revoke xmlns='{CAM}' id='nobody-has-this-id'/>")
    require_equal(reply.get("type"), "error", "the type of the answer")


@check("6", MUST, "Nobody else sees or revokes the clients of an account.")
async def others_see_nothing(scene: Scene) -> None:
    romeo, juliet = await _login(scene), await scene.login("juliet")
    (first, *_) = await _list(romeo)
    seen = await juliet.iq("get", f"<list xmlns='{CAM}'/>", to=romeo.bare)
    require_equal(seen.get("type"), "error", "the type of the answer to a question")
    gone = await juliet.iq("set", f"<revoke xmlns='{CAM}' id='{first.get('id')}'/>", to=romeo.bare)
    require_equal(gone.get("type"), "error", "the type of the answer to a revocation")
    await romeo.roundtrip()
