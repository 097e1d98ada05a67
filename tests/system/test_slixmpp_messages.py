"""Messages with a stock client library: delivery, absence, archive, carbons, resumption, blocking."""

from typing import Any

import pytest
from slixmpp import JID
from slixmpp.exceptions import IqError

from tests.support.person import Person, befriend
from tests.system.conftest import Login

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


async def history(person: Person, **query: Any) -> list[str]:
    """Return the bodies in a person's archive, oldest first."""
    found = person.plugin["xep_0313"].iterate(**query)
    return [message["mam_result"]["forwarded"]["stanza"]["body"] async for message in found]


async def test_a_message_to_a_bare_jid_reaches_the_resource_that_is_available(login: Login) -> None:
    romeo, juliet = await login(), await login(plugins=("xep_0359",))
    romeo.send_message(juliet.boundjid.bare, "But soft", mtype="chat")
    message = await juliet.wait_message("But soft")
    assert message["from"] == romeo.boundjid
    assert message["stanza_id"]["by"] == juliet.boundjid.bare
    assert message["stanza_id"]["id"]


async def test_a_message_to_a_full_jid_keeps_its_id_and_unknown_payloads(login: Login) -> None:
    romeo, juliet = await login(), await login()
    message = romeo.make_message(juliet.boundjid, "Ay me", mtype="chat")
    message["id"] = "kept-1"
    romeo.send_raw(str(message).replace("<body>", "<x xmlns='urn:example:unknown' a='1'><y>z</y></x><body>"))
    received = await juliet.wait_message("Ay me")
    assert received["id"] == "kept-1"
    assert received.xml.findtext("{urn:example:unknown}x/{urn:example:unknown}y") == "z"


async def test_a_message_to_an_account_that_is_not_there_comes_back_as_service_unavailable(login: Login) -> None:
    romeo = await login()
    romeo.send_message("nobody@localhost", "Anyone?", mtype="chat")
    error = await romeo.wait_for(lambda s: s.name == "message" and s["type"] == "error", "an error")
    assert error["error"]["condition"] == "service-unavailable"


async def test_what_was_said_to_an_absent_person_waits_with_its_time(login: Login) -> None:
    romeo, juliet = await login(plugins=("xep_0203",)), await login()
    away = juliet.boundjid.bare
    await juliet.leave()
    for number in range(3):
        romeo.send_message(away, f"While you slept {number}", mtype="chat")
    await romeo.settle()
    back = await login(away, plugins=("xep_0203",))
    for number in range(3):
        message = await back.wait_message(f"While you slept {number}")
        assert message["delay"]["stamp"].tzinfo is not None
        assert message["delay"]["from"].domain == "localhost"
    await back.leave()
    again = await login(away)
    await again.settle()
    assert again.count("While you slept 0") == 0


async def test_what_the_archive_gave_is_not_delivered_again(login: Login) -> None:
    romeo, juliet = await login(), await login()
    away = juliet.boundjid.bare
    await juliet.leave()
    romeo.send_message(away, "Once only", mtype="chat")
    await romeo.settle()
    back = await login(away, plugins=("xep_0313",), presence=False)
    assert await history(back) == ["Once only"]
    back.send_presence()
    await back.settle()
    assert back.count("Once only") == 0


async def test_both_sides_find_what_they_said_in_their_archives(login: Login) -> None:
    romeo, juliet = await login(plugins=("xep_0313",)), await login(plugins=("xep_0313",))
    other = await login()
    for number in range(25):
        sender, recipient = (romeo, juliet) if number % 2 else (juliet, romeo)
        sender.send_message(recipient.boundjid, f"line {number}", mtype="chat")
        await recipient.wait_message(f"line {number}")
    romeo.send_message(other.boundjid, "aside", mtype="chat")
    await other.wait_message("aside")
    lines = [f"line {number}" for number in range(25)]
    assert await history(juliet) == lines
    assert await history(romeo, with_jid=juliet.boundjid.bare) == lines
    assert await history(romeo, with_jid=other.boundjid.bare) == ["aside"]
    newest = await history(juliet, reverse=True, rsm={"max": 3}, total=3)
    assert newest == lines[:-4:-1]


