"""Writes tests/vectors/binary.json: `python -m tests.support.make_vectors`. What is in it must not change once it was published."""

import json
from pathlib import Path

from codec import binary_frames as frames
from codec import binary_values as values
from codec.binary_cbor import blob, integer, text
from codec.binary_dictionary import load
from codec.binary_features import hash_of
from codec.binary_tables import Claim, SentTables, Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from tests.codec.binary_samples import OWN, SAMPLES, Pair, stanza_of

FILE = Path(__file__).parents[1] / "vectors" / "binary.json"
TEXTS = (
    "0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a",
    "0B0B4A6C-5B5E-4B6F-9F0A-3F6C1D2E4F5A",
    "2026-02-28T23:59:59Z",
    "2026-02-28T23:59:59.123456Z",
    "2026-02-28T23:59:59.123Z",
    "cf89e5bd9b95aa3e",
    "CF89E5BD9B95AA3E",
    "CF:89:E5:BD",
    "ftG2sWK5AKdNtuMSAE2SwdKdg20=",
    "vkHJpFWtGevgcbXzLivLiQ",
    "muTUvvYFIUzPIEUg8WyOvHKD",
    "ab-_",
    "1764017200000000",
)
LETTERS = (
    (0, "Wherefore art thou, Romeo?"),
    (0, "ok 👍"),
    (1, "Спасибо, до завтра"),
    (2, "خیلی ممنون"),
    (3, "शुभ रात्रि"),
)
FEATURES = (
    "<features xmlns='http://etherx.jabber.org/streams'><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-256</mechanism>"
    "</authentication></features>"
)
MORE = (
    "<message from='room@conference.example.org/Nick' to='juliet@example.org/balcony' type='groupchat' id='QHOWG1q3yzsR1TDU5XinzQ'><body>Hello!"
    "</body><occupant-id xmlns='urn:xmpp:occupant-id:0' id='129b65e1cb260b11adc220a4ead2cfabc67c7e0e4655afe5859be858cee20c9f'/></message>",
    "<message from='room@conference.example.org/Other' to='juliet@example.org/balcony' type='groupchat'><body>Hello yourself</body></message>",
    "<message from='room@conference.example.org' to='juliet@example.org/balcony' type='groupchat'><subject>Talk</subject></message>",
    "<presence from='romeo@example.org/gajim.5IF2mxXw' to='juliet@example.org/balcony'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1'"
    " node='https://gajim.org' ver='ftG2sWK5AKdNtuMSAE2SwdKdg20='/></presence>",
    "<iq from='juliet@example.org' to='juliet@example.org/balcony' id='r1' type='result'><query xmlns='jabber:iq:roster' ver='v1'>"
    + "".join(f"<item jid='friend{n}@example.net' name='Friend {n}' subscription='both'/>" for n in range(12))
    + "</query></iq>",
)


