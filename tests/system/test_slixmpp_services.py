"""What an account and the domain offer to a stock client library: contacts, presence, data, information, administration."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ElementBase

from bench.accounts import PASSWORD
from tests.support.person import Person, befriend
from tests.system.conftest import ADMIN, Login, Target, TLSFiles

SETTINGS = {"registration.open": True, "registration.limit_per_hour": 0}
COMMANDS = "http://jabber.org/protocol/admin"

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


async def contacts(person: Person) -> dict[str, Any]:
    """Return the whole roster as the server has it, by bare JID."""
    iq = person.make_iq_get()
    iq.enable("roster")
    answer = await iq.send(timeout=10)
    return {str(jid): item for jid, item in answer["roster"]["items"].items()}


async def subscription(person: Person, jid: str) -> str:
    """Return the subscription of a contact, "" when it is not in the roster."""
    return (await contacts(person)).get(jid, {}).get("subscription", "")


# Contacts and presence


async def test_two_people_subscribe_to_each_other_and_it_stays_so(login: Login) -> None:
    romeo, juliet = await login(), await login()
    await befriend(romeo, juliet)
    await romeo.settle()
    assert await subscription(romeo, juliet.boundjid.bare) == "both"
    await romeo.leave()
    again = await login(romeo.boundjid.bare)
    assert await subscription(again, juliet.boundjid.bare) == "both"


async def test_a_request_that_is_turned_down_leaves_no_subscription(login: Login) -> None:
    romeo, juliet = await login(), await login()
    juliet.auto_authorize = False
    romeo.send_presence(pto=juliet.boundjid.bare, ptype="subscribe")
    await romeo.wait_presence(juliet.boundjid.bare, "unsubscribed")
    assert await subscription(romeo, juliet.boundjid.bare) == "none"


async def test_a_request_to_someone_absent_waits_for_her(login: Login) -> None:
    romeo, juliet = await login(), await login()
    away = juliet.boundjid.bare
    await juliet.leave()
    romeo.send_presence(pto=away, ptype="subscribe")
    await romeo.settle()
    back = await login(away)
    await back.wait_presence(romeo.boundjid.bare, "subscribe")
    await romeo.wait_presence(away, "subscribed")


async def test_friends_see_each_others_presence_and_its_changes(friends: tuple[Person, Person], login: Login) -> None:
    romeo, juliet = friends
    romeo.received.clear()
    juliet.send_presence(pshow="dnd", pstatus="on the balcony", ppriority=3)
    presence = await romeo.wait_presence(juliet.boundjid.full)
    assert (presence["type"], presence["status"], presence["priority"]) == ("dnd", "on the balcony", 3)
    late = await login(romeo.boundjid.bare)
    assert (await late.wait_presence(juliet.boundjid.full))["status"] == "on the balcony"
    await juliet.leave()
    await romeo.wait_presence(juliet.boundjid.full, "unavailable")


async def test_strangers_see_nothing_but_what_is_sent_to_them(login: Login) -> None:
    romeo, stranger = await login(), await login()
    romeo.send_presence(pstatus="for friends")
    await romeo.settle()
    await stranger.settle()
    assert not [s for s in stranger.received if s["from"].bare == romeo.boundjid.bare]
    romeo.send_presence(pto=stranger.boundjid.full, pstatus="for you")
    await stranger.wait_presence(romeo.boundjid.full)
    await romeo.leave()
    await stranger.wait_presence(romeo.boundjid.full, "unavailable")


async def test_a_contact_that_is_removed_is_gone_on_both_sides(friends: tuple[Person, Person]) -> None:
    romeo, juliet = friends
    await romeo.del_roster_item(juliet.boundjid.bare)
    await juliet.wait_presence(romeo.boundjid.bare, "unsubscribed")
    assert await subscription(romeo, juliet.boundjid.bare) == ""
    assert await subscription(juliet, romeo.boundjid.bare) == "none"


async def test_a_contacts_name_and_groups_are_kept_and_pushed_to_other_resources(login: Login) -> None:
    romeo = await login()
    other = await login(romeo.boundjid.bare)
    pushed = other.make_future("roster_update")
    await romeo.update_roster("nurse@example.org", name="Nurse", groups=["Capulet", "Staff"])
    await pushed
    item = (await contacts(other))["nurse@example.org"]
    assert (item["name"], sorted(item["groups"])) == ("Nurse", ["Capulet", "Staff"])


# What is kept for an account


async def test_a_vcard_that_is_published_is_read_by_others(login: Login) -> None:
    romeo, juliet = await login(plugins=("xep_0054",)), await login(plugins=("xep_0054",))
    card = juliet.plugin["xep_0054"].make_vcard()
    card["FN"] = "Juliet Capulet"
    await juliet.plugin["xep_0054"].publish_vcard(card)
    answer = await romeo.plugin["xep_0054"].get_vcard(juliet.boundjid.bare)
    assert answer["vcard_temp"]["FN"] == "Juliet Capulet"


class Note(ElementBase):  # type: ignore[misc]
    """Something private."""

    name = "note"
    namespace = "urn:example:private-note"
    plugin_attrib = "note"
    interfaces = frozenset({"text"})
    sub_interfaces = interfaces


async def test_private_data_is_kept_for_its_owner_alone(login: Login) -> None:
    romeo, other = await login(plugins=("xep_0049",)), await login(plugins=("xep_0049",))
    for person in (romeo, other):
        person.plugin["xep_0049"].register(Note)
    note = Note()
    note["text"] = "the apothecary's address"
    await romeo.plugin["xep_0049"].store(note)
    again = await login(romeo.boundjid.bare, plugins=("xep_0049",))
    again.plugin["xep_0049"].register(Note)
    assert (await again.plugin["xep_0049"].retrieve("note"))["private"]["note"]["text"] == "the apothecary's address"
    assert (await other.plugin["xep_0049"].retrieve("note"))["private"]["note"]["text"] == ""


# What the domain tells


async def test_the_domain_tells_its_software_time_uptime_and_answers_pings(login: Login) -> None:
    romeo = await login(plugins=("xep_0092", "xep_0202", "xep_0012"))
    version = (await romeo.plugin["xep_0092"].get_version("localhost"))["software_version"]
    assert version["name"]
    assert version["version"]
    told = (await romeo.plugin["xep_0202"].get_entity_time("localhost")).xml.findtext(".//{urn:xmpp:time}utc")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(told)).total_seconds()) < 10
    assert (await romeo.plugin["xep_0012"].get_last_activity("localhost"))["last_activity"]["seconds"] >= 0
    assert await romeo.plugin["xep_0199"].send_ping("localhost", timeout=10)


async def test_the_domain_and_the_account_list_what_they_can(login: Login) -> None:
    romeo = await login()
    domain = (await romeo.plugin["xep_0030"].get_info("localhost"))["disco_info"]
    assert ("server", "im") in {(category, type_) for category, type_, *_ in domain["identities"]}
    for feature in (
        "urn:xmpp:ping",
        "jabber:iq:version",
        "urn:xmpp:time",
        "vcard-temp",
        "urn:xmpp:blocking",
        "urn:xmpp:carbons:2",
    ):
        assert feature in domain["features"]
    account = (await romeo.plugin["xep_0030"].get_info(romeo.boundjid.bare))["disco_info"]
    assert ("account", "registered") in {(category, type_) for category, type_, *_ in account["identities"]}
    assert {"urn:xmpp:mam:2", "urn:xmpp:sid:0"} <= set(account["features"])


async def test_last_activity_is_told_to_friends_and_refused_to_strangers(
    friends: tuple[Person, Person], login: Login
) -> None:
    romeo, juliet = friends
    romeo.register_plugin("xep_0012")
    stranger = await login(plugins=("xep_0012",))
    await juliet.leave()
    await romeo.wait_presence(juliet.boundjid.bare, "unavailable")
    answer = await romeo.plugin["xep_0012"].get_last_activity(juliet.boundjid.bare)
    assert 0 <= answer["last_activity"]["seconds"] < 60
    with pytest.raises(IqError) as caught:
        await stranger.plugin["xep_0012"].get_last_activity(juliet.boundjid.bare)
    assert caught.value.condition in ("forbidden", "subscription-required", "service-unavailable")


async def test_an_unknown_request_is_service_unavailable(login: Login) -> None:
    romeo = await login()
    iq = romeo.make_iq_get(ito="localhost")
    iq.append(Element("{urn:example:nothing}query"))
    with pytest.raises(IqError) as caught:
        await iq.send(timeout=10)
    assert caught.value.condition == "service-unavailable"


# Accounts: registration and administration


async def register(server: Target, tls: TLSFiles, jid: str, password: str) -> Person:
    """Make an account in band, and return its owner, logged in."""
    person = Person(jid, password, ca=tls.ca, plugins=("xep_0030", "xep_0199", "xep_0077"))

    async def fill_in(_: object) -> None:
        iq = person.make_iq_set()
        iq["register"]["username"] = person.boundjid.user
        iq["register"]["password"] = password
        await iq.send(timeout=10)

    person.add_event_handler("register", fill_in)
    return await person.login(server.c2s_port)


async def test_someone_registers_changes_the_password_and_leaves(server: Target, tls: TLSFiles, login: Login) -> None:
    nurse = await register(server, tls, "nurse@localhost", "aqua vitae")
    await nurse.plugin["xep_0077"].change_password("more aqua vitae", jid="localhost")
    await nurse.leave()
    with pytest.raises(PermissionError):
        await login("nurse@localhost", password="aqua vitae")
    again = await login("nurse@localhost", password="more aqua vitae", plugins=("xep_0077",))
    removal = again.make_iq_set()
    removal["register"]["remove"] = True
    removal.send(callback=lambda _: None)
    await again.wait_disconnected()
    with pytest.raises(PermissionError):
        await login("nurse@localhost", password="more aqua vitae")


async def command(person: Person, node: str, **fields: Any) -> Any:
    """Run a command of XEP-0133 to its end, filling in its form, and return the last answer."""
    adhoc = person.plugin["xep_0050"]
    first = await adhoc.send_command("localhost", f"{COMMANDS}#{node}")
    assert first["command"]["status"] == "executing"
    form = first["command"]["form"]
    known = set(form.get_fields())
    assert set(fields) <= known, f"{node} asks for {known}"
    answer = person.make_iq_set(ito="localhost")
    answer["command"]["node"] = f"{COMMANDS}#{node}"
    answer["command"]["sessionid"] = first["command"]["sessionid"]
    x = SubElement(answer["command"].xml, "{jabber:x:data}x", {"type": "submit"})
    for name, value in {"FORM_TYPE": COMMANDS, **fields}.items():
        field = SubElement(x, "{jabber:x:data}field", {"var": name})
        for text in value if isinstance(value, list) else [value]:
            SubElement(field, "{jabber:x:data}value").text = text
    return await answer.send(timeout=10)


async def test_an_administrator_adds_and_deletes_a_user(login: Login) -> None:
    admin = await login(ADMIN, plugins=("xep_0050", "xep_0004"))
    done = await command(
        admin,
        "add-user",
        accountjid="friar@localhost",
        password="mandrake root",
        **{"password-verify": "mandrake root"},
    )
    assert done["command"]["status"] == "completed"
    friar = await login("friar@localhost", password="mandrake root")
    await command(admin, "delete-user", accountjids=["friar@localhost"])
    await friar.wait_disconnected()
    with pytest.raises(PermissionError):
        await login("friar@localhost", password="mandrake root")


async def test_an_announcement_reaches_everybody_online(login: Login) -> None:
    admin = await login(ADMIN, plugins=("xep_0050", "xep_0004"))
    people = [await login() for _ in range(3)]
    for person in people:
        await person.wait_presence(person.boundjid.bare, "available")  # its own: it is online now
    await command(admin, "announce", announcement=["Be home at ten."])
    for person in people:
        await person.wait_message("Be home at ten.")


async def test_a_user_who_is_no_administrator_may_not_run_commands(login: Login) -> None:
    romeo = await login(plugins=("xep_0050",))
    with pytest.raises(IqError) as caught:
        await romeo.plugin["xep_0050"].send_command("localhost", f"{COMMANDS}#add-user")
    assert caught.value.condition in ("forbidden", "not-allowed")


async def test_a_wrong_password_is_refused(login: Login, spare: Iterator[str]) -> None:
    with pytest.raises(PermissionError):
        await login(next(spare), password=PASSWORD + "x")
