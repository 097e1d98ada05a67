"""XEP-0133: Service Administration. Runs only with an administrator's account."""

from __future__ import annotations

import secrets

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_in
from compliance.client import Account, AuthenticationFailed, Client
from compliance.commands import ADMIN, execute, fill_in, listed
from compliance.names import text
from compliance.scene import Scene

check = checks_of("XEP-0133")


async def _admin(scene: Scene, *commands: str) -> Client:
    """Return the administrator; end the check unless all these commands are offered."""
    client = await scene.admin()
    nodes = await listed(client)
    for command in commands:
        if f"{ADMIN}#{command}" not in nodes:
            raise NotPossible(f"the command {command} is not offered")
    return client


async def _add(scene: Scene, admin: Client) -> Account:
    """Add an account, which is deleted when the check is over."""
    account = Account(f"added-{secrets.token_hex(5)}@{scene.domain}", secrets.token_urlsafe(12))
    form = {"accountjid": [account.jid], "password": [account.password], "password-verify": [account.password]}
    await fill_in(admin, f"{ADMIN}#add-user", form)
    scene.at_the_end(lambda: fill_in(admin, f"{ADMIN}#delete-user", {"accountjids": [account.jid]}))
    return account


async def _can_log_in(scene: Scene, account: Account) -> bool:
    client = Client("added", scene.target, account, scene.log)
    try:
        await client.start()
        await client.authenticate()
    except AuthenticationFailed:
        return False
    finally:
        client.abort()
    return True


@check("4.1", MUST, "An account that the administrator adds exists: its owner can log in.")
async def added_account_exists(scene: Scene) -> None:
    admin = await _admin(scene, "add-user")
    account = await _add(scene, admin)
    require(await _can_log_in(scene, account), "the added account cannot log in")


@check("5", MUST, "Adding an account that exists is refused.")
async def account_is_not_added_twice(scene: Scene) -> None:
    admin = await _admin(scene, "add-user")
    form = {"accountjid": [scene.jid("romeo")], "password": ["another"], "password-verify": ["another"]}
    try:
        await fill_in(admin, f"{ADMIN}#add-user", form)
    except Failed:
        await scene.login("romeo")  # with the old password
        return
    raise Failed("an account was added over an existing one")


@check("4.2", MUST, "An account that the administrator deletes is gone: its owner cannot log in.")
async def deleted_account_is_gone(scene: Scene) -> None:
    admin = await _admin(scene, "add-user", "delete-user")
    account = await _add(scene, admin)
    await fill_in(admin, f"{ADMIN}#delete-user", {"accountjids": [account.jid]})
    require(not await _can_log_in(scene, account), "the deleted account can still log in")


@check("4.2", SHOULD, "Deleting an account ends its streams.")
async def deleting_ends_streams(scene: Scene) -> None:
    admin = await _admin(scene, "add-user", "delete-user")
    account = await _add(scene, admin)
    client = Client("added", scene.target, account, scene.log)
    await client.login()
    await fill_in(admin, f"{ADMIN}#delete-user", {"accountjids": [account.jid]})
    await client.expect_end()
    client.abort()


@check("4.5", MUST, "Ending an account's sessions ends all its streams; it can log in again.")
async def sessions_can_be_ended(scene: Scene) -> None:
    admin = await _admin(scene, "end-user-session")
    first, second = await scene.online("juliet", label="juliet 1"), await scene.online("juliet", label="juliet 2")
    await fill_in(admin, f"{ADMIN}#end-user-session", {"accountjids": [first.bare]})
    await first.expect_end()
    await second.expect_end()
    await scene.login("juliet", label="juliet again")


@check("4.5", MUST, "Ending the session of a full JID ends that stream and no other.")
async def one_session_can_be_ended(scene: Scene) -> None:
    admin = await _admin(scene, "end-user-session")
    first, second = await scene.online("juliet", label="juliet 1"), await scene.online("juliet", label="juliet 2")
    await fill_in(admin, f"{ADMIN}#end-user-session", {"accountjids": [first.jid]})
    await first.expect_end()
    await second.roundtrip()


@check("4.18", MUST, "The list of registered accounts holds them.")
async def registered_accounts_are_listed(scene: Scene) -> None:
    admin = await _admin(scene, "get-registered-users-list")
    stage = await fill_in(admin, f"{ADMIN}#get-registered-users-list", {"max_items": ["none"]})
    jids = stage.fields.get("registereduserjids", [])
    require_in(scene.jid("romeo"), tuple(jids), "romeo among the registered accounts")


@check("4.20", MUST, "The list of online accounts holds those who are there.")
async def online_accounts_are_listed(scene: Scene) -> None:
    admin = await _admin(scene, "get-online-users-list")
    romeo = await scene.online("romeo")
    stage = await fill_in(admin, f"{ADMIN}#get-online-users-list", {"max_items": ["none"]})
    jids = [line.split()[0] for line in stage.fields.get("onlineuserjids", []) if line]
    require(any(jid.partition("/")[0] == romeo.bare for jid in jids), f"romeo is not among {jids}")


@check("4.23", MUST, "An announcement reaches all who are online.")
async def announcement_reaches_everyone(scene: Scene) -> None:
    admin = await _admin(scene, "announce")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token = secrets.token_hex(8)
    stage = await execute(admin, f"{ADMIN}#announce")
    form = {name: values or ["Announcement"] for name, values in stage.fields.items() if name != "FORM_TYPE"}
    await execute(
        admin, f"{ADMIN}#announce", action="complete", session=stage.session, form={**form, "announcement": [token]}
    )
    for client in (romeo, juliet):
        await client.expect("c:message", where=lambda el: token in (text(el, "c:body") or ""))
