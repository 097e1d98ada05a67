"""Broken input for the binary reader: `python -m bench.fuzz_binary [--seconds N] [--seed N]`.

Frames of our own stanzas are damaged, cut, glued and made up; each must give events, all of them usable, in bounded time and memory.
Ends with 1 and prints the input when one does not. A case that never ends is ended by a timer, and counts as a hang.
"""

import argparse
import random
import resource
import signal
import sys
import time
import traceback

from codec.binary_cbor import Tree, blob, encode, integer, text
from codec.binary_dictionary import Dictionary, load_all
from codec.binary_features import SeenFeatures
from codec.binary_frames import FEATURES, frame, varint
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_tables import SeenTables, SentTables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.train.stanzas import Generator
from codec.xml_reader import USUAL_HEADERS, XmlReader

MAX_CASE_S = 2.0
HANG_S = 60
TOLD_EVERY_S = 300.0
LIMITS = ReaderLimits(stanza_bytes=65_536)


class Fuzzer:
    """Makes cases and runs them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.dictionaries = load_all()
        self.dictionary: Dictionary = next(iter(self.dictionaries.values()))
        self.own = JID.parse("juliet@example.org/balcony")
        self.stanzas = self._stanzas(seed)
        self.seen = SeenFeatures()
        self.seen.keep("example.org", b"", Element("http://etherx.jabber.org/streams features"))

    def _stanzas(self, seed: int) -> list[Stanza | Element]:
        found: list[Stanza | Element] = []
        for _, _, xml in Generator(seed).lines():
            events = XmlReader(LIMITS).feed(USUAL_HEADERS["jabber:client"] + xml.encode())[1:]
            found += [event for event in events if isinstance(event, Stanza | Element)]
        return found

    def session(self) -> Session:
        return Session("example.org", self.own)

    def valid(self, count: int) -> list[bytes]:
        """Return frames of a stream with tables."""
        writer = BinaryWriter(self.dictionary, self.session(), takes_tables=True)
        hashes = self.random.choice([(), (b"1234",), (b"1234", b"5678")])
        out = [writer.header(from_=None, id_="x", to="example.org", features=hashes)]
        writer.tables = SentTables()
        for item in self.random.choices(self.stanzas, k=count):
            out.append(writer.stanza(item) if isinstance(item, Stanza) else writer.element(item))
        return out

    def tree(self, depth: int) -> Tree:
        pick = self.random.random()
        if pick < 0.5 or depth == 0:
            return self.random.choice(
                [self.random.randrange(-200, 2_000), self.random.randrange(-30, 30), "x", "p:a", "", "urn:x"]
            )
        return [self.tree(depth - 1) for _ in range(self.random.randrange(6))]

    def made_up(self) -> bytes:
        """Return a frame whose parts are of the right sort, and nothing else about it need be."""
        pick = self.random
        body = integer(pick.choice([pick.randrange(300), -1 - pick.randrange(1 << 18)]))
        for _ in range(pick.randrange(8)):
            kind = pick.randrange(5)
            if kind == 0:
                body += integer(pick.randrange(-140, 1_600))
            elif kind == 1:
                body += text(pick.choice(["", "a@b/c", "hello", "a@", "\ufffe", "x" * 50]))
            elif kind == 2:
                body += blob(pick.randbytes(pick.choice([0, 1, 4, 7, 16, 20, 60])))
            else:
                body += b"\x20" + blob(b"".join(encode(self.tree(5)) for _ in range(pick.randrange(3))))
        flags = pick.choice([0, 0, 0, pick.randrange(16)])
        if flags & 7:
            packed = self.dictionary.compress(body * 3)
            if packed is not None and pick.random() < 0.8:
                body = varint(len(body)) + body + packed[1]
        if pick.random() < 0.05:
            return bytes((FEATURES << 4 | pick.randrange(6),))
        return frame(pick.choice([1, 1, 1, 6, 4, 5, 9, 11]), body, flags)

    def case(self) -> bytes:
        frames = self.valid(self.random.randrange(1, 6))
        kind = self.random.randrange(6)
        if kind == 0:
            frames.append(self.random.randbytes(self.random.randrange(200)))
        elif kind == 1:
            frames += [self.made_up() for _ in range(3)]
        elif kind == 2:
            self.random.shuffle(frames)
        data = bytearray(b"".join(frames))
        if kind >= 3:
            start = len(frames[0]) if self.random.random() < 0.9 and len(data) > len(frames[0]) else 0
            for _ in range(self.random.randrange(1, 6)):
                at = self.random.randrange(start, len(data))
                change = self.random.randrange(4)
                if change == 0:
                    data[at] = self.random.randrange(256)
                elif change == 1:
                    data[at] ^= 1 << self.random.randrange(8)
                elif change == 2:
                    del data[at : at + self.random.randrange(1, 9)]
                    if len(data) <= start:
                        break
                else:
                    data[at:at] = self.random.randbytes(self.random.randrange(1, 9))
        return bytes(data)

    def run(self, data: bytes) -> None:
        """Feed a case in pieces and use what comes out."""
        reader = BinaryReader(LIMITS, self.session(), self.dictionaries)
        reader.tables, reader.told = SeenTables(), self.seen.tell("example.org")
        other = BinaryWriter(self.dictionary, self.session())
        other.tables = SentTables()
        size = self.random.choice([1, 3, 7, len(data) or 1])
        for at in range(0, len(data), size):
            for event in reader.feed(data[at : at + size]):
                if isinstance(event, Stanza):
                    other.stanza(event.adding_raw(b"<a xmlns='urn:x' b='c'/>", "urn:x a"))
                    parse_element(event.to_xml(), max_depth=200)
        assert reader.pending_bytes <= LIMITS.stanza_bytes + 10


class Hung(Exception):
    """A case took longer than `HANG_S`."""


def on_alarm(_number: int, _frame: object) -> None:
    """End a case that does not end by itself."""
    raise Hung


def peak_memory_mib() -> float:
    """Return the most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def broke(fuzzer: Fuzzer, data: bytes) -> str:
    """Run one case; return what went wrong, "" when nothing did."""
    before = time.process_time()
    signal.alarm(HANG_S)
    try:
        fuzzer.run(data)
    except Hung:
        return f"did not end within {HANG_S} s"
    except Exception:  # noqa: BLE001  whatever it is, it is what we look for
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    took = time.process_time() - before
    return f"took {took:.1f} s" if took > MAX_CASE_S else ""


def main() -> int:
    """Run for some time; return 1 when something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz_binary", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    fuzzer = Fuzzer(options.seed)
    started = told = time.monotonic()
    cases, begun_mib = 0, peak_memory_mib()

    def tell() -> None:
        spent = time.monotonic() - started
        peak = f"peak memory {peak_memory_mib():.0f} MiB ({begun_mib:.0f} before the first)"
        print(f"{cases} cases in {spent:.0f} s, none broke anything; {peak}", flush=True)

    while time.monotonic() - started < options.seconds:
        data = fuzzer.case()
        what = broke(fuzzer, data)
        if what:
            print(f"seed {options.seed}, case {cases}: {what}\n{data.hex()}", file=sys.stderr)
            return 1
        cases += 1
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            tell()
    tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
