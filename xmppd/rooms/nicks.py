"""Nicknames: how they are written, and when two look or count as the same (RFC 8266, XEP-0045 §13.5).

Two nicknames collide when they are equal without regard to letter case (RFC 8266 §2.4), or when people would take one for the other:
letters of other alphabets that look like Latin ones, and digits that look like letters, count as what they look like.
"""

import functools
from typing import Any

from precis_i18n import get_profile

from xmppd.errors import StanzaError
from xmppd.rooms.limits import MAX_NICK_CHARS

CACHED = 8_192
"""Nicknames whose preparation, some 50 µs each, is remembered: about 2 MB."""

# Cyrillic, Greek, Armenian, Cherokee and Latin letters from elsewhere, digits and signs; below, in the same order, what they look like.
_LOOKS = str.maketrans(
    "авеѕіјкмнорсԁтухһӏьѵԛԝАВЕЅІЈКМНОРСТУХҺӀЬ"
    "αινορτυχγκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
    "օսհոցյքɑɡıοᎪᏴᏟᎬᎻᎫᏦᏞᎷᏢᎡᏚᎢᏙᏃ"
    "01I|\u2010\u2011\u2013\u2014\u2019",
    "aBeSijkMHopcdTyxhlbvqwABESIJKMHOPCTYXhIbaivopTuxykABEZHIKMNOPTYXouhngjqagioABCEHJKLMPRSTVZOlll----'",
)


@functools.cache
def _profile(name: str) -> Any:
    return get_profile(name)


@functools.lru_cache(maxsize=CACHED)
def prepare(text: str) -> str:
    """Return a nickname as a room shows it: white space trimmed and single (RFC 8266 §2.3).

    Raises:
        StanzaError: jid-malformed: nothing is left, or a character that a nickname must not hold; policy-violation: too long.
    """
    if len(text) > MAX_NICK_CHARS:
        raise StanzaError("policy-violation", text=f"A nickname has at most {MAX_NICK_CHARS} characters.")
    try:
        prepared: str = _profile("NicknameCasePreserved").enforce(text)
    except UnicodeEncodeError as error:
        raise StanzaError("jid-malformed", text=f"That is no nickname: {error.reason}") from error
    if not prepared:
        raise StanzaError("jid-malformed", text="A nickname is needed.")
    return prepared


@functools.lru_cache(maxsize=CACHED)
def keys_of(nick: str) -> tuple[str, ...]:
    """Return what a prepared nickname is compared by; two nicknames that share one of these must not stand in one room."""
    try:
        mapped: str = _profile("NicknameCaseMapped").enforce(nick)
    except UnicodeEncodeError:
        mapped = nick.lower()
    looks = nick.translate(_LOOKS).replace("rn", "m").replace("vv", "w").lower()
    return (mapped,) if looks == mapped else (mapped, looks)
