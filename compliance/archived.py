"""Whether a message with some payload gets into an account's archive; used by suites of other documents."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.client import Client
from compliance.names import Element
from compliance.scene import Scene
from compliance.suite.xep_0313 import NS, page_of


async def archived_message(scene: Scene, inner: str, *, type_: str = "chat") -> Element | None:
    """Have romeo send juliet a message around `inner`, and return it as her archive has it, or None.

    A message with a body is sent after it and looked for first: once that one is there, the other either is
    there too or never will be. Not possible without XEP-0313.
    """
    scene.needs(NS)
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token, after = secrets.token_hex(8), secrets.token_hex(8)
    to = quoteattr(juliet.jid)
    await romeo.send(f"<message to={to} type='{type_}' id='{token}'>{inner}</message>")
    await romeo.send(f"<message to={to} type='chat' id='{after}'><body>{after}</body></message>")
    await juliet.expect("c:message", id=after)
    await juliet.roundtrip()
    newest = await _newest(juliet, romeo.bare, after)
    return next((message for message in newest if message.get("id") == token), None)


async def _newest(client: Client, contact: str, until: str) -> list[Element]:
    messages: list[Element] = []
    for _ in range(20):  # storing may lag behind delivery; each query is a wait of its own
        messages = (await page_of(client, {"with": contact}, rsm="<max>5</max><before/>")).messages
        if any(message.get("id") == until for message in messages):
            break
    return messages
