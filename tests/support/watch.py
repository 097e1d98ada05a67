"""What people publish, seen by slixmpp: a client that says what it wants to know of, and what it is told."""

import asyncio
from typing import Any

from tests.support.person import TIMEOUT_S, Person

PLUGINS = ("xep_0004", "xep_0060", "xep_0115", "xep_0163")
"""What a person needs for all of this."""


class Watch:
    """The events of publish-subscribe that one person's client is told: (node, ids of items)."""

    def __init__(self, person: Person) -> None:
        self._told: asyncio.Queue[tuple[str, list[str], str]] = asyncio.Queue()
        person.add_event_handler("pubsub_publish", self._take)
        person.add_event_handler("pubsub_retract", self._take)

    def _take(self, message: Any) -> None:
        items = message["pubsub_event"]["items"]
        # not by going through `items`: slixmpp is just doing that, and the two would share one place in it
        self._told.put_nowait((items["node"], [item.get("id") or "" for item in items.xml], message["from"].bare))

    async def wait(self, node: str) -> tuple[list[str], str]:
        """Return ids and sender of the next event of a node; those of others are passed over."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                found, ids, sender = await self._told.get()
                if found == node:
                    return ids, sender


async def wish(person: Person, *nodes: str) -> Watch:
    """Let a person who has logged in without presence be there, with a wish for some nodes; return what they are told."""
    watch = Watch(person)
    for node in nodes:
        await person.plugin["xep_0030"].add_feature(f"{node}+notify")
    await person.plugin["xep_0115"].update_caps()
    person.send_presence()
    return watch


def options_of(person: Person, **values: str) -> Any:
    """Return a form of publish-options."""
    form = person.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    for name, value in values.items():
        form.add_field(var=f"pubsub#{name}", value=value)
    return form
