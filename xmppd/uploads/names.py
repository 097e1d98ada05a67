"""Names and types of files as their senders give them, made harmless.

A file is kept under a key that we make: random letters, and an ending from `TYPES`. The ending alone decides as what the file is
given out, so reading one asks no database, and nobody can have a page or a script shown under our name.
"""

import re
import unicodedata
from typing import NamedTuple

MAX_NAME_BYTES = 180
"""Percent-encoded it is three times as long, and still fits the 1,000 characters that some clients take for a URL."""

MAX_ENDING_BYTES = 12
PLAIN = "application/octet-stream"
OTHER = "bin"

KEY_PATTERN = r"[A-Za-z0-9_-]{32}\.[a-z0-9]{2,4}"
is_key = re.compile(KEY_PATTERN).fullmatch
_is_type = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}").fullmatch


class Kind(NamedTuple):
    """What an ending stands for; `is_shown`: a browser may show it, for it can run nothing."""

    type: str
    is_shown: bool = True


TYPES = {
    "jpg": Kind("image/jpeg"),
    "png": Kind("image/png"),
    "gif": Kind("image/gif"),
    "webp": Kind("image/webp"),
    "avif": Kind("image/avif"),
    "heic": Kind("image/heic"),
    "jxl": Kind("image/jxl"),
    "apng": Kind("image/apng"),
    "mp3": Kind("audio/mpeg"),
    "oga": Kind("audio/ogg"),
    "opus": Kind("audio/opus"),
    "m4a": Kind("audio/mp4"),
    "aac": Kind("audio/aac"),
    "flac": Kind("audio/flac"),
    "wav": Kind("audio/wav"),
    "weba": Kind("audio/webm"),
    "mp4": Kind("video/mp4"),
    "webm": Kind("video/webm"),
    "ogv": Kind("video/ogg"),
    "mov": Kind("video/quicktime"),
    "mkv": Kind("video/x-matroska"),
    "3gp": Kind("video/3gpp"),
    "pdf": Kind("application/pdf", is_shown=False),
    "txt": Kind("text/plain", is_shown=False),
    "zip": Kind("application/zip", is_shown=False),
    OTHER: Kind(PLAIN, is_shown=False),
}
"""SVG is not among them: it runs scripts."""

_ALIASES = {"jpeg": "jpg", "ogg": "oga", "m4v": "mp4", "wave": "wav"}


def safe_name(name: str) -> str:
    """Return a file name that is harmless in a path, a URL, a header and to the eye; never empty, at most `MAX_NAME_BYTES`.

    Folders are dropped, as are characters that control anything (NUL, line ends, those that turn the direction of writing) and
    dots in front. A long name loses its middle, not its ending.
    """
    last = re.split(r"[/\\]", name[-4_000:])[-1]
    # Cc, Cf, Cs, Co, Cn: nothing that can be seen; Zl, Zp: line ends
    seen = "".join(c for c in last if unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp"))
    text = unicodedata.normalize("NFC", seen).strip().lstrip(".").strip()
    if len(text.encode()) > MAX_NAME_BYTES:
        stem, dot, ending = text.rpartition(".")
        if not dot or len(ending.encode()) > MAX_ENDING_BYTES:
            stem, ending = text, ""
        room = MAX_NAME_BYTES - len(f"{dot if ending else ''}{ending}".encode())
        text = stem.encode()[:room].decode(errors="ignore") + (f".{ending}" if ending else "")
    return text or "file"


def media_type(text: str) -> str:
    """Return a media type without its parameters, in small letters; "" when it is none."""
    found = text.partition(";")[0].strip().lower()
    return found if _is_type(found) else ""


def ending_of(type_: str, name: str) -> str:
    """Return the ending of the key of a file: by its type, else (no type was given) by that of its name."""
    if type_:
        return next((ending for ending, kind in TYPES.items() if kind.type == type_), OTHER)
    ending = name.rpartition(".")[2].lower()
    ending = _ALIASES.get(ending, ending)
    return ending if ending in TYPES else OTHER


def kind_of(key: str) -> Kind:
    """Return as what the file of a key is given out."""
    return TYPES.get(key.rpartition(".")[2], TYPES[OTHER])
