"""Short texts in fewer bits: a prefix code in which the letter before decides how long a letter is.

A chat message is too short for zstd, whose block alone costs eight bytes; most of what people write goes in half its size here. There
is one table for each script, in the dictionary. Every string of bits means some text of the table's letters, so a reader need not
decode what it passes on, and nothing that a peer sends can be wrong.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

MAX_CODED_BYTES = 1_024
MAX_CHARS = 1_500
END = "\uffff"
"""What no text holds, and sorts last: its code is all ones, and the beginning of it fills up the last byte."""

MAX_BITS = 15
_FIRST_BITS = 8


class Letters:
    """One table.

    Args:
        data: "alphabet": the letters, in order; "lengths": for the beginning of a text and then for each letter, how many bits each
            letter has behind it, as one hexadecimal digit for each, the last for the end; "" where it is as at the beginning.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        alphabet: str = data["alphabet"]
        self.covers = re.compile(f"[{re.escape(alphabet)}]+").fullmatch
        rows: list[str] = data["lengths"]
        first = _codes(alphabet, rows[0])
        self._codes = {
            letter: first if not row else _codes(alphabet, row)
            for letter, row in zip(["", *alphabet], rows, strict=True)
        }
        self._decoding: dict[str, dict[str, tuple[str, int]]] = {}

    def pack(self, text: str) -> bytes | None:
        """Return a text's bits, the last byte filled with ones; None when it holds other letters or is too long."""
        if len(text) > MAX_CHARS:
            return None
        codes = self._codes
        try:
            bits = codes[""][text[0]] + "".join([codes[a][b] for a, b in pairwise(text)])
        except KeyError:
            return None
        size = (len(bits) + 7) // 8
        return int(bits.ljust(size * 8, "1"), 2).to_bytes(size, "big") if size <= MAX_CODED_BYTES else None

    def unpack(self, data: bytes) -> str:
        """Return the text that bits stand for; it ends where they do, or at the code for the end."""
        bits = f"{int.from_bytes(data, 'big'):0{len(data) * 8}b}"
        out = []
        at, end, before = 0, len(bits), ""
        while at < end:
            table = self._decoding.get(before) or self._table(before)
            found = table.get(bits[at : at + _FIRST_BITS])
            if found is None:
                found = self._long(table, bits, at)
            letter, size = found
            at += size
            if at > end or letter == END:
                break
            out.append(letter)
            before = letter
        return "".join(out)

    def _table(self, before: str) -> dict[str, tuple[str, int]]:
        table: dict[str, tuple[str, int]] = {}
        for letter, code in self._codes[before].items():
            size = len(code)
            if size >= _FIRST_BITS:
                table[code] = letter, size
                continue
            for rest in range(1 << _FIRST_BITS - size):
                table[f"{code}{rest:0{_FIRST_BITS - size}b}"] = letter, size
        self._decoding[before] = table
        return table

    def _long(self, table: dict[str, tuple[str, int]], bits: str, at: int) -> tuple[str, int]:
        if at + _FIRST_BITS > len(bits):
            padded = bits[at:].ljust(MAX_BITS, "1")
            return table.get(padded[:_FIRST_BITS]) or self._long(table, padded, 0)
        for size in range(_FIRST_BITS + 1, MAX_BITS + 1):
            found = table.get(bits[at : at + size])
            if found is not None:
                return found
        return END, 0


def _codes(alphabet: str, lengths: str) -> dict[str, str]:
    """Return the canonical code: shorter codes first, among equals in the order of the alphabet, END last of all."""
    order = sorted((int(digit, 16), index) for index, digit in enumerate(lengths))
    letters = alphabet + END
    codes: dict[str, str] = {}
    code = before = 0
    for size, index in order:
        code <<= size - before
        codes[letters[index]] = f"{code:0{size}b}"
        code, before = code + 1, size
    return codes


def code_lengths(weights: Mapping[str, float]) -> dict[str, int]:
    """Return the bits of each letter in a prefix code of at most `MAX_BITS` bits (Huffman's, with small weights raised)."""
    weights = dict(weights)
    while True:
        heap: list[tuple[float, int, tuple[str, ...]]] = [
            (weight, index, (letter,)) for index, (letter, weight) in enumerate(sorted(weights.items()))
        ]
        heapq.heapify(heap)
        lengths = dict.fromkeys(weights, 0)
        count = len(heap)
        while len(heap) > 1:
            first, second = heapq.heappop(heap), heapq.heappop(heap)
            for letter in first[2] + second[2]:
                lengths[letter] += 1
            count += 1
            heapq.heappush(heap, (first[0] + second[0], count, first[2] + second[2]))
        if max(lengths.values()) <= MAX_BITS:
            return lengths
        floor = sum(weights.values()) / (1 << MAX_BITS)
        weights = {letter: weight + floor for letter, weight in weights.items()}
