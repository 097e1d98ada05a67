"""XEP-0478: Stream Limits Advertisement."""

from codec.element import Element
from tests.modules.conftest import MakeWorld

LIMITS = "urn:xmpp:stream-limits:0 limits"


def told(features: Element | None) -> dict[str, str]:
    assert features is not None
    limits = features.find(LIMITS)
    assert limits is not None
    return {child.name: child.text for child in limits.elements()}


async def test_limits_are_those_of_the_settings_before_login_and_after_it(make_world: MakeWorld) -> None:
    settings = {
        "limits.stanza_bytes_before_login": 11_000,
        "limits.stanza_bytes": 300_000,
        "c2s.keepalive_s": 100,
        "c2s.keepalive_timeout_s": 20,
    }
    world = await make_world("xep_0478_limits", settings=settings)
    assert told(world.stranger().features) == {"max-bytes": "11000"}
    romeo = await world.login("romeo@example.org")
    assert told(romeo.features) == {"max-bytes": "300000", "idle-seconds": "120"}


async def test_clients_that_are_not_asked_for_signs_of_life_may_be_silent(make_world: MakeWorld) -> None:
    world = await make_world("xep_0478_limits", settings={"c2s.keepalive_s": 0})
    romeo = await world.login("romeo@example.org")
    assert told(romeo.features) == {"max-bytes": "262144"}
