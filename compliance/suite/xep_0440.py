"""XEP-0440: SASL Channel-Binding Type Capability."""

from __future__ import annotations

from compliance.check import MUST, NotPossible, checks_of, require
from compliance.names import PREFIXES
from compliance.sasl import HASHES
from compliance.scene import Scene

check = checks_of("XEP-0440")
FEATURE = f"{{{PREFIXES['cb']}}}sasl-channel-binding"


@check("2", MUST, "The feature names one type of channel binding at least.")
async def types_are_announced(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    client = scene.client()
    await client.start()
    require(client.bindings(), "the feature names no type of channel binding")
    require(all(client.bindings()), "a <channel-binding/> has no type")


@check("3", MUST, "tls-server-end-point is among the types.")
async def server_end_point_is_announced(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    client = scene.client()
    await client.start()
    require("tls-server-end-point" in client.bindings(), f"the types are {client.bindings()}")


@check("3", MUST, "A login bound by tls-server-end-point succeeds, with each mechanism that is offered for it.")
async def server_end_point_login_works(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    known = [f"{name}-PLUS" for name in HASHES if f"{name}-PLUS" in scene.profile.mechanisms]
    if not known:
        raise NotPossible("no mechanism with channel binding is offered")
    for mechanism in known:
        client = scene.client(label=f"romeo {mechanism}")
        await client.start()
        require("tls-server-end-point" in client.bindings(), f"the types are {client.bindings()}")
        await client.enter(mechanism=mechanism)


@check("3", MUST, "The types go with mechanisms that use them: where there are types, there is a -PLUS mechanism.")
async def types_come_with_mechanisms(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    plus = [name for name in scene.profile.mechanisms if name.endswith("-PLUS")]
    require(plus, f"types of channel binding are announced, and the mechanisms are {scene.profile.mechanisms}")
