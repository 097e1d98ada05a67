"""XEP-0401: Easy User Onboarding. What makes accounts needs an administrator (--admin) and leave to register (--register)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from compliance import invites
from compliance.check import MUST, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, condition, find_all
from compliance.probe import register_request
from compliance.scene import Scene

check = checks_of("XEP-0401")


@check("3", MUST, "The command that invites a contact is listed for accounts.")
async def invitation_is_listed(scene: Scene) -> None:
    client = await scene.login("romeo")
    await invites.invite(client)
    query = f"<query xmlns='{PREFIXES['items']}' node='{invites.COMMANDS}'/>"
    items = find_all(await client.ask("get", query, to=scene.domain), "items:query/items:item")
    require(any(item.get("node") == invites.INVITE for item in items), "it is not among the commands")


@check("5.1", MUST, "It completes at once, with an address that names the inviter and a token, and when it ends.")
async def invitation_has_its_fields(scene: Scene) -> None:
    client = await scene.login("romeo")
    done = await invites.invite(client)
    require_equal(done.get("status"), "completed", "the status")
    uri = invites.value(done, "uri")
    require(uri.startswith(f"xmpp:{client.bare}?roster;"), f"the address is {uri}")
    require(len(invites.token(done)) >= 16, "the token is short enough to be guessed")
    ends = invites.value(done, "expire")
    require(ends, "it does not say when it ends")
    require(datetime.fromisoformat(ends) > datetime.now(UTC), f"it ends at {ends}")


@check("5.4", MUST, "The command that invites an account has a field for the username.")
async def account_invitation_takes_a_username(scene: Scene) -> None:
    admin = await scene.admin()
    asked = await invites.step(admin, invites.CREATE)
    fields = [field.get("var") for field in find_all(asked, "data:x/data:field")]
    require("username" in fields, f"its fields are {fields}")


@check("5.5", MUST, "The inviter hears of the new contact by a roster push.")
async def new_account_is_a_contact(scene: Scene) -> None:
    _needs_registration(scene)
    admin = await scene.admin()
    await admin.ask("get", "<query xmlns='jabber:iq:roster'/>")
    done = await invites.create(admin, {"username": "", "roster-subscription": "true"})
    newcomer = await invites.stranger(scene)
    require_equal((await invites.show(newcomer, invites.token(done))).get("type"), "result", "the answer to the token")
    account = await invites.register(scene, newcomer)
    await admin.expect("c:iq/roster:query", type="set", where=lambda el: _pushes(el, account.jid))
    client = Client("newcomer", scene.target, account, scene.log)
    await client.login()
    roster = await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    found = {item.get("jid"): item.get("subscription") for item in find_all(roster, "roster:query/roster:item")}
    require_equal(found.get(admin.bare), "both", "the newcomer's subscription")
    await client.close()


def _pushes(iq: object, jid: str) -> bool:
    items = find_all(iq, "roster:query/roster:item")  # type: ignore[arg-type]
    return any(item.get("jid") == jid and item.get("subscription") == "both" for item in items)


@check("6.2", MUST, "A username that an invitation names is reserved until it ends.")
async def username_is_reserved(scene: Scene) -> None:
    _needs_registration(scene)
    admin, name = await scene.admin(), f"reserved-{secrets.token_hex(5)}"
    done = await invites.create(admin, {"username": name})
    other = scene.client(label="somebody else")
    await other.start()
    reply = await register_request(other, name, "some password")
    require_equal(reply.get("type"), "error", "the type of the answer to somebody else")
    newcomer = await invites.stranger(scene)
    await invites.show(newcomer, invites.token(done))
    await invites.register(scene, newcomer, name)
    require(condition(reply) is not None, "the error has no condition")


def _needs_registration(scene: Scene) -> None:
    if not scene.world.may_register:
        raise NotPossible("the run may not register accounts (--register)")
