"""XEP-0484: Fast Authentication Streamlining Tokens."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, text
from compliance.sasl2 import (
    FAST_BINDINGS,
    NS,
    hashed_token,
    log_in,
    mechanisms,
    needs_inline,
    new_agent,
    start,
    try_password,
    try_token,
)
from compliance.scene import Scene

check = checks_of("XEP-0484")
FAST = PREFIXES["fast"]


def _offered(client: Client) -> list[str]:
    return [(el.text or "").strip() for el in needs_inline(client, "fast:fast/fast:mechanism")]


async def _start(scene: Scene, label: str = "") -> tuple[Client, str]:
    """Return a client before login, and the FAST mechanism that is tested: one with channel binding if it can be had."""
    client = await start(scene, label=label)
    needs_inline(client, "fast:fast")
    known = [name for name in reversed(FAST_BINDINGS) if name in _offered(client)]
    if client.tls is None:
        known = [name for name in known if not FAST_BINDINGS[name]]
    if not known:
        raise NotPossible(f"none of {_offered(client)} is known here")
    return client, known[0]


def _wish(mechanism: str) -> str:
    return f"<request-token xmlns='{FAST}' mechanism='{mechanism}'/>"


async def _token(scene: Scene, agent: str) -> tuple[str, str]:
    """Return a new token for an installation, and its mechanism."""
    client, mechanism = await _start(scene, "romeo asking")
    token = _of(await log_in(client, _wish(mechanism), agent))
    await client.close()
    return token, mechanism


def _of(answer: Element) -> str:
    token = find(answer, "fast:token")
    if token is None or not token.get("token"):
        raise Failed("<success/> has no <token/> with a token")
    return token.get("token", "")


async def _try(
    scene: Scene, mechanism: str, token: str, agent: str, *, attributes: str = "", inner: str = ""
) -> Element:
    client, _ = await _start(scene, "romeo with a token")
    answer = await try_token(client, mechanism, token, inner, agent, attributes=attributes)
    await client.close()
    return answer


def _require_success(answer: Element, why: str) -> None:
    require(answer.tag == f"{{{NS}}}success", f"{why}: {condition(answer)}")


def _require_failure(answer: Element, why: str) -> None:
    require(answer.tag == f"{{{NS}}}failure", why)


@check("3.1", MUST, "Where it is offered, a mechanism is offered with it.")
async def mechanism_is_offered(scene: Scene) -> None:
    client = await start(scene)
    needs_inline(client, "fast:fast")
    require(_offered(client), "<fast/> has no <mechanism/>")


@check("3.1", SHOULD, "There are mechanisms with channel binding and without.")
async def both_kinds_are_offered(scene: Scene) -> None:
    client, _ = await _start(scene)
    names = _offered(client)
    require(any(name.endswith("-NONE") for name in names), f"none without channel binding: {names}")
    require(any(not name.endswith("-NONE") for name in names), f"none with channel binding: {names}")


@check("3.3", MUST, "A token comes with <success/> when it is asked for, and says when it ends.")
async def token_has_its_attributes(scene: Scene) -> None:
    client, mechanism = await _start(scene)
    token = find(await log_in(client, _wish(mechanism), new_agent()), "fast:token")
    require(token is not None and token.get("token"), "<success/> has no <token/> with a token")
    assert token is not None
    expiry = datetime.fromisoformat(token.get("expiry", ""))
    require(expiry.tzinfo is not None and expiry > datetime.now(UTC), f"it ends at {token.get('expiry')}")


@check("3.3", MUST, "Nobody gets a token without logging in.")
async def failed_login_gives_no_token(scene: Scene) -> None:
    client, mechanism = await _start(scene)
    failure = await try_password(client, _wish(mechanism), new_agent(), password="certainly not the password")
    require(condition(failure) is not None and find(failure, "fast:token") is None, "a failed login got a token")


@check("3.1", MUST, "A token logs in within one round trip, and the server shows that it knows it too.")
async def token_logs_in(scene: Scene) -> None:
    agent = new_agent()
    token, mechanism = await _token(scene, agent)
    client, _ = await _start(scene, "romeo with a token")
    answer = await try_token(client, mechanism, token, f"<bind xmlns='{PREFIXES['bind2']}'/>", agent)
    _require_success(answer, "the token was refused")
    proof = base64.b64decode(text(answer, "sasl2:additional-data") or "")
    require_equal(proof, hashed_token(client, mechanism, token, b"Responder"), "the server's proof")


@check("3.4", MUST, "A token is good for the mechanism that it was asked for alone.")
async def token_is_bound_to_its_mechanism(scene: Scene) -> None:
    agent = new_agent()
    token, mechanism = await _token(scene, agent)
    client, _ = await _start(scene)
    others = [name for name in _offered(client) if name in FAST_BINDINGS and name != mechanism]
    if not others:
        raise NotPossible(f"there is but one mechanism that is known here, {mechanism}")
    _require_failure(await try_token(client, others[0], token, "", agent), f"it was good for {others[0]}")


@check("4.1", MUST, "A token belongs to one installation.")
async def token_is_bound_to_its_installation(scene: Scene) -> None:
    token, mechanism = await _token(scene, new_agent())
    _require_failure(await _try(scene, mechanism, token, new_agent()), "another installation could use it")


@check("3.4", MUST, "A wrong token fails, and the password still works on the same stream.")
async def wrong_token_fails(scene: Scene) -> None:
    agent = new_agent()
    _, mechanism = await _token(scene, agent)
    client, _ = await _start(scene)
    _require_failure(await try_token(client, mechanism, "not the token", "", agent), "a wrong token was taken")
    await log_in(client, "", agent)


@check("3.5", MUST, "A token goes on until the next one is used, and is void then.")
async def rotation_waits_for_use(scene: Scene) -> None:
    agent = new_agent()
    old, mechanism = await _token(scene, agent)
    new = _of(await _try(scene, mechanism, old, agent, inner=_wish(mechanism)))
    _require_success(await _try(scene, mechanism, old, agent), "the old token was void before the new one was used")
    _require_success(await _try(scene, mechanism, new, agent), "the new token was refused")
    _require_failure(await _try(scene, mechanism, old, agent), "the old token was good after the new one was used")


@check("3.5", SHOULD, "A token that was given out and never used is void once another is given.")
async def unused_token_gives_way(scene: Scene) -> None:
    agent = new_agent()
    first, mechanism = await _token(scene, agent)
    second, _ = await _token(scene, agent)
    _require_failure(await _try(scene, mechanism, first, agent), "it is still good")
    _require_success(await _try(scene, mechanism, second, agent), "the later token was refused")


@check("3.6", MUST, "A client can end its token, and gets no other for that.")
async def token_can_be_ended(scene: Scene) -> None:
    agent = new_agent()
    token, mechanism = await _token(scene, agent)
    answer = await _try(scene, mechanism, token, agent, attributes=" invalidate='true'")
    _require_success(answer, "the login that ends the token failed")
    require(find(answer, "fast:token") is None, "another token was given")
    _require_failure(await _try(scene, mechanism, token, agent), "the token is still good")


@check("3.4", MUST, "A count that was used before is refused.")
async def count_must_rise(scene: Scene) -> None:
    agent = new_agent()
    token, mechanism = await _token(scene, agent)
    client, _ = await _start(scene)
    if needs_inline(client, "fast:fast")[0].get("tls-0rtt") not in ("true", "1"):
        raise NotPossible("the server takes no early data, where alone the count is needed")
    _require_success(await _try(scene, mechanism, token, agent, attributes=" count='2'"), "the first login failed")
    _require_failure(await _try(scene, mechanism, token, agent, attributes=" count='2'"), "the count was taken twice")


@check("3.1", MUST, "The mechanisms for tokens stand within <fast/>, not among those for passwords.")
async def mechanisms_stand_apart(scene: Scene) -> None:
    client, _ = await _start(scene)
    both = set(_offered(client)) & {*mechanisms(client), *client.mechanisms()}
    require(not both, f"{sorted(both)} are offered for passwords too")
