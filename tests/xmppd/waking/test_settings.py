"""Rules that clients keep with bookmarks (XEP-0492)."""

import pytest

from codec.element import parse_element
from xmppd.waking.settings import mode_of_bookmark

NS = "urn:xmpp:notification-settings:1"


def bookmark(inner: str):
    return parse_element(f"<conference xmlns='urn:xmpp:bookmarks:1'>{inner}</conference>".encode())


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<never/>", "never"),
        ("<on-mention/>", "on-mention"),
        ("<always/>", "always"),
        ("", None),
        ("<sometimes/>", None),
        ("<never identity-category='client' identity-type='pc'/><always/>", "always"),
        ("<never identity-category='client' identity-type='phone'/><always/>", "never"),
        ("<on-mention identity-category='client'/><always/>", "on-mention"),
        ("<always><advanced><x xmlns='custom'/></advanced></always>", "always"),
    ],
)
def test_the_most_specific_rule_for_a_phone_counts(inner, expected):
    notify = f"<extensions><notify xmlns='{NS}'>{inner}</notify></extensions>"
    assert mode_of_bookmark(bookmark(notify)) == expected


def test_a_bookmark_without_rules_has_none():
    assert mode_of_bookmark(bookmark("")) is None
    assert mode_of_bookmark(bookmark("<extensions/>")) is None
