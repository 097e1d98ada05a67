"""XEP-0492: the rule that a client keeps with a conversation's bookmark (XEP-0402)."""

from codec.element import Element
from xmppd.waking.registrations import Mode

NS = "urn:xmpp:notification-settings"
VERSIONS = (f"{NS}:1", f"{NS}:0")
EXTENSIONS = "urn:xmpp:bookmarks:1 extensions"
RULES: tuple[Mode, ...] = ("never", "on-mention", "always")
IDENTITIES = (("client", "phone"), ("client", None), (None, None))
"""Whom we wake is a phone: the most specific rule that is for one counts (§4)."""


def mode_of_bookmark(bookmark: Element) -> Mode | None:
    """Return the rule in a bookmark, None when there is none."""
    extensions = bookmark.find(EXTENSIONS)
    if extensions is None:
        return None
    for ns in VERSIONS:
        notify = extensions.find(f"{ns} notify")
        if notify is not None:
            return _mode(notify, ns)
    return None


def _mode(notify: Element, ns: str) -> Mode | None:
    for category, type_ in IDENTITIES:
        for mode in RULES:
            for element in notify.find_all(f"{ns} {mode}"):
                if (element.get("identity-category"), element.get("identity-type")) == (category, type_):
                    return mode
    return None