def main() -> None:
    """Write the file."""
    dictionary = load("0001")
    content = {
        "dictionary": {"name": "0001", "id": dictionary.id.hex()},
        "session": {"domain": "example.org", "jid": str(OWN)},
        "lengths": [{"n": n, "hex": frames.varint(n).hex()} for n in (0, 1, 127, 128, 300, 65_535, 4_294_967_295)],
        "packed": [
            {"text": item, "kind": values.NAMES[packed[0]], "hex": packed[1].hex()}
            for item in TEXTS
            if (packed := values.pack(item)) is not None
        ],
        "dense": [
            {"text": item, "hex": packed.hex()}
            for item in ("romeo@example.org", "room1@muc.x")
            if (packed := values.pack_dense(item))
        ],
        "letters": [
            {"table": table, "text": item, "hex": packed.hex()}
            for table, item in LETTERS
            if (packed := dictionary.tables.letters[table].pack(item)) is not None
        ],
        "stateless": _stream(has_tables=False),
        "tables": _stream(has_tables=True),
        "resumed": _resumed(),
        "features": _features(),
        "bad": _bad(),
    }
    FILE.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _stream(has_tables: bool) -> list[dict[str, str]]:
    """Return frames in order, each with what it means; one stream, so that tables go from one to the next."""
    pair = Pair()
    writer = pair.writer
    out = [{"means": "HELLO to example.org", "hex": writer.header(from_=None, id_="", to="example.org").hex()}]
    if has_tables:
        writer.tables = SentTables()
    for xml in [*SAMPLES[:14], *MORE, *MORE]:
        out.append({"xml": xml, "hex": writer.stanza(stanza_of(xml)).hex()})
    element = Element("urn:xmpp:sm:3 enable", {"resume": "true"})
    out.append({"element": "<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "hex": writer.element(element).hex()})
    out.append({"element": "<a xmlns='urn:xmpp:sm:3' h='5'/>", "hex": writer.ack(5).hex()})
    out.append({"element": "<a xmlns='urn:xmpp:sm:3' h='300'/>", "hex": writer.ack(300).hex()})
    out.append({"element": "<r xmlns='urn:xmpp:sm:3'/>", "hex": writer.ack_request().hex()})
    out.append({"element": "<active xmlns='urn:xmpp:csi:0'/>", "hex": writer.csi(True).hex()})
    out.append({"means": "keepalive", "hex": writer.ping().hex()})
    out.append({"means": "end of the stream", "hex": writer.close().hex()})
    return out


def _resumed() -> dict[str, object]:
    """Return two connections of one session as its client reads them: what came last on the first one was lost on the way."""
    pair = Pair()
    tables = Tables("s1")
    pair.writer.tables = tables.sent
    before = [{"means": "HELLO with the id s1", "hex": _hello(pair.writer, "s1")}]
    before += [_row(pair.writer, xml) for xml in MORE]
    counts = tables.sent.jids.count, tables.sent.values.count
    for xml in (SAMPLES[5], SAMPLES[3]):
        pair.writer.stanza(stanza_of(xml))
    tables.go_on(Claim(*counts, tables.name))
    again = Pair().writer
    after = [{"means": "HELLO with the id s2", "hex": _hello(again, "s2")}]
    after.append({"means": "TABLES: nothing was read of the client's", "hex": again.claim(Claim(0, 0)).hex()})
    resumed = Element("urn:xmpp:sm:3 resumed", {"previd": "token", "h": "0"})
    after.append(
        {"element": "<resumed xmlns='urn:xmpp:sm:3' previd='token' h='0'/>", "hex": again.element(resumed).hex()}
    )
    again.tables = tables.sent
    after += [_row(again, xml) for xml in (SAMPLES[5], SAMPLES[3], *MORE)]
    claim = again.claim(Claim(*counts, tables.name))
    return {"before": before, "client_sends": claim.hex(), "after": after}


def _features() -> dict[str, str]:
    """Return features as a client has had them, its next HELLO, and what the server then says in place of the features."""
    writer = Pair().writer
    frame = writer.element(parse_element(FEATURES.encode()))
    writer.peer_features = (hash_of(frame),)
    hello = writer.header(from_=None, id_="", to="example.org", features=writer.peer_features)
    return {
        "element": FEATURES,
        "hex": frame.hex(),
        "hash": hash_of(frame).hex(),
        "hello": hello.hex(),
        "recalled": writer.recalled(frame).hex(),
    }


def _hello(writer: BinaryWriter, id_: str) -> str:
    return writer.header(from_="example.org", id_=id_).hex()


def _row(writer: BinaryWriter, xml: str) -> dict[str, str]:
    return {"xml": xml, "hex": writer.stanza(stanza_of(xml)).hex()}


def _bad() -> list[dict[str, str]]:
    """Return frames that must break a stream of this session that has no tables, and the condition."""
    message = integer(-1)
    size_class, block = load("0001").compress(text("a" * 100_000)) or (0, b"")
    cases = {
        "a frame type that is not there": b"\xa0",
        "flags that are not there": b"\x21",
        "a length in more bytes than it needs": b"\x10\x80\x00",
        "a length over the limit of 262144": b"\x10\x81\x80\x10",
        "a number in more bytes than it needs": frames.frame(1, message + b"\x18\x05"),
        "a tag": frames.frame(1, message + b"\xc2\x41\x00"),
        "an unknown chunk": frames.frame(1, message + integer(60_000)),
        "more texts than the tree asks for": frames.frame(1, message + text("x")),
        "a text with U+0000": frames.frame(1, message + b"\x20" + blob(integer(-1)) + text("\0")),
        "a name that is markup": frames.frame(1, message + b"\x20" + blob(b"\x82\x81" + text("a><b") + b"\x80")),
        "a claim to tables without its end": frames.frame(frames.TABLES, b"\x01"),
        "a claim to tables with a name that is none": frames.frame(frames.TABLES, b"\x01\x02\x03"),
        "a slot where there are no tables": frames.frame(1, integer(-1 - (4 << 5)) + integer(3)),
        "a reference to an id that is not there": frames.frame(1, message + b"\x20" + blob(integer(-2))),
        "a block that holds more than its class": frames.frame(1, frames.varint(1) + message + block, 1),
        "a second HELLO": frames.frame(frames.HELLO, integer(0) + integer(0) + blob(load("0001").id)),
    }
    conditions = {"a length over the limit of 262144": "policy-violation"}
    assert size_class
    return [
        {"why": why, "hex": data.hex(), "condition": conditions.get(why, "not-well-formed")}
        for why, data in cases.items()
    ]


if __name__ == "__main__":
    main()
