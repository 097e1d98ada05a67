"""Which domains are talked to, and on which terms."""

from typing import Any

import pytest

from xmppd.config import PeerConfig, S2SConfig
from xmppd.s2s.policy import Policy


def policy(**settings: Any) -> Policy:
    return Policy(S2SConfig(**settings))


@pytest.mark.parametrize(
    ("allow", "block", "domain", "is_allowed"),
    [
        ((), (), "a.example", True),
        ((), ("bad.example",), "a.example", True),
        ((), ("bad.example",), "bad.example", False),
        ((), ("bad.example",), "conference.bad.example", False),
        ((), ("bad.example",), "notbad.example", True),
        (("good.example",), (), "good.example", True),
        (("good.example",), (), "conference.good.example", True),
        (("good.example",), (), "a.example", False),
        (("example",), ("bad.example",), "bad.example", False),
    ],
)
def test_blocked_domains_and_those_below_are_not_talked_to_nor_any_other_where_some_are_allowed(
    allow: tuple[str, ...], block: tuple[str, ...], domain: str, is_allowed: bool
) -> None:
    assert policy(allow=allow, block=block).allows(domain) is is_allowed


def test_terms_are_those_of_all_but_for_what_the_nearest_domain_has_of_its_own() -> None:
    found = policy(
        authentication="certificate",
        domains={
            "example": PeerConfig(require_tls=False, pins=("AB:CD",)),
            "a.example": PeerConfig(authentication="dialback", stanzas_per_s=0),
        },
    )
    for domain in ("elsewhere.test", "b.example", "a.example", "conference.a.example"):
        terms = found.terms(domain)
        own = domain.endswith("a.example")
        assert (terms.takes_certificate, terms.takes_dialback) == (not own, own)
        assert terms.requires_tls is (domain != "b.example")
        assert terms.pins == (("abcd",) if domain == "b.example" else ())
        assert terms.stanzas_per_s == (0 if own else 2_000)


def test_other_settings_count_at_once() -> None:
    found = policy(block=("a.example",))
    assert not found.allows("a.example") and found.terms("a.example").takes_dialback
    found.replace(S2SConfig(authentication="certificate"))
    assert found.allows("a.example") and not found.terms("a.example").takes_dialback
