"""`python -m codec.train [--out FOLDER/NAME] [CORPUS…]`: make a dictionary, from files or, without any, from our own stanzas.

A CORPUS holds JSON lines {"category", "dir", "session", "xml"}, and such of the category "_ctx" whose "xml" is the session's own JID.
The same corpora make the same bytes. A site's own dictionary is for its own clients: they must have the two files, too.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from codec.jid import JID
from codec.train.letters import letter_tables
from codec.train.stanzas import Generator
from codec.train.training import samples_of, train
from codec.train.world import FAMILIES, NAMES, SERVERS

USERS = 24
NAMES_FILE = Path(__file__).parent / "names.txt"
"""Elements and attributes of the XMPP extension protocols, by namespace."""


def own_lines(users: int) -> Iterator[tuple[int, JID | None, str]]:
    """Give what our own generator makes for so many users."""
    for seed in range(users):
        world = Generator(seed)
        for _, _, xml in world.lines():
            yield seed, JID.parse(world.me), xml


def corpus_lines(paths: list[Path]) -> Iterator[tuple[int, JID | None, str]]:
    """Give the lines of files."""
    for number, path in enumerate(paths):
        owns: dict[object, JID] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            session = row.get("session", 0)
            if row.get("category") == "_ctx":
                owns[session] = JID.parse(row["xml"])
            else:
                key = int.from_bytes(hashlib.sha256(f"{number} {session}".encode()).digest()[:6], "big")
                yield key, owns.get(session), row["xml"]


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="python -m codec.train", description=__doc__)
    parser.add_argument("corpus", nargs="*", type=Path)
    parser.add_argument(
        "--out", type=Path, default=Path("dictionary"), help="path of the two files, without .json and .zstd"
    )
    parser.add_argument("--users", type=int, default=USERS, help="of our own generator, when there is no CORPUS")
    options = parser.parse_args()
    private: frozenset[str] = frozenset()
    if options.corpus:
        samples = samples_of(corpus_lines(options.corpus))
    else:
        samples = samples_of(own_lines(options.users))
        private = frozenset(word.lower() for word in (*NAMES, *FAMILIES, *SERVERS))
    tables, zstd = train(samples, private, letter_tables(), NAMES_FILE.read_text(encoding="utf-8").splitlines())
    options.out.with_suffix(".json").write_bytes(tables)
    options.out.with_suffix(".zstd").write_bytes(zstd)
    print(f"{options.out}: {len(samples)} stanzas, tables {len(tables)}, zstd {len(zstd)} bytes", end=", ")
    print(f"id {hashlib.sha256(tables + zstd).digest()[:8].hex()}")


if __name__ == "__main__":
    main()
