"""XEP-0160: Best Practices for Handling Offline Messages."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import find
from compliance.scene import Scene

check = checks_of("XEP-0160")
FEATURE = "msgoffline"


async def leave_message(
    scene: Scene, romeo: Client, *, type_: str = "chat", inner: str | None = None, to: str | None = None
) -> str:
    """Send a message to juliet, who must be away, and return its id; ends the check when it is refused."""
    token = secrets.token_hex(8)
    body = f"<body>{token}</body>" if inner is None else inner
    address = quoteattr(scene.jid("juliet") if to is None else to)
    await romeo.send(f"<message to={address} type='{type_}' id='{token}'>{body}</message>")
    await romeo.roundtrip()
    if romeo.unread("c:message", id=token, type="error") and inner is None:
        raise NotPossible("the server keeps no messages for those who are away")
    return token


async def arrive(scene: Scene, *, priority: int = 0) -> Client:
    """Log juliet in and send presence; what waited for her is then in her inbox or on its way to it."""
    juliet = await scene.login("juliet")
    await juliet.send(f"<presence><priority>{priority}</priority></presence>")
    await juliet.expect("c:presence", from_=juliet.jid)
    await juliet.roundtrip()
    return juliet


@check("3", SHOULD, "A chat or normal message to one who is away is kept and delivered when they come.")
async def messages_wait_for_the_recipient(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    tokens = [await leave_message(scene, romeo, type_=kind) for kind in ("chat", "normal")]
    juliet = await arrive(scene)
    for token in tokens:
        message = await juliet.expect("c:message", id=token)
        require_equal(message.get("from"), romeo.jid, "the from of the message")


@check("3", SHOULD, "Messages that waited are delivered in the order in which they were sent.")
async def order_is_kept(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    tokens = [await leave_message(scene, romeo) for _ in range(5)]
    juliet = await arrive(scene)
    last = await juliet.expect("c:message", id=tokens[-1])
    seen = [el.get("id") for el in juliet.unread("c:message") if el.get("id") in tokens]
    require_equal([*seen, last.get("id")], tokens, "the order of the messages")


@check("2", SHOULD, "A message that waited is delivered once, and not again at the next login.")
async def messages_are_delivered_once(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await leave_message(scene, romeo)
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=token)
    await juliet.roundtrip()
    juliet.refuse("c:message", id=token, why="the message was delivered twice")
    await juliet.close()
    after = await leave_message(scene, romeo)
    again = await arrive(scene)
    await again.expect("c:message", id=after)
    again.refuse("c:message", id=token, why="the message was delivered again at the next login")


@check("2", SHOULD, "Messages wait until a resource of non-negative priority comes.")
async def negative_priority_does_not_fetch_messages(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await leave_message(scene, romeo)
    quiet = await arrive(scene, priority=-1)
    quiet.refuse("c:message", id=token, why="the message was given to a resource of negative priority")
    await quiet.close()
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=token)


@check("2", SHOULD, "A chat message to a full JID whose owner is away is kept as well.")
async def messages_to_a_gone_resource_wait(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await leave_message(scene, romeo, to=f"{scene.jid('juliet')}/gone")
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=token)


@check("3", SHOULD, "Headlines are not kept.")
async def headlines_do_not_wait(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await leave_message(scene, romeo, type_="headline", inner="<body>news of the hour</body>")
    after = await leave_message(scene, romeo)
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=after)
    juliet.refuse("c:message", id=token, why="a headline was kept")


@check("3", SHOULD, "A message with nothing in it but a chat state is not kept.")
async def chat_states_do_not_wait(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    token = await leave_message(scene, romeo, inner=state)
    after = await leave_message(scene, romeo)
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=after)
    juliet.refuse("c:message", id=token, why="a chat state was kept")


@check("4", SHOULD, "A server that keeps messages lists the feature msgoffline.")
async def feature_is_listed(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await leave_message(scene, romeo)
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=token)
    require(FEATURE in scene.profile.server, "messages are kept, but msgoffline is not among the server's features")


@check("2", MUST, "What was in the message besides its body is kept with it.")
async def extensions_wait_too(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    request = "<request xmlns='urn:xmpp:receipts'/><thread>7ad1</thread>"
    token = secrets.token_hex(8)
    await leave_message(scene, romeo)  # ends the check where nothing is kept
    await romeo.send(
        f"<message to={quoteattr(scene.jid('juliet'))} type='chat' id='{token}'><body>b</body>{request}</message>"
    )
    await romeo.roundtrip()
    juliet = await arrive(scene)
    message = await juliet.expect("c:message", id=token)
    require(message.find("{urn:xmpp:receipts}request") is not None, "the request for a receipt is gone")
    require(find(message, "c:thread") is not None, "the thread is gone")
