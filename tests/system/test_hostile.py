"""What peers do who mean ill or are broken: each gets the RFC's condition, alone, and nobody else notices."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.support.raw import HEADER, Bystander, Guest, Raw, memory_bytes
from tests.system.conftest import Target

LOGIN_TIMEOUT_S = 3
SETTINGS = {"c2s.require_tls": False, "c2s.login_timeout_s": LOGIN_TIMEOUT_S, "log.level": "warning"}
MIB = 1024 * 1024

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

Enter = Callable[..., Awaitable[Guest]]


@pytest.fixture
async def enter(server: Target, spare: Iterator[str]) -> AsyncIterator[Enter]:
    """A function that logs a guest in, with a spare account or the one given."""
    guests: list[Guest] = []

    async def come_in(jid: str = "", **options: bool) -> Guest:
        guest = Guest(jid or next(spare))
        guests.append(guest)
        return await guest.enter(server.c2s_port, **options)

    yield come_in
    for guest in guests:
        guest.cut()
    await asyncio.gather(*(guest.closed for guest in guests if guest.transport is not None))


@pytest.fixture
async def bystander(enter: Enter) -> AsyncIterator[Bystander]:
    """Somebody who must not notice what else goes on; in use for the whole test."""
    async with Bystander(await enter()) as somebody:
        yield somebody


@pytest.fixture
async def raw(server: Target) -> AsyncIterator[Raw]:
    """A connection on which nothing was said yet."""
    async with await Raw.connect(server.c2s_port) as connection:
        yield connection


# Before login


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("<auth></oauth>", "not-well-formed"),
        ("<a b='1' b='2'/>", "not-well-formed"),
        ("<a>\x00</a>", "not-well-formed"),
        ("<a>\x0b</a>", "not-well-formed"),
        ("<a>&#xD800;</a>", "not-well-formed"),
        ("<a>&#0;</a>", "not-well-formed"),
        ("<undeclared:a/>", "not-well-formed"),
        ("<!-- a remark -->", "restricted-xml"),
        ("<?php phpinfo() ?>", "restricted-xml"),
        ("<a>&nbsp;</a>", "restricted-xml|not-well-formed"),
        ("<message to='s0@localhost'><body>let me in</body></message>", "not-authorized"),
        ("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized"),
        ("<presence/>", "not-authorized"),
        ("<a xmlns='urn:example:unknown'/>", "unsupported-stanza-type|not-authorized"),
        ("<message><body>" + "x" * 20_000, "policy-violation"),
        ("<a>" * 2_000, "policy-violation|not-authorized"),
        ("<a " + " ".join(f"b{n}='c'" for n in range(1_000)) + "/>", "policy-violation|not-authorized"),
    ],
    ids=lambda value: value[:24].strip() if isinstance(value, str) else None,
)
async def test_before_login_bad_input_ends_that_stream(
    raw: Raw, bystander: Bystander, text: str, condition: str
) -> None:
    await raw.open_stream()
    await raw.send(text)
    assert await raw.stream_error() in condition.split("|")


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        (HEADER.replace("etherx.jabber.org/streams", "etherx.jabber.org/rivers"), "invalid-namespace"),
        (HEADER.replace("'jabber:client'", "'jabber:nobody'"), "invalid-namespace"),
        (HEADER.replace("to='localhost'", "to='nowhere.example'"), "host-unknown"),
        (HEADER.replace("version='1.0'>", "version='0.9'>"), "unsupported-version"),
        (HEADER.replace("<?xml version='1.0'?>", "<!DOCTYPE stream [<!ENTITY a 'b'>]>"), "restricted-xml"),
        (HEADER.replace("version='1.0'?>", "version='1.0' encoding='ISO-8859-1'?>"), "unsupported-encoding"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not-well-formed"),
    ],
    ids=["streams", "content", "host", "version", "doctype", "encoding", "http"],
)
async def test_a_wrong_stream_header_is_answered_with_its_condition(
    raw: Raw, bystander: Bystander, header: str, condition: str
) -> None:
    await raw.send(header)
    assert await raw.stream_error() == condition


async def test_entities_that_grow_are_refused_before_they_grow(server: Target, raw: Raw, bystander: Bystander) -> None:
    entities = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 10))
    before = memory_bytes(server.pid)
    await raw.send(f"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY e0 'ha'>{entities}]>" + HEADER[21:])
    assert await raw.stream_error() == "restricted-xml"
    assert memory_bytes(server.pid) - before < 4 * MIB


async def test_utf8_that_breaks_between_two_reads_is_not_well_formed(raw: Raw, bystander: Bystander) -> None:
    await raw.open_stream()
    await raw.send(b"<a>caf\xc3")
    await raw.send(b"(</a>")
    assert await raw.stream_error() == "not-well-formed"


async def test_a_sender_of_a_byte_now_and_then_is_closed_in_time(raw: Raw, bystander: Bystander) -> None:
    began = asyncio.get_running_loop().time()
    answer = b""
    for byte in HEADER.encode():
        await raw.send(bytes([byte]))
        try:
            answer = await raw.read_to_end(timeout_s=0.3)
            break
        except TimeoutError:
            continue
    assert b"connection-timeout" in answer or b"policy-violation" in answer
    assert asyncio.get_running_loop().time() - began < LOGIN_TIMEOUT_S + 5


async def test_a_thousand_half_open_handshakes_cost_little_and_end(
    server: Target, enter: Enter, bystander: Bystander
) -> None:
    before = memory_bytes(server.pid)
    opened = await asyncio.gather(*(Raw.connect(server.direct_tls_port) for _ in range(1_000)))
    for connection in opened:
        await connection.send(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello of 512 bytes begins, and stops
    newcomer = await enter()
    await newcomer.ping()
    assert memory_bytes(server.pid) - before < 64 * MIB
    await asyncio.gather(*(connection.read_to_end(LOGIN_TIMEOUT_S + 15) for connection in opened))
    for connection in opened:
        connection.close()


# After login


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("<message><body></message>", "not-well-formed"),
        ("<message><body>\x00</body></message>", "not-well-formed"),
        ("<message><body>&#xDFFF;</body></message>", "not-well-formed"),
        ("<message><body>&unknown;</body></message>", "restricted-xml|not-well-formed"),
        ("<message><!-- a remark --></message>", "restricted-xml"),
        ("<message><?target?></message>", "restricted-xml"),
        ("<message><![CDATA[", ""),
        ("<query xmlns='urn:example:unknown'/>", "unsupported-stanza-type"),
        ("<stanza/>", "unsupported-stanza-type"),
        ("words between stanzas<presence/>", "bad-format|not-well-formed|invalid-xml"),
        ("<message>" + "<a>" * 1_000, "policy-violation"),
        ("<message><body>" + "x" * 300_000, "policy-violation"),
        ("<message from='juliet@localhost/x' to='s0@localhost'/>", "invalid-from"),
        ("<message from='localhost' to='s0@localhost'/>", "invalid-from"),
        ("<iq xmlns='jabber:server' type='get' id='1'/>", "invalid-namespace|unsupported-stanza-type"),
    ],
    ids=lambda value: value[:28].strip() if isinstance(value, str) else None,
)
async def test_after_login_bad_input_ends_that_stream(
    enter: Enter, bystander: Bystander, text: str, condition: str
) -> None:
    guest = await enter()
    guest.send_bytes(text.encode())
    if condition:
        assert await guest.stream_error() in condition.split("|")
    else:  # allowed so far: it goes on
        guest.send_bytes(b"]]></message>")
        await guest.ping()


async def test_a_character_cut_between_reads_arrives_whole(enter: Enter) -> None:
    sender, recipient = await enter(), await enter()
    message = f"<message to='{recipient.jid}'><body>caf\u00e9 \U0001f339</body></message>".encode()
    for at in (message.index(b"\xc3") + 1, message.index(b"\xf0") + 2):
        recipient.inbox.stanzas.clear()
        sender.send_bytes(message[:at])
        await recipient.ping()  # the first part has gone by then
        sender.send_bytes(message[at:])
        await recipient.wait_message("caf\u00e9 \U0001f339")


async def test_invalid_utf8_after_login_is_not_well_formed(enter: Enter, bystander: Bystander) -> None:
    guest = await enter()
    guest.send_bytes(b"<message><body>\xed\xa0\x80</body></message>")  # a surrogate, encoded as if it were a character
    assert await guest.stream_error() == "not-well-formed"


async def test_a_spoofed_sender_reaches_nobody(enter: Enter, bystander: Bystander) -> None:
    villain, victim = await enter(), await enter()
    villain.send_bytes(
        f"<message from='{bystander.guest.jid}' to='{victim.jid}'><body>trust me</body></message>".encode()
    )
    assert await villain.stream_error() == "invalid-from"
    await victim.ping()
    assert not [s for s in victim.inbox.stanzas if s.tag.endswith("message")]


@pytest.mark.parametrize(
    ("to", "condition"),
    [
        ("@localhost", "jid-malformed"),
        ("a@b@localhost", "jid-malformed"),
        ("localhost/", "jid-malformed"),
        ("x" * 1024 + "@localhost", "jid-malformed"),
        ("s0@localhost/" + "r" * 1024, "jid-malformed"),
        ("a b@localhost", "jid-malformed"),
        ("someone@elsewhere.invalid", "remote-server-not-found|remote-server-timeout|service-unavailable"),
    ],
    ids=["no-local", "two-ats", "no-resource", "long-local", "long-resource", "space", "elsewhere"],
)
async def test_a_wrong_recipient_is_answered_and_the_stream_goes_on(
    enter: Enter, bystander: Bystander, to: str, condition: str
) -> None:
    guest = await enter()
    guest.send_bytes(f"<iq type='get' id='wrong' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>".encode())
    assert await guest.wait_error("wrong") in condition.split("|")
    await guest.ping()


async def test_a_resource_of_1024_bytes_cannot_be_bound(server: Target, spare: Iterator[str]) -> None:
    guest = Guest(next(spare))
    await guest.connect(server.c2s_port)
    await guest.authenticate()
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{}</resource></bind>"
    guest.send_bytes(f"<iq type='set' id='b1'>{bind.format('r' * 1024)}</iq>".encode())
    assert await guest.wait_error("b1") in ("bad-request", "jid-malformed")
    await guest.bind("r" * 1023)
    assert guest.jid.endswith("/" + "r" * 1023)
    guest.cut()


async def test_a_stanza_id_of_64_kib_comes_back_whole(enter: Enter, bystander: Bystander) -> None:
    guest = await enter()
    id_ = "i" * 65_536
    guest.send_bytes(f"<iq type='get' id='{id_}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>".encode())
    answer = await guest.wait_stanza(lambda s: s.get("id") == id_)
    assert answer.get("type") == "result"


@pytest.mark.parametrize("kind", ["get", "set"])
async def test_a_request_without_id_or_payload_is_bad(enter: Enter, bystander: Bystander, kind: str) -> None:
    guest = await enter()
    guest.send_bytes(f"<iq type='{kind}' id='empty' to='localhost'/>".encode())
    assert await guest.wait_error("empty") == "bad-request"
    two = "<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>"
    guest.send_bytes(f"<iq type='{kind}' id='two' to='localhost'>{two}</iq>".encode())
    assert await guest.wait_error("two") == "bad-request"
    guest.send_bytes(f"<iq type='{kind}x' id='odd' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>".encode())
    assert await guest.wait_error("odd") == "bad-request"


async def test_made_up_names_leave_no_memory_behind(server: Target, enter: Enter, bystander: Bystander) -> None:
    guest = await enter()
    for start in range(0, 600_000, 5_000):  # the allocator's arenas fill up first, with what can be used again
        await send_names(guest, start, start + 5_000)
    before = memory_bytes(server.pid)
    for start in range(600_000, 1_200_000, 5_000):
        await send_names(guest, start, start + 5_000)
    assert memory_bytes(server.pid) - before < 32 * MIB  # kept for good they would take 130


async def send_names(guest: Guest, first: int, last: int) -> None:
    """Send stanzas with element names that nobody has used before, to oneself as errors, which nobody keeps."""
    for start in range(first, last, 500):
        names = "".join(f"<name{number} xmlns='urn:example:{number}'/>" for number in range(start, start + 500))
        guest.send_bytes(f"<message type='error' to='localhost'>{names}</message>".encode())
    await guest.ping()


async def test_a_client_that_never_reads_is_cut_and_memory_stays_flat(
    server: Target, enter: Enter, spare: Iterator[str], bystander: Bystander
) -> None:
    sender = await enter()
    deaf = Guest(next(spare))
    loop = asyncio.get_running_loop()
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    small.setblocking(False)
    await loop.sock_connect(small, ("127.0.0.1", server.c2s_port))
    await loop.create_connection(lambda: deaf, sock=small)
    await deaf.authenticate()
    await deaf.bind()
    deaf.send("<presence/>")
    await deaf.ping()
    assert deaf.transport is not None
    deaf.transport.pause_reading()

    before = memory_bytes(server.pid)
    highest = before
    body = "x" * 4_000
    for _ in range(60):
        for _ in range(100):
            sender.send(f"<message to='{deaf.jid}' type='headline'><body>{body}</body></message>")
        await sender.ping()
        highest = max(highest, memory_bytes(server.pid))
    assert highest - before < 24 * MIB
    deaf.transport.resume_reading()
    await asyncio.wait_for(deaf.closed, 30)


async def test_a_client_that_asks_and_never_reads_is_bounded_too(
    server: Target, enter: Enter, bystander: Bystander
) -> None:
    deaf = await enter()
    assert deaf.transport is not None
    deaf.transport.pause_reading()
    before = memory_bytes(server.pid)
    question = "<iq type='get' id='{}' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    highest = before
    for number in range(400):
        deaf.send_bytes("".join(question.format(f"{number}.{n}") for n in range(100)).encode())
        if number % 20 == 0:
            await bystander.guest.ping()
            highest = max(highest, memory_bytes(server.pid))
        if deaf.transport is None:
            break
    assert highest - before < 24 * MIB


async def test_a_flood_slows_its_sender_and_not_the_others(enter: Enter, bystander: Bystander) -> None:
    sender, recipient = await enter(), await enter()
    body = "x" * 1_000
    for number in range(10_000):
        sender.send(f"<message to='{recipient.jid}' type='headline'><body>{body}{number}</body></message>")
    await recipient.wait_stanza(lambda s: s.findtext("{jabber:client}body") == f"{body}9999", timeout_s=60)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_roster_of_10000_is_kept_and_not_exceeded(server: Target, enter: Enter, bystander: Bystander) -> None:
    guest = await enter(presence=False)
    before = memory_bytes(server.pid)
    item = "<query xmlns='jabber:iq:roster'><item jid='c{}@example.org' name='Contact {}'/></query>"
    for start in range(0, 10_000, 200):
        await asyncio.gather(*(guest.ask("set", item.format(n, n)) for n in range(start, start + 200)))
    guest.send_bytes(f"<iq type='set' id='more'>{item.format('x', 'x')}</iq>".encode())
    assert await guest.wait_error("more") in (
        "resource-constraint",
        "not-allowed",
        "policy-violation",
        "not-acceptable",
    )
    answer = await guest.ask("get", "<query xmlns='jabber:iq:roster'/>")
    assert len(answer[0]) == 10_000
    assert memory_bytes(server.pid) - before < 48 * MIB
    again = await enter(guest.bare)
    assert len((await again.ask("get", "<query xmlns='jabber:iq:roster'/>"))[0]) == 10_000
