"""JSON that has to fit: texts are cut, the rest is not."""

import json
from typing import Any


def fit(whole: object, texts: dict[str, str], limit: int) -> bytes | None:
    """Return a JSON value as UTF-8 in `limit` bytes, None when it is bigger even without its texts.

    Args:
        whole: the value. texts: a part of it whose "body" and then "title" are cut (in place) until all fits.
        limit: bytes.
    """
    for part in ("body", "title"):
        data = dump(whole)
        if len(data) > limit and part in texts:
            texts[part] = shorten(texts[part], len(data) - limit)
    data = dump(whole)
    return data if len(data) <= limit else None


def shorten(text: str, excess: int) -> str:
    """Return the beginning of a text so that its JSON has at least `excess` bytes less; one character stays."""
    saved, kept = -3, len(text)  # the ellipsis takes three
    while kept > 1 and saved < excess:
        kept -= 1
        saved += len(json.dumps(text[kept], ensure_ascii=False).encode("utf-8", "replace")) - 2
    return text[:kept] + "…"


def dump(value: object) -> bytes:
    """Return a value as JSON without spaces; half surrogates become "?"."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def json_of(body: bytes) -> dict[str, Any]:
    """Return a JSON object that a peer sent, an empty one for everything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
