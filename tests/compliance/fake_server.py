"""A server of forty lines' worth of XMPP, without TLS, whose answers a test can bend."""

import asyncio
import base64
import contextlib
from collections.abc import Callable
from types import TracebackType
from xml.etree import ElementTree

from compliance.client import Account, Client, Target
from compliance.stream import TrafficLog

DOMAIN = "fake.test"
PASSWORD = "secret"
ACCOUNTS = {name: Account(f"{name}@{DOMAIN}", PASSWORD) for name in ("romeo", "juliet", "mercutio")}
HEADER = (
    "<?xml version='1.0'?><stream:stream from='fake.test' id='s1-unguessable' version='1.0' xml:lang='en' "
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
MECHANISMS = (
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
    "</stream:features>"
)
BIND = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{}</stream:features>"
NO = (
    "<iq type='error' id='{id}' from='{to}'><error type='cancel'>"
    "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
)
FEATURES = ("http://jabber.org/protocol/disco#info", "urn:xmpp:ping")
Answer = Callable[[ElementTree.Element], str | None]


class FakeServer:
    """Serve logins by PLAIN, disco#info, pings and rosters; everything else is service-unavailable.

    Args:
        answer: asked first about each stanza; what it returns is sent in place of the usual answer, None for the
            usual one, "" for silence.
        features: what the domain and the accounts say they offer.
        stream_features: XML that stands in the stream features after login, beside binding.
    """

    def __init__(
        self,
        answer: Answer = lambda stanza: None,
        features: tuple[str, ...] = FEATURES,
        stream_features: str = "",
    ) -> None:
        self.answer, self.features, self.stream_features = answer, features, stream_features
        self.bound = 0
        self.received: list[str] = []

    async def __aenter__(self) -> "FakeServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.close()

    def target(self) -> Target:
        """Return where clients find it."""
        return Target("127.0.0.1", self.port, DOMAIN)

    def client(self, name: str = "romeo") -> Client:
        """Return a client of one of `ACCOUNTS`, not connected."""
        return Client(name, self.target(), ACCOUNTS[name], TrafficLog())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What it cannot read ends the connection without a word: no server to take as a model.
        with contextlib.suppress(ConnectionError, ElementTree.ParseError, ValueError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser, depth, features = _parser(), 0, MECHANISMS
        jid = ""
        while data := await reader.read(65536):
            self.received.append(data.decode())
            if data.startswith(b"<?xml"):
                parser, depth = _parser(), 0
            parser.feed(data)
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                if event == "start" and depth == 1:
                    writer.write((HEADER + features).encode())
                elif event == "end" and depth == 0:
                    writer.write(b"</stream:stream>")
                elif event == "end" and depth == 1:
                    reply = self._reply(element, jid)
                    features = BIND.format(self.stream_features) if "<success" in reply else features
                    jid = reply.partition("<jid>")[2].partition("</jid>")[0] or jid
                    writer.write(reply.encode())
            await writer.drain()

    def _reply(self, element: ElementTree.Element, jid: str) -> str:
        bent = self.answer(element)
        if bent is not None:
            return bent
        name, id_, to = element.tag.partition("}")[2], element.get("id", ""), element.get("to", "")
        if name == "auth":
            return _login(element.text or "")
        if name == "presence" and not to:
            return f"<presence from='{jid}'/>"
        if name != "iq" or element.get("type") not in ("get", "set"):
            return ""
        return self._result(element[0].tag if len(element) else "", jid).format(id=id_, to=to or jid)

    def _result(self, payload: str, jid: str) -> str:
        inner = {
            "{urn:xmpp:ping}ping": "",
            "{jabber:iq:roster}query": "<query xmlns='jabber:iq:roster'/>",
            "{http://jabber.org/protocol/disco#info}query": self._info(),
        }
        if payload == "{urn:ietf:params:xml:ns:xmpp-bind}bind":
            self.bound += 1
            full = f"romeo@{DOMAIN}/r{self.bound}"
            return f"<iq type='result' id='{{id}}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{full}</jid></bind></iq>"
        if payload not in inner:
            return NO
        return f"<iq type='result' id='{{id}}' from='{{to}}'>{inner[payload]}</iq>"

    def _info(self) -> str:
        features = "".join(f"<feature var='{feature}'/>" for feature in self.features)
        return (
            "<query xmlns='http://jabber.org/protocol/disco#info'>"
            f"<identity category='server' type='im'/>{features}</query>"
        )


def _parser() -> "ElementTree.XMLPullParser[ElementTree.Element]":
    return ElementTree.XMLPullParser(events=("start", "end"))


def _login(text: str) -> str:
    _, user, password = base64.b64decode(text).decode().split("\0")
    if f"{user}@{DOMAIN}" in {account.jid for account in ACCOUNTS.values()} and password == PASSWORD:
        return "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    return "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"
