"""XEP-0379: Pre-Authenticated Roster Subscription, by tokens that the server makes (XEP-0401)."""

from __future__ import annotations

from compliance import invites
from compliance.check import MUST, SHOULD, checks_of, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, find_all
from compliance.scene import Scene

check = checks_of("XEP-0379")


async def _ask(client: Client, token: str, to: str) -> None:
    preauth = f"<preauth xmlns='{PREFIXES['pars']}' token='{token}'/>"
    await client.send(f"<presence type='subscribe' to='{to}'>{preauth}</presence>")
    await client.send(f"<presence type='subscribed' to='{to}'/>")
    await client.roundtrip()


async def _subscription(client: Client, jid: str) -> str:
    roster = await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    items = find_all(roster, "roster:query/roster:item")
    return next((item.get("subscription", "none") for item in items if item.get("jid") == jid), "none")


@check("4.1", MUST, "A request with a wrong token is like any other.")
async def wrong_token_is_an_ordinary_request(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await _ask(juliet, "certainly-no-token", romeo.bare)
    await romeo.expect("c:presence", type="subscribe", from_=juliet.bare)
    require_equal(await _subscription(romeo, juliet.bare), "none", "the subscription")


@check("3.5", SHOULD, "A request with a good token makes both each other's contacts.")
async def token_makes_contacts(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await _ask(juliet, invites.token(await invites.invite(romeo)), romeo.bare)
    await romeo.roundtrip()
    require_equal(await _subscription(romeo, juliet.bare), "both", "the inviter's subscription")
    require_equal(await _subscription(juliet, romeo.bare), "both", "the invited's subscription")


@check("6.2", SHOULD, "A token can be used once.")
async def token_is_good_once(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet", "mercutio")
    romeo, juliet, mercutio = await scene.online("romeo"), await scene.online("juliet"), await scene.online("mercutio")
    token = invites.token(await invites.invite(romeo))
    await _ask(juliet, token, romeo.bare)
    await _ask(mercutio, token, romeo.bare)
    require_equal(await _subscription(romeo, mercutio.bare), "none", "the subscription of the second one")
