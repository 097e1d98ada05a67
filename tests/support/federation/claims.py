"""What must hold between two people on different servers, whichever they are; each claim raises when it does not."""

import asyncio

from tests.support.person import TIMEOUT_S, Person, befriend


async def subscribe_and_see_each_other(one: Person, other: Person) -> None:
    """Both ask, both grant; then each sees that the other is there, and what changes."""
    await befriend(one, other)
    for sees, seen in ((one, other), (other, one)):
        await sees.wait_presence(seen.boundjid.full)
        seen.send_presence(pshow="dnd", pstatus=f"{seen.boundjid.user} is busy")
        await sees.wait_for(
            lambda s, seen=seen: (
                s.name == "presence"
                and s["from"] == seen.boundjid
                and s["status"] == f"{seen.boundjid.user} is busy"
                and s["type"] == "dnd"
            ),
            f"the status of {seen.boundjid}",
        )
    for person, contact in ((one, other), (other, one)):
        assert await subscription(person, contact.boundjid.bare) == "both", person.boundjid


async def subscription(person: Person, contact: str) -> str:
    """Return the subscription of a contact as the person's server has it."""
    iq = person.make_iq_get()
    iq.enable("roster")
    answer = await iq.send(timeout=TIMEOUT_S)
    items = {str(jid): item for jid, item in answer["roster"]["items"].items()}
    return str(items.get(contact, {}).get("subscription", ""))


async def chat(one: Person, other: Person, count: int = 5) -> None:
    """Messages to the full and to the bare JID arrive in their order, once, in both directions."""
    for sender, recipient in ((one, other), (other, one)):
        texts = [f"{sender.boundjid.user} says {number}" for number in range(count)]
        for number, text in enumerate(texts):
            to = recipient.boundjid.full if number % 2 else recipient.boundjid.bare
            sender.send_message(to, text, mtype="chat")
        # Anything later on the same way comes after them.
        await ping(sender, recipient)
        got = [s["body"] for s in recipient.received if s.name == "message" and s["body"] in texts]
        assert got == texts, got
        for text in texts:
            message = await recipient.wait_message(text)
            assert message["from"] == sender.boundjid, message


async def ping(one: Person, other: Person) -> None:
    """A ping to the other's full JID is answered by its client, one to its server by that."""
    for target in (other.boundjid.full, other.boundjid.domain):
        answer = await one.plugin["xep_0199"].send_ping(target, timeout=TIMEOUT_S)
        assert answer["type"] == "result", answer
        assert answer["from"] == target, answer


async def talk_in_room(owner: Person, guest: Person, room: str) -> None:
    """The guest enters a room of the owner's server, both speak, both hear both, and the owner sees the guest go."""
    for person in (owner, guest):
        await person.plugin["xep_0045"].join_muc_wait(room, person.boundjid.user, timeout=TIMEOUT_S)
    for speaker in (guest, owner):
        text = f"{speaker.boundjid.user} speaks"
        speaker.send_message(room, text, mtype="groupchat")
        for hearer in (owner, guest):
            message = await hearer.wait_message(text)
            assert message["from"] == f"{room}/{speaker.boundjid.user}", message
    gone = owner.make_future(f"muc::{room}::got_offline")
    guest.plugin["xep_0045"].leave_muc(room, guest.boundjid.user)
    assert (await asyncio.wait_for(gone, TIMEOUT_S))["from"] == f"{room}/{guest.boundjid.user}"


async def copied_and_archived(desk: Person, phone: Person, far: Person) -> None:
    """What is said between one of our devices and somebody far away is on our other device and in our archive.

    `desk` and `phone` are of one account, and have the plugins xep_0280, xep_0297, xep_0313 and xep_0359.
    """
    await desk.plugin["xep_0280"].enable()
    here = phone.boundjid.bare
    phone.send_message(far.boundjid.full, "From the phone", mtype="chat")
    await far.wait_message("From the phone")
    copied = desk.make_future("carbon_received")
    far.send_message(phone.boundjid.full, "From far away", mtype="chat")
    message = await phone.wait_message("From far away")
    assert message["stanza_id"]["by"] == here and message["stanza_id"]["id"], message
    carbon = (await asyncio.wait_for(copied, TIMEOUT_S))["carbon_received"]
    assert (carbon["body"], carbon["from"]) == ("From far away", far.boundjid), carbon
    with_far = desk.plugin["xep_0313"].iterate(with_jid=far.boundjid.bare)
    found = [message["mam_result"]["forwarded"]["stanza"] async for message in with_far]
    assert [(s["body"], s["from"]) for s in found][-2:] == [
        ("From the phone", phone.boundjid),
        ("From far away", far.boundjid),
    ], found


async def bounced(person: Person, text: str, condition: str) -> None:
    """A message with that body came back, with that condition."""
    error = await person.wait_for(
        lambda s: s.name == "message" and s["type"] == "error" and s["id"] == text, f"{text!r} to come back"
    )
    assert error["error"]["condition"] == condition, error


def send(person: Person, to: object, text: str) -> None:
    """Send a chat message whose id is its text, so that an error that comes back can be told from others."""
    message = person.make_message(to, text, mtype="chat")
    message["id"] = text
    message.send()


async def acknowledged(person: Person) -> None:
    """Wait until the server has acknowledged everything (XEP-0198), which it does when it is on disk."""
    plugin = person.plugin["xep_0198"]
    await person.settle()  # what slixmpp still has in its own queue is not among what it counts
    async with asyncio.timeout(TIMEOUT_S):
        while plugin.unacked_queue:
            more = person.make_future("stanza_acked")
            plugin.request_ack()
            await more


async def arrived_once(person: Person, sender: str, texts: list[str], timeout_s: float = 40) -> None:
    """Messages of a bare JID arrive in that order, each once, and nothing of them comes later."""
    await person.wait_message(texts[-1], timeout_s=timeout_s)
    # What comes twice comes before the answer to this, which takes the same way.
    await person.plugin["xep_0199"].send_ping(sender.partition("@")[2], timeout=TIMEOUT_S)
    got = [s["body"] for s in person.received if s.name == "message" and s["from"].bare == sender]
    assert got == texts[:-1], got


async def see_each_other_go(one: Person, other: Person) -> None:
    """When one person's connection ends, the other is told; `one` is gone afterwards."""
    one_jid = one.boundjid.full
    await one.leave()
    await other.wait_presence(one_jid, "unavailable")


async def leave_all(*people: Person) -> None:
    """Close all streams, whatever state they are in."""
    await asyncio.gather(*(person.leave() for person in people), return_exceptions=True)
