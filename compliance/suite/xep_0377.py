"""XEP-0377: Spam Reporting."""

from __future__ import annotations

from compliance.check import MUST, checks_of, require
from compliance.names import PREFIXES, find_all
from compliance.scene import Scene

check = checks_of("XEP-0377")
NS = PREFIXES["reporting"]
SOMEBODY = "somebody@spam.invalid"


async def _blocks_with(scene: Scene, reason: str) -> None:
    scene.needs(NS, PREFIXES["blocking"])
    client = await scene.login("romeo")
    scene.at_the_end(lambda: client.iq("set", f"<unblock xmlns='{PREFIXES['blocking']}'/>"))
    report = f"<report xmlns='{NS}' reason='{reason}'><text xml:lang='en'>a check</text></report>"
    await client.ask("set", f"<block xmlns='{PREFIXES['blocking']}'><item jid='{SOMEBODY}'>{report}</item></block>")
    reply = await client.ask("get", f"<blocklist xmlns='{PREFIXES['blocking']}'/>")
    items = find_all(reply, "blocking:blocklist/blocking:item")
    require(any(item.get("jid") == SOMEBODY for item in items), "the JID is not blocked")
    require(all(len(item) == 0 for item in items), "the list shows more than JIDs")


@check("3", MUST, "The feature is listed.")
async def feature_is_listed(scene: Scene) -> None:
    scene.needs(NS)


@check("6", MUST, "A block with a report blocks as one without.")
async def report_blocks(scene: Scene) -> None:
    await _blocks_with(scene, "urn:xmpp:reporting:spam")


@check("6", MUST, "A block with a report of an unknown reason blocks too.")
async def unknown_reason_blocks(scene: Scene) -> None:
    await _blocks_with(scene, "urn:example:reporting:because")
