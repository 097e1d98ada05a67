"""XEP-0050: Ad-Hoc Commands, as the server itself offers them."""

from __future__ import annotations

import secrets

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.commands import ADMIN, COMMANDS, execute, listed, request
from compliance.names import condition, find_all
from compliance.scene import Scene

check = checks_of("XEP-0050")


async def _operator(scene: Scene) -> tuple[Client, list[str]]:
    """Return one who may run commands, the administrator if there is one, and the commands' nodes."""
    scene.needs(COMMANDS)
    client = await scene.admin() if scene.world.admin else await scene.login("romeo")
    nodes = await listed(client)
    if not nodes:
        raise NotPossible("the server shows no command to this account (is --admin missing?)")
    return client, nodes


@check("2.2", MUST, "The list of commands is given as disco items of the server, each with its node.")
async def commands_are_listed(scene: Scene) -> None:
    _, nodes = await _operator(scene)
    require(all(nodes), "an item has no node")
    require_equal(len(nodes), len(set(nodes)), "the number of different nodes")


@check("2.2", MUST, "The disco info of a command's node says command-node.")
async def command_nodes_are_described(scene: Scene) -> None:
    client, nodes = await _operator(scene)
    query = f"<query xmlns='http://jabber.org/protocol/disco#info' node='{nodes[0]}'/>"
    reply = await client.ask("get", query, to=scene.domain)
    kinds = [(el.get("category"), el.get("type")) for el in find_all(reply, "disco:query/disco:identity")]
    require_in(("automation", "command-node"), tuple(kinds), "the identity automation/command-node")
    features = [el.get("var") for el in find_all(reply, "disco:query/disco:feature")]
    require(COMMANDS in features, f"the node does not list {COMMANDS}")


@check("2.4.2", MUST, "A command in stages has a session and a status; it can be cancelled.")
async def command_can_be_cancelled(scene: Scene) -> None:
    client, nodes = await _operator(scene)
    for node in nodes:
        stage = await execute(client, node)
        require_in(stage.status, ("executing", "completed"), f"the status of {node}")
        require_equal(stage.node, node, "the node of the answer")
        if stage.status == "executing":
            require(stage.session, f"{node} has no session")
            cancelled = await execute(client, node, action="cancel", session=stage.session)
            require_equal(cancelled.status, "canceled", "the status after cancelling")
            return
    raise NotPossible("no command has more than one stage")


@check("3.3", SHOULD, "Two runs of a command have different sessions.")
async def sessions_differ(scene: Scene) -> None:
    client, nodes = await _operator(scene)
    sessions = [(await execute(client, nodes[0])).session for _ in range(2)]
    require(sessions[0] != sessions[1], f"both runs have the session {sessions[0]!r}")


@check("4.4", MUST, "A command that does not exist is an error.")
async def unknown_command_is_an_error(scene: Scene) -> None:
    client, _ = await _operator(scene)
    reply = await request(client, f"no-such-command-{secrets.token_hex(4)}")
    require_equal(reply.get("type"), "error", "the type of the answer")


@check("4.4", SHOULD, "The error for a command that does not exist is item-not-found.")
async def unknown_command_is_item_not_found(scene: Scene) -> None:
    client, _ = await _operator(scene)
    reply = await request(client, f"no-such-command-{secrets.token_hex(4)}")
    require_equal(condition(reply), "item-not-found", "the condition")


@check("5", MUST, "One who is no administrator is neither shown administration commands nor allowed to run them.")
async def administration_is_closed(scene: Scene) -> None:
    scene.needs(COMMANDS)
    _, nodes = await _operator(scene)
    romeo = await scene.login("romeo")
    shown = [node for node in await listed(romeo) if node.startswith(ADMIN)]
    require(not shown, f"romeo, who is no administrator, is shown {shown}")
    for node in [node for node in nodes if node.startswith(ADMIN)]:
        reply = await request(romeo, node)
        require_equal(reply.get("type"), "error", f"the type of the answer for {node}")
        require_in(condition(reply), ("forbidden", "not-allowed", "item-not-found"), f"the condition for {node}")
