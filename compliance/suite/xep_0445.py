"""XEP-0445: Pre-Authenticated In-Band Registration. Needs an administrator (--admin), who invites, and --register."""

from __future__ import annotations

import secrets

from compliance import invites
from compliance.check import MUST, SHOULD, NotPossible, checks_of, require_equal
from compliance.names import condition
from compliance.probe import register_request
from compliance.scene import Scene

check = checks_of("XEP-0445")


@check("3", MUST, "The feature is offered before login.")
async def feature_is_offered(scene: Scene) -> None:
    await invites.stranger(scene)


@check("4", SHOULD, "A wrong token is refused with item-not-found.")
async def wrong_token_is_refused(scene: Scene) -> None:
    client = await invites.stranger(scene)
    require_equal(condition(await invites.show(client, "certainly-no-token")), "item-not-found", "the condition")


@check("4", MUST, "A token is used up by the registration, not by being shown.")
async def token_is_used_by_registration_alone(scene: Scene) -> None:
    if not scene.world.may_register:
        raise NotPossible("the run may not register accounts (--register)")
    admin = await scene.admin()
    token = invites.token(await invites.create(admin, {"username": ""}))
    for _ in range(2):
        first = await invites.stranger(scene)
        require_equal((await invites.show(first, token)).get("type"), "result", "the answer to the token")
        first.abort()
    client = await invites.stranger(scene)
    await invites.show(client, token)
    taken = scene.jid("romeo").partition("@")[0]
    refused = await register_request(client, taken, secrets.token_urlsafe(18))
    require_equal(refused.get("type"), "error", "registering a name that is taken")
    await invites.register(scene, client)
    again = await invites.stranger(scene)
    require_equal((await invites.show(again, token)).get("type"), "error", "the answer to a token that was used")
