"""XEP-0334: Message Processing Hints."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance import passing
from compliance.archived import archived_message
from compliance.check import MAY, MUST, SHOULD, checks_of, require
from compliance.scene import Scene
from compliance.suite.xep_0160 import arrive, leave_message
from compliance.suite.xep_0280 import carried

check = checks_of("XEP-0334")
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
NO_PERMANENT_STORE = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
NO_COPY = "<no-copy xmlns='urn:xmpp:hints'/>"
STORE = "<store xmlns='urn:xmpp:hints'/>"
BODY = "<body>hush</body>"


@check("4.2", SHOULD, "A message with no-store is not archived.")
async def no_store_is_not_archived(scene: Scene) -> None:
    require(await archived_message(scene, BODY + NO_STORE) is None, "the message is in the archive")


@check("4.1", SHOULD, "A message with no-permanent-store is not archived.")
async def no_permanent_store_is_not_archived(scene: Scene) -> None:
    require(await archived_message(scene, BODY + NO_PERMANENT_STORE) is None, "the message is in the archive")


@check("4.2", SHOULD, "A message with no-store does not wait for one who is away.")
async def no_store_does_not_wait(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    token = await leave_message(scene, romeo, inner=BODY + NO_STORE)
    after = await leave_message(scene, romeo)
    juliet = await arrive(scene)
    await juliet.expect("c:message", id=after)
    juliet.refuse("c:message", id=token, why="the message with no-store was kept")


@check("4.1", MAY, "A message with no-permanent-store may still wait for one who is away.")
async def no_permanent_store_may_wait(scene: Scene) -> None:
    await passing.waits(scene, NO_PERMANENT_STORE)


@check("4.4", SHOULD, "A message with store is archived though it has no body.")
async def store_is_archived(scene: Scene) -> None:
    message = await archived_message(scene, f"<x xmlns='urn:example:unheard-of'/>{STORE}")
    require(message is not None, "the message is not in the archive")


@check("4.3", SHOULD, "A message with no-copy is not copied to other resources.")
async def no_copy_is_not_copied(scene: Scene) -> None:
    scene.needs("urn:xmpp:carbons:2")
    romeo = await scene.online("romeo")
    first, second = await scene.online("juliet", label="juliet 1"), await scene.online("juliet", label="juliet 2")
    await second.ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    token = secrets.token_hex(8)
    await romeo.send(f"<message to={quoteattr(first.jid)} type='chat' id='{token}'>{BODY}{NO_COPY}</message>")
    await first.expect("c:message", id=token)
    await scene.settle(romeo, second)
    second.refuse("c:message", where=carried("received", token), why="a message with no-copy was copied")


@check("5", MUST, "Hints are delivered with the message, like anything that is not the server's.")
async def hints_are_delivered(scene: Scene) -> None:
    for hint in (NO_STORE, STORE):
        await passing.arrives(scene, hint)
