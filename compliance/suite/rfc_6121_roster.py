"""RFC 6121 §2: the roster."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, Failed, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import Element, bare, condition, find, find_all
from compliance.scene import Scene

check = checks_of("RFC 6121")
GET = "<query xmlns='jabber:iq:roster'/>"


def query(inner: str) -> str:
    """Return the payload of a roster set around items."""
    return f"<query xmlns='jabber:iq:roster'>{inner}</query>"


def new_contact() -> str:
    """Return a JID that no roster holds."""
    return f"contact-{secrets.token_hex(4)}@elsewhere.invalid"


async def fetch(client: Client) -> dict[str, Element]:
    """Ask for the roster; return its items by JID."""
    reply = await client.ask("get", GET)
    return {item.get("jid", ""): item for item in find_all(reply, "roster:query/roster:item")}


async def fetch_item(client: Client, jid: str) -> Element:
    """Ask for the roster and return the item of a contact, who must be in it."""
    item = (await fetch(client)).get(jid)
    if item is None:
        raise Failed(f"{jid} is not in the roster")
    return item


async def expect_push(client: Client, jid: str, **attributes: str) -> Element:
    """Wait for a roster push of one contact and return its item; further attributes are the item's ("" for absent)."""

    def fits(iq: Element) -> bool:
        item = find(iq, "roster:query/roster:item")
        if item is None or item.get("jid") != jid:
            return False
        return all((item.get(name) or "") == value for name, value in attributes.items())

    iq = await client.expect("c:iq/roster:query", type="set", where=fits)
    item = find(iq, "roster:query/roster:item")
    assert item is not None
    return item


async def _remove_at_the_end(scene: Scene, client: Client, jid: str) -> None:
    removal = query(f"<item jid={quoteattr(jid)} subscription='remove'/>")
    scene.at_the_end(lambda: client.iq("set", removal))


