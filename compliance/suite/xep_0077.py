"""XEP-0077: In-Band Registration. Accounts are made only when the run may register (--register)."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import escape

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Account, AuthenticationFailed, Client
from compliance.names import Element, condition, find
from compliance.probe import register, register_request
from compliance.scene import Scene

check = checks_of("XEP-0077")
GET = "<query xmlns='jabber:iq:register'/>"
REMOVE = "<query xmlns='jabber:iq:register'><remove/></query>"


def _needs_registration(scene: Scene) -> None:
    if not scene.world.may_register:
        raise NotPossible("the run may not register accounts (--register)")


async def _new_account(scene: Scene) -> Client:
    """Return a client, logged in, of an account made for this check and removed after it."""
    _needs_registration(scene)
    account = await register(scene.target, scene.log)
    client = Client("newcomer", scene.target, account, scene.log)
    await client.login()
    scene.at_the_end(lambda: _remove(client))
    return client


async def _remove(client: Client) -> None:
    if client.lost or client.closed:
        await client.login()
    await client.send(f"<iq type='set' id='remove'>{REMOVE}</iq>")
    await client.expect("c:iq", id="remove")
    client.abort()


async def _can_log_in(scene: Scene, account: Account) -> bool:
    client = Client("newcomer", scene.target, account, scene.log)
    try:
        await client.start()
        await client.authenticate()
    except AuthenticationFailed:
        return False
    finally:
        client.abort()
    return True


async def _stranger(scene: Scene) -> Client:
    client = scene.client(label="newcomer")
    await client.start()
    return client


@check("3.1", MUST, "One who is not logged in is told which fields are needed, where registration is open.")
async def fields_are_told(scene: Scene) -> None:
    client = await _stranger(scene)
    reply = await client.iq("get", GET)
    if reply.get("type") == "error":
        raise NotPossible(f"registration is closed: {condition(reply)}")
    query = find(reply, "reg:query")
    require(query is not None and len(query), "the answer names no fields")
    assert query is not None
    has_fields = find(query, "reg:username") is not None and find(query, "reg:password") is not None
    require(has_fields or find(query, "data:x") is not None, "the answer has neither username and password nor a form")


@check(
    "3.1", MUST, "Where registration is closed, asking for it is service-unavailable or another error, and harmless."
)
async def closed_registration_is_refused(scene: Scene) -> None:
    client = await _stranger(scene)
    reply = await client.iq("get", GET)
    if reply.get("type") == "result":
        raise NotPossible("registration is open")
    require_in(condition(reply), ("service-unavailable", "not-allowed", "forbidden", "not-authorized"), "the condition")
    await client.enter()


@check("8", SHOULD, "Open registration is offered among the features before login.")
async def registration_is_a_stream_feature(scene: Scene) -> None:
    client = await _stranger(scene)
    reply = await client.iq("get", GET)
    if reply.get("type") == "error":
        raise NotPossible(f"registration is closed: {condition(reply)}")
    features = client.features
    require(features is not None and find(features, "regfeature:register") is not None, "the feature is not offered")


@check("3.1", MUST, "A new account can log in with the password that was given.")
async def registered_account_can_log_in(scene: Scene) -> None:
    client = await _new_account(scene)
    await client.roundtrip()


@check("3.1", MUST, "A name that is taken is refused with conflict.")
async def taken_name_is_conflict(scene: Scene) -> None:
    _needs_registration(scene)
    client = await _stranger(scene)
    reply = await register_request(client, scene.jid("romeo").partition("@")[0], "another password")
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "conflict", "the condition")
    await scene.login("romeo")  # the old password still holds


@check("3.1", MUST, "A request without a password is refused with not-acceptable.")
async def missing_password_is_not_acceptable(scene: Scene) -> None:
    _needs_registration(scene)
    client = await _stranger(scene)
    name = f"compliance-{secrets.token_hex(5)}"
    for password in ("<password/>", ""):
        reply = await client.iq(
            "set", f"<query xmlns='jabber:iq:register'><username>{name}</username>{password}</query>"
        )
        require_equal(reply.get("type"), "error", f"the type of the answer to {password!r}")
        require_in(condition(reply), ("not-acceptable", "bad-request"), f"the condition for {password!r}")


@check("3.1", MUST, "One who is logged in is told that the account is registered.")
async def registered_account_is_told_so(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", GET)
    if reply.get("type") == "error":
        raise NotPossible(f"accounts cannot be asked about: {condition(reply)}")
    require(find(reply, "reg:query/reg:registered") is not None, "the answer does not say <registered/>")


@check("3.3", MUST, "A changed password holds from then on; the old one does not.")
async def password_can_be_changed(scene: Scene) -> None:
    client = await _new_account(scene)
    former = client.account
    assert former is not None
    changed = Account(former.jid, secrets.token_urlsafe(12))
    reply = await _change_password(client, changed)
    if condition(reply) in ("not-allowed", "service-unavailable", "not-authorized"):
        raise NotPossible(f"passwords cannot be changed: {condition(reply)}")
    require_equal(reply.get("type"), "result", "the type of the answer")
    require(await _can_log_in(scene, changed), "the new password does not hold")
    require(not await _can_log_in(scene, former), "the old password still holds")
    client.account = changed


async def _change_password(client: Client, changed: Account) -> Element:
    return await client.iq(
        "set",
        f"<query xmlns='jabber:iq:register'><username>{escape(changed.username)}</username>"
        f"<password>{escape(changed.password)}</password></query>",
        to=client.target.domain,
    )


@check("3.3", MUST, "An empty password never becomes the password.")
async def empty_password_is_not_set(scene: Scene) -> None:
    client = await _new_account(scene)
    assert client.account is not None
    await _change_password(client, Account(client.account.jid, ""))
    require(await _can_log_in(scene, client.account), "the old password does not hold any more")


@check("3.3", MUST, "Nobody changes the password of another.")
async def others_password_cannot_be_changed(scene: Scene) -> None:
    client = await _new_account(scene)
    victim = scene.world.accounts["romeo"]
    await _change_password(client, Account(victim.jid, "stolen"))
    require(await _can_log_in(scene, victim), "romeo's password was changed by another")


@check("3.2", MUST, "A removed account is gone: it cannot log in.")
async def removed_account_is_gone(scene: Scene) -> None:
    client = await _new_account(scene)
    assert client.account is not None
    await client.send(f"<iq type='set' id='remove'>{REMOVE}</iq>")
    try:
        reply = await client.expect("c:iq", id="remove")
    except Failed:
        require(client.closed or client.lost, "removing the account was not answered")  # the stream may end first
    else:
        require_equal(reply.get("type"), "result", "the type of the answer")
    require(not await _can_log_in(scene, client.account), "the removed account can still log in")


@check("3.2", SHOULD, "Removing an account ends its streams.")
async def removal_ends_the_stream(scene: Scene) -> None:
    client = await _new_account(scene)
    await client.send(f"<iq type='set' id='remove'>{REMOVE}</iq>")
    await client.expect_end()


@check("3.2", SHOULD, "A request to remove that asks for something else as well is bad-request.")
async def removal_stands_alone(scene: Scene) -> None:
    client = await _new_account(scene)
    reply = await client.iq("set", "<query xmlns='jabber:iq:register'><remove/><username>x</username></query>")
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "bad-request", "the condition")
