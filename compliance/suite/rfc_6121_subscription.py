"""RFC 6121 §3 and Appendix A: asking for, granting, refusing and ending subscriptions."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import text
from compliance.scene import Scene
from compliance.suite.rfc_6121_roster import expect_push, fetch, query

check = checks_of("RFC 6121")


async def _send(client: Client, kind: str, to: Client) -> None:
    await client.send(f"<presence type='{kind}' to={quoteattr(to.bare)}/>")


async def _state(client: Client, contact: Client) -> tuple[str, str | None]:
    """Return subscription and ask of the contact in the client's roster, ("absent", None) when it is not there."""
    item = (await fetch(client)).get(contact.bare)
    return ("absent", None) if item is None else (item.get("subscription", "none"), item.get("ask"))


async def _strangers(scene: Scene) -> tuple[Client, Client]:
    await scene.strangers("romeo", "juliet")
    return await scene.online("romeo"), await scene.online("juliet")


async def _friends(scene: Scene) -> tuple[Client, Client]:
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.expect("c:presence", from_=juliet.jid)
    return romeo, juliet


# -- asking


@check("3.1.2", MUST, "A request goes out from the bare JID, and the roster shows it as asked for.")
async def request_is_sent_from_the_bare_jid(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await _send(romeo, "subscribe", juliet)
    await expect_push(romeo, juliet.bare, subscription="none", ask="subscribe")
    request = await juliet.expect("c:presence", type="subscribe")
    require_equal(request.get("from"), romeo.bare, "the from of the request")


@check("3.1.3", MUST, "One who asks is not in the contact's roster until the contact agrees.")
async def request_does_not_enter_the_contacts_roster(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await _send(romeo, "subscribe", juliet)
    await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
    require_equal((await _state(juliet, romeo))[0], "absent", "romeo's state in juliet's roster")


@check("3.1.3", MUST, "A request to one who is away is kept, and given at each login until it is answered.")
async def request_waits_for_the_contact(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    await romeo.send(f"<presence type='subscribe' to={quoteattr(scene.jid('juliet'))}/>")
    await expect_push(romeo, scene.jid("juliet"), ask="subscribe")
    for label in ("juliet 1", "juliet 2"):
        juliet = await scene.login("juliet", label=label)
        await juliet.send("<presence/>")
        await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
        await juliet.close()


@check("3.1.3", SHOULD, "The request is kept whole, with the words that came with it.")
async def request_keeps_its_words(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    words = "<status>It is the east</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>"
    await romeo.send(f"<presence type='subscribe' to={quoteattr(scene.jid('juliet'))}>{words}</presence>")
    await expect_push(romeo, scene.jid("juliet"), ask="subscribe")
    juliet = await scene.login("juliet")
    await juliet.send("<presence/>")
    request = await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
    require_equal(text(request, "c:status"), "It is the east", "the status of the request")
    require(request.find("{http://jabber.org/protocol/nick}nick") is not None, "the nickname is gone")


@check(
    "3.1.3", MUST, "One who is subscribed already and asks again is answered by the server; the contact is not asked."
)
async def repeated_request_is_answered_by_the_server(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await _send(romeo, "subscribe", juliet)
    await scene.settle(romeo, juliet)
    juliet.refuse("c:presence", type="subscribe", why="a contact who had agreed was asked again")
    require_equal((await _state(romeo, juliet))[0], "both", "juliet's state in romeo's roster")


# -- granting and refusing


@check("3.1.5", MUST, "Agreeing updates both rosters and tells the one who asked.")
async def approval_updates_both_rosters(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await _send(romeo, "subscribe", juliet)
    await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
    await _send(juliet, "subscribed", romeo)
    await expect_push(juliet, romeo.bare, subscription="from")
    await romeo.expect("c:presence", type="subscribed", from_=juliet.bare)
    await expect_push(romeo, juliet.bare, subscription="to", ask="")


@check("3.1.6", MUST, "Once agreed, the contact's presence is sent to the one who asked.")
async def approval_brings_presence(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await juliet.send("<presence><show>dnd</show></presence>")
    await _send(romeo, "subscribe", juliet)
    await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
    await _send(juliet, "subscribed", romeo)
    presence = await romeo.expect("c:presence", from_=juliet.jid, type="")
    require_equal(text(presence, "c:show"), "dnd", "the show of the presence")


@check("A.2", MUST, "Agreeing from both sides makes both.")
async def mutual_approval_is_both(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    require_equal(await _state(romeo, juliet), ("both", None), "juliet's state in romeo's roster")
    require_equal(await _state(juliet, romeo), ("both", None), "romeo's state in juliet's roster")


@check("3.2.2", MUST, "A refused request is taken back from the asker's roster, and the asker is told.")
async def refusal_ends_the_request(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await _send(romeo, "subscribe", juliet)
    await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
    await _send(juliet, "unsubscribed", romeo)
    await romeo.expect("c:presence", type="unsubscribed", from_=juliet.bare)
    await expect_push(romeo, juliet.bare, subscription="none", ask="")
    later = await scene.online("juliet", label="juliet later")
    later.refuse("c:presence", type="subscribe", why="the refused request was given once more")


@check("3.1.6", MUST, "An approval that nobody asked for is ignored.")
async def unasked_approval_is_ignored(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await _send(juliet, "subscribed", romeo)
    await scene.settle(juliet, romeo)
    romeo.refuse("c:presence", type="subscribed", why="an approval came that was not asked for")
    require_in((await _state(romeo, juliet))[0], ("absent", "none"), "juliet's state in romeo's roster")


# -- ending


@check("3.3.2", MUST, "One who unsubscribes keeps the contact in the roster without a subscription.")
async def unsubscribing_updates_both_rosters(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await _send(romeo, "unsubscribe", juliet)
    await expect_push(romeo, juliet.bare, subscription="from")
    await juliet.expect("c:presence", type="unsubscribe", from_=romeo.bare)
    await expect_push(juliet, romeo.bare, subscription="to")


@check("3.3.3", MUST, "One who unsubscribes is told that the contact's resources are unavailable.")
async def unsubscribing_brings_unavailable(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await _send(romeo, "unsubscribe", juliet)
    await romeo.expect("c:presence", type="unavailable", from_=juliet.jid)


@check("3.2.2", MUST, "A contact who takes approval back disappears for the subscriber, in the roster and by presence.")
async def cancelling_updates_both_rosters(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await _send(juliet, "unsubscribed", romeo)
    await expect_push(juliet, romeo.bare, subscription="to")
    await romeo.expect("c:presence", type="unsubscribed", from_=juliet.bare)
    await expect_push(romeo, juliet.bare, subscription="from")
    await romeo.expect("c:presence", type="unavailable", from_=juliet.jid)


@check("2.5.2", MUST, "Removing a contact ends the subscriptions in both directions.")
async def removal_ends_subscriptions(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await romeo.ask("set", query(f"<item jid={quoteattr(juliet.bare)} subscription='remove'/>"))
    await expect_push(romeo, juliet.bare, subscription="remove")
    await juliet.expect("c:presence", type="unsubscribe", from_=romeo.bare)
    await juliet.expect("c:presence", type="unsubscribed", from_=romeo.bare)
    await expect_push(juliet, romeo.bare, subscription="none")
    require_equal((await _state(romeo, juliet))[0], "absent", "juliet's state in romeo's roster")


@check("A.2.2", MUST, "Taking back a request before it is answered clears it on both sides.")
async def request_can_be_taken_back(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await _send(romeo, "subscribe", juliet)
    await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
    await _send(romeo, "unsubscribe", juliet)
    await expect_push(romeo, juliet.bare, subscription="none", ask="")
    await scene.settle(romeo, juliet)
    later = await scene.online("juliet", label="juliet later")
    later.refuse("c:presence", type="subscribe", why="the request that was taken back was given once more")


# -- granting before being asked


def _needs_preapproval(scene: Scene) -> None:
    scene.needs_stream_feature("{urn:xmpp:features:pre-approval}sub")


@check("3.4.2", MUST, "A pre-approval is kept in the roster as approved.")
async def preapproval_is_in_the_roster(scene: Scene) -> None:
    _needs_preapproval(scene)
    romeo, juliet = await _strangers(scene)
    await _send(juliet, "subscribed", romeo)
    await expect_push(juliet, romeo.bare, subscription="none", approved="true")


@check("3.4.2", MUST, "One who was pre-approved is subscribed as soon as he asks; the contact is not asked.")
async def preapproved_request_is_granted_at_once(scene: Scene) -> None:
    _needs_preapproval(scene)
    romeo, juliet = await _strangers(scene)
    await _send(juliet, "subscribed", romeo)
    await juliet.roundtrip()
    await _send(romeo, "subscribe", juliet)
    await romeo.expect("c:presence", type="subscribed", from_=juliet.bare)
    await expect_push(romeo, juliet.bare, subscription="to")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:presence", type="subscribe", why="a contact who had pre-approved was asked")


@check("3.4.2", MUST, "A pre-approval can be taken back, and then has no effect.")
async def preapproval_can_be_cancelled(scene: Scene) -> None:
    _needs_preapproval(scene)
    romeo, juliet = await _strangers(scene)
    await _send(juliet, "subscribed", romeo)
    await _send(juliet, "unsubscribed", romeo)
    await juliet.roundtrip()
    await _send(romeo, "subscribe", juliet)
    await juliet.expect("c:presence", type="subscribe", from_=romeo.bare)