@check("2.1.3", MUST, "A request for the roster is answered with a result that holds the items.")
async def roster_can_be_fetched(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", GET)
    require(find(reply, "roster:query") is not None, "the result has no <query/>")
    require_in(bare(reply.get("from")), ("", romeo.bare), "the from of the result")


@check("2.1.6", MUST, "A roster set is pushed to every resource that asked for the roster, the sender included.")
async def set_is_pushed_to_interested_resources(scene: Scene) -> None:
    first, second = await scene.online("romeo", label="romeo 1"), await scene.online("romeo", label="romeo 2")
    jid = new_contact()
    await _remove_at_the_end(scene, first, jid)
    await first.ask("set", query(f"<item jid='{jid}' name='Nurse'><group>Servants</group></item>"))
    for client in (first, second):
        item = await expect_push(client, jid)
        require_equal(item.get("name"), "Nurse", "the pushed name")
        require_equal(item.get("subscription"), "none", "the pushed subscription")
        require_equal([group.text for group in find_all(item, "roster:group")], ["Servants"], "the pushed groups")


@check("2.1.6", MUST, "A push comes from nobody or from the account's own bare JID, and asks nothing to guess.")
async def push_comes_from_the_account(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    await romeo.ask("set", query(f"<item jid='{jid}'/>"))
    push = await romeo.expect("c:iq/roster:query", type="set")
    require_in(push.get("from"), (None, romeo.bare), "the from of the push")
    require(push.get("id"), "the push has no id")
    require_equal(len(find_all(push, "roster:query/roster:item")), 1, "the number of items in the push")


@check("2.1.6", SHOULD, "A resource that never asked for the roster gets no pushes.")
async def no_push_without_interest(scene: Scene) -> None:
    romeo, quiet = await scene.online("romeo"), await scene.login("romeo", label="romeo quiet")
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    await romeo.ask("set", query(f"<item jid='{jid}'/>"))
    await expect_push(romeo, jid)
    await scene.settle(romeo, quiet)
    quiet.refuse("c:iq/roster:query", why="a roster push reached a resource that never asked for the roster")


@check("2.3.2", MUST, "What was set is in the roster of the next session.")
async def items_persist(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await romeo.ask("set", query(f"<item jid='{jid}' name='Nurse'><group>A</group><group>B</group></item>"))
    await romeo.close()
    again = await scene.online("romeo", label="romeo again")
    await _remove_at_the_end(scene, again, jid)
    item = (await fetch(again)).get(jid)
    require(item is not None, "the item is gone")
    assert item is not None
    require_equal(item.get("name"), "Nurse", "the name")
    require_equal(sorted(group.text or "" for group in find_all(item, "roster:group")), ["A", "B"], "the groups")


@check("2.4.1", MUST, "Setting an item again replaces its name and groups.")
async def set_replaces_an_item(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    await romeo.ask("set", query(f"<item jid='{jid}' name='Nurse'><group>A</group></item>"))
    await romeo.ask("set", query(f"<item jid='{jid}' name='Angelica'><group>B</group></item>"))
    await expect_push(romeo, jid, name="Angelica")
    item = await fetch_item(romeo, jid)
    require_equal(item.get("name"), "Angelica", "the name")
    require_equal([group.text for group in find_all(item, "roster:group")], ["B"], "the groups")


@check("2.1.2.5", MUST, "In a roster set, any subscription but remove is ignored: nobody subscribes himself by it.")
async def subscription_cannot_be_set(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    reply = await romeo.iq("set", query(f"<item jid='{jid}' subscription='both' ask='subscribe' approved='true'/>"))
    if reply.get("type") == "error":
        return  # refusing it altogether keeps the rule as well
    item = await fetch_item(romeo, jid)
    require_equal(item.get("subscription", "none"), "none", "the subscription")
    require_equal(item.get("ask"), None, "the ask")


@check("2.5.2", MUST, "A removed item is pushed with subscription remove, and is gone.")
async def item_can_be_removed(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await romeo.ask("set", query(f"<item jid='{jid}'/>"))
    await romeo.ask("set", query(f"<item jid='{jid}' subscription='remove'/>"))
    await expect_push(romeo, jid, subscription="remove")
    require(jid not in await fetch(romeo), "the item is still there")


@check("2.5.3", MUST, "Removing a contact who is not in the roster is item-not-found.")
async def removing_a_stranger_is_item_not_found(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    reply = await romeo.iq("set", query(f"<item jid='{new_contact()}' subscription='remove'/>"))
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "item-not-found", "the condition")


@check("2.3.3", MUST, "A roster set with no item, or with more than one, is bad-request.")
async def set_holds_one_item(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    for inner in ("", f"<item jid='{new_contact()}'/><item jid='{new_contact()}'/>"):
        reply = await romeo.iq("set", query(inner))
        require_equal(reply.get("type"), "error", f"the type of the answer to {inner!r}")
        require_equal(condition(reply), "bad-request", f"the condition for {inner!r}")


@check("2.3.3", MUST, "Naming one group twice in an item is bad-request.")
async def duplicate_groups_are_bad_request(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    reply = await romeo.iq("set", query(f"<item jid='{jid}'><group>A</group><group>A</group></item>"))
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "bad-request", "the condition")


@check("2.3.3", MUST, "A group without a name is not-acceptable.")
async def empty_group_is_not_acceptable(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    reply = await romeo.iq("set", query(f"<item jid='{jid}'><group></group></item>"))
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "not-acceptable", "the condition")


@check("2.3.3", MUST, "A name or group too long for the server is refused with not-acceptable; it is never cut.")
async def long_names_are_kept_or_refused(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    jid, long = new_contact(), "n" * 4000
    await _remove_at_the_end(scene, romeo, jid)
    for item in (f"<item jid='{jid}' name='{long}'/>", f"<item jid='{jid}'><group>{long}</group></item>"):
        reply = await romeo.iq("set", query(item))
        if reply.get("type") == "error":
            require_equal(condition(reply), "not-acceptable", "the condition")
            continue
        kept = await fetch_item(romeo, jid)
        names = [kept.get("name"), *(group.text for group in find_all(kept, "roster:group"))]
        require(long in names, "the long name was accepted and changed")


@check("2.3.3", MUST, "Nobody changes another's roster.")
async def others_rosters_are_closed(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    jid = new_contact()
    reply = await romeo.iq("set", query(f"<item jid='{jid}'/>"), to=juliet.bare)
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_in(condition(reply), ("forbidden", "service-unavailable", "not-allowed"), "the condition")
    require(jid not in await fetch(juliet), "the item is in juliet's roster")


@check("2.1.4", MUST, "Nobody reads another's roster.")
async def others_rosters_cannot_be_read(scene: Scene) -> None:
    romeo, juliet = await scene.login("romeo"), await scene.online("juliet")
    reply = await romeo.iq("get", GET, to=juliet.bare)
    require_equal(reply.get("type"), "error", "the type of the answer")


# -- versions


def _needs_versions(scene: Scene) -> None:
    scene.needs_stream_feature("{urn:xmpp:features:rosterver}ver")


async def _version(client: Client) -> str:
    reply = await client.ask("get", "<query xmlns='jabber:iq:roster' ver=''/>")
    found = find(reply, "roster:query")
    require(found is not None, "the roster was not sent though no version was given")
    assert found is not None
    require(found.get("ver"), "the roster has no ver")
    return found.get("ver", "")


@check("2.6.2", MUST, "A client that has the newest version gets an empty result.")
async def unchanged_roster_is_not_sent_again(scene: Scene) -> None:
    _needs_versions(scene)
    romeo = await scene.online("romeo")
    version = await _version(romeo)
    reply = await romeo.ask("get", f"<query xmlns='jabber:iq:roster' ver={quoteattr(version)}/>")
    require_equal(len(reply), 0, "the number of elements in the result")


@check("2.6.3", MUST, "A push names the new version, which the server then takes for the newest.")
async def push_names_the_version(scene: Scene) -> None:
    _needs_versions(scene)
    romeo = await scene.online("romeo")
    before = await _version(romeo)
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    await romeo.ask("set", query(f"<item jid='{jid}'/>"))
    push = await romeo.expect("c:iq/roster:query", type="set")
    pushed = find(push, "roster:query")
    assert pushed is not None
    version = pushed.get("ver", "")
    require(version, "the push has no ver")
    require(version != before, "the version did not change with the roster")
    reply = await romeo.ask("get", f"<query xmlns='jabber:iq:roster' ver={quoteattr(version)}/>")
    require_equal(len(reply), 0, "the number of elements in the result for the pushed version")


@check("2.6.2", MUST, "A client with an older version gets the whole roster, or the changes as pushes.")
async def changed_roster_is_brought_up_to_date(scene: Scene) -> None:
    _needs_versions(scene)
    romeo = await scene.online("romeo")
    before = await _version(romeo)
    jid = new_contact()
    await _remove_at_the_end(scene, romeo, jid)
    await romeo.ask("set", query(f"<item jid='{jid}'/>"))
    later = await scene.login("romeo", label="romeo later")
    reply = await later.ask("get", f"<query xmlns='jabber:iq:roster' ver={quoteattr(before)}/>")
    if find(reply, "roster:query") is None:
        await expect_push(later, jid)
    else:
        items = [item.get("jid") for item in find_all(reply, "roster:query/roster:item")]
        require(jid in items, "the new contact is not in the roster")