async def test_other_resources_get_carbons_of_both_directions(login: Login) -> None:
    romeo = await login()
    phone = await login(plugins=("xep_0280",))
    desk = await login(phone.boundjid.bare, plugins=("xep_0280",))
    received, sent = desk.make_future("carbon_received"), desk.make_future("carbon_sent")
    await desk.plugin["xep_0280"].enable()

    romeo.send_message(phone.boundjid, "To the phone", mtype="chat")
    await phone.wait_message("To the phone")
    copy = (await received)["carbon_received"]
    assert (copy["body"], copy["from"], copy["to"]) == ("To the phone", romeo.boundjid, phone.boundjid)

    phone.send_message(romeo.boundjid.bare, "From the phone", mtype="chat")
    await romeo.wait_message("From the phone")
    copy = (await sent)["carbon_sent"]
    assert (copy["body"], copy["from"]) == ("From the phone", phone.boundjid)


async def test_a_private_message_makes_no_carbon(login: Login) -> None:
    romeo, phone = await login(), await login(plugins=("xep_0280",))
    desk = await login(phone.boundjid.bare, plugins=("xep_0280",))
    received = desk.make_future("carbon_received")
    await desk.plugin["xep_0280"].enable()
    message = str(romeo.make_message(phone.boundjid, "Between us", mtype="chat"))
    romeo.send_raw(message.replace("<body>", "<private xmlns='urn:xmpp:carbons:2'/><body>"))
    await phone.wait_message("Between us")
    await desk.settle()
    assert not received.done()


async def test_a_stream_that_was_cut_resumes_and_nothing_is_missing(login: Login) -> None:
    romeo, juliet = await login(plugins=("xep_0198",)), await login(plugins=("xep_0198",))
    await juliet.wait_managed()
    full = juliet.boundjid.full
    juliet.cut()
    for number in range(5):
        romeo.send_message(full, f"through the tunnel {number}", mtype="chat")
    await romeo.settle()
    await juliet.resume()
    assert juliet.boundjid.full == full
    for number in range(5):
        await juliet.wait_message(f"through the tunnel {number}")
    juliet.send_message(romeo.boundjid, "out again", mtype="chat")
    assert (await romeo.wait_message("out again"))["from"] == full


async def test_friends_see_no_absence_while_a_stream_waits_to_be_resumed(login: Login) -> None:
    romeo, juliet = await login(), await login(plugins=("xep_0198",))
    await befriend(romeo, juliet)
    await juliet.wait_managed()
    romeo.received.clear()
    juliet.cut()
    await romeo.settle()
    await juliet.resume()
    await romeo.settle()
    gone = [s for s in romeo.received if s.name == "presence" and s["type"] == "unavailable"]
    assert not gone


async def test_the_blocked_are_refused_and_see_an_absent_person(friends: tuple[Person, Person], login: Login) -> None:
    romeo, juliet = friends
    juliet.register_plugin("xep_0191")
    await juliet.plugin["xep_0191"].block(JID(romeo.boundjid.bare))
    await romeo.wait_presence(juliet.boundjid.bare, "unavailable")
    assert {str(jid) for jid in await juliet.plugin["xep_0191"].get_blocked_jids()} == {romeo.boundjid.bare}

    romeo.send_message(juliet.boundjid, "Hear me", mtype="chat")
    error = await romeo.wait_for(lambda s: s.name == "message" and s["type"] == "error", "an error")
    assert error["error"]["condition"] == "service-unavailable"
    juliet.send_message(romeo.boundjid, "Hear me not", mtype="chat")
    error = await juliet.wait_for(lambda s: s.name == "message" and s["type"] == "error", "an error")
    assert error["error"]["condition"] == "not-acceptable"
    assert error.xml.find(".//{urn:xmpp:blocking:errors}blocked") is not None
    assert juliet.count("Hear me") == 0

    await juliet.plugin["xep_0191"].unblock(JID(romeo.boundjid.bare))
    await romeo.wait_presence(juliet.boundjid.bare)
    romeo.send_message(juliet.boundjid, "And now?", mtype="chat")
    await juliet.wait_message("And now?")


async def test_an_archive_query_for_an_unknown_id_is_item_not_found(login: Login) -> None:
    romeo = await login(plugins=("xep_0313",))
    with pytest.raises(IqError) as caught:
        iq, _ = romeo.plugin["xep_0313"]._pre_mam_retrieve()
        iq["mam"]["rsm"]["after"] = "no-such-id"
        await iq.send(timeout=10)
    assert caught.value.condition == "item-not-found"
