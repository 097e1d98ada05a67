"""Letter tables (`codec/binary_letters.py`) from our own phrases: how often which letter follows which."""

from collections import defaultdict
from typing import Any

from codec.binary_letters import END, code_lengths
from codec.train.phrases import SHORT, phrases

SCRIPTS = (
    ("english", "german", "spanish", "french", "portuguese", "italian", "turkish", "indonesian", "dutch"),
    ("russian", "ukrainian"),
    ("persian",),
    ("hindi",),
)
EMOJI = "👍😂❤️🙏😅👌🎉😢🤔😀🙈🔥😊😍🥰😎😉😭👋💪🤣"
FLOOR = 0.02
MIXED_IN = 10.0
"""How much what follows any letter counts beside what follows this one: our phrases are too few to know each pair."""

LOWER_WEIGHT = 0.3
MIN_SEEN = 1.0


def letter_tables() -> list[dict[str, Any]]:
    """Return one table for each script."""
    every = phrases()
    tables = []
    for index, languages in enumerate(SCRIPTS):
        weighted = [(text, every[name][0] / len(every[name][1])) for name in languages for text in every[name][1]]
        if index == 0:
            weighted += [(text, 0.5) for text in SHORT if text.isascii()]
        tables.append(_table(weighted))
    return tables


def _table(weighted: list[tuple[str, float]]) -> dict[str, Any]:
    alphabet = {letter for text, _ in weighted for letter in text} | set(map(chr, range(32, 127))) | set("\n" + EMOJI)
    alone = dict.fromkeys(alphabet, FLOOR)
    after: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for text, weight in weighted:
        for variant, share in ((text, weight), (text.lower(), weight * LOWER_WEIGHT)):
            before = ""
            for letter in variant:
                if letter in alphabet:
                    alone[letter] += share
                    after[before][letter] = after[before].get(letter, 0.0) + share
                    before = letter
    ordered = "".join(sorted(alphabet))
    total = sum(alone.values())
    common = _lengths(alone, ordered)
    rows = []
    for before in ["", *ordered]:
        seen = after[before]
        if before and sum(seen.values()) < MIN_SEEN:
            rows.append("")
            continue
        rows.append(
            _lengths({letter: seen.get(letter, 0.0) + MIXED_IN * alone[letter] / total for letter in ordered}, ordered)
        )
    return {"alphabet": ordered, "lengths": rows} if rows[0] else {"alphabet": ordered, "lengths": [common, *rows[1:]]}


def _lengths(weights: dict[str, float], ordered: str) -> str:
    total = sum(weights.values())
    lengths = code_lengths({**weights, END: total * 1e-6})
    longest = max(lengths, key=lambda letter: (lengths[letter], letter))
    lengths[END], lengths[longest] = lengths[longest], lengths[END]  # its code must be all ones
    return "".join(f"{lengths[letter]:x}" for letter in ordered + END)
