"""Components that are programs of their own: they connect to us, prove by a shared secret which domain they are, and get its stanzas (XEP-0114).

Each domain of `[components.domains]` has an `ExternalComponent` among the server's components from the start; its stream comes and goes.
"""

import hashlib
import hmac
from collections.abc import Coroutine
from typing import Any

from codec.element import Element
from codec.events import BadStanza, Event, StreamOpened
from codec.jid import JID, InvalidJID, prepare_domainpart
from codec.limits import BEFORE_LOGIN
from codec.stanza import Stanza
from codec.xml_parser import ParserPool
from codec.xml_reader import COMPONENT_NS, USUAL_HEADERS
from storage.interface import Commit
from xmppd.errors import StanzaError, StreamError
from xmppd.host import Shared
from xmppd.logs import get_logger
from xmppd.router import Router
from xmppd.stream import Stream, Waiting
from xmppd.stream_limits import reader_limits

HANDSHAKE = f"{COMPONENT_NS} handshake"

LOGIN_TIMEOUT_S = 30
"""A component knows its secret: it has no need to think."""


class ExternalComponent:
    """One domain of a program of its own.

    Attributes:
        domain: its JID. stream: how it is connected, None: it is not.
    """

    __slots__ = ("_secret", "domain", "stream")

    def __init__(self, domain: str, secret: str) -> None:
        self.domain = JID.parse(domain)
        self._secret = secret
        self.stream: ComponentStream | None = None

    def take(self, stanza: Stanza) -> Commit | None:
        """Hand a stanza to the program; see `Component`."""
        if self.stream is None or not self.stream.is_connected:
            raise StanzaError("service-unavailable", "wait", f"{self.domain} is not connected now; try again later.")
        if self.stream.is_congested:
            raise StanzaError("resource-constraint", text=f"{self.domain} does not keep up.")
        self.stream.send(stanza)
        return None

    def is_right(self, digest: str, stream_id: str) -> bool:
        """Whether a handshake is what the secret makes of the stream's id (§3)."""
        expected = hashlib.sha1((stream_id + self._secret).encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(expected.encode(), digest.strip().lower().encode())


class Externals:
    """All domains of programs of their own.

    Args:
        secrets: by domain.
    """

    def __init__(self, shared: Shared, router: Router, secrets: dict[str, str]) -> None:
        self.shared = shared
        self.router = router
        self.limits = reader_limits(shared.config.limits)
        self.log = get_logger("xmppd.external")
        self.parsers = ParserPool(USUAL_HEADERS[COMPONENT_NS])
        self.by_domain = {domain: ExternalComponent(domain, secret) for domain, secret in secrets.items()}
        for domain, component in self.by_domain.items():
            shared.components.add(domain, component)

    def make_stream(self, connection: Any) -> "ComponentStream":
        """Make the stream of a connection that a component has opened."""
        return ComponentStream(connection, self)


class ComponentStream(Stream):
    """The stream of one component.

    Attributes:
        component: which one it says it is, None until its header came.
        is_proven: it knows the secret.
    """

    __slots__ = ("_externals", "_stream_id", "component", "is_proven")

    def __init__(self, connection: Any, externals: Externals) -> None:
        super().__init__(connection, BEFORE_LOGIN, externals.shared.spawn, externals.parsers, COMPONENT_NS)
        self._externals = externals
        self._stream_id = ""
        self.component: ExternalComponent | None = None
        self.is_proven = False

    def domain(self) -> str:
        """Return the domain that our header bears: the component's own (§3)."""
        return "" if self.component is None else self.component.domain

    def secured(self) -> None:
        """There is no TLS here: components are of this machine, or of a network of its own."""

    def before_flush(self) -> None:
        """Nothing is counted here."""

    def opened(self, header: StreamOpened) -> Waiting | None:
        """Answer the header; the component hashes the id in it together with the secret (§3)."""
        try:
            wanted = prepare_domainpart(header.to or "")
        except InvalidJID:
            wanted = ""
        self.component = self._externals.by_domain.get(wanted)
        self._stream_id = self.new_id()
        self.send_header(self._stream_id)
        if self.component is None:
            raise StreamError("host-unknown")
        return None

    def handle(self, event: Event) -> Waiting | None:
        """Take a stanza or the handshake."""
        if isinstance(event, Element):
            self._shake_hands(event)
            return None
        if not self.is_proven:
            raise StreamError("not-authorized")
        if isinstance(event, BadStanza):
            raise StreamError("improper-addressing", "An address of this stanza is no JID.")
        assert isinstance(event, Stanza)
        return self._stanza(event)

    def _shake_hands(self, element: Element) -> None:
        component = self.component
        if element.tag != HANDSHAKE or component is None or self.is_proven:
            raise StreamError("unsupported-stanza-type" if self.is_proven else "not-authorized")
        if not component.is_right(element.text, self._stream_id):
            self._externals.log.warning("component_refused", domain=component.domain, address=self.connection.address)
            raise StreamError("not-authorized")
        old, component.stream = component.stream, self
        if old is not None:
            old.end("conflict", "The component has connected anew.")
        self.is_proven = True
        self.reader.limits = self._externals.limits
        self.send_element(Element(HANDSHAKE))
        self._externals.log.info("component_connected", domain=component.domain)

    def _stanza(self, stanza: Stanza) -> Waiting | None:
        assert self.component is not None
        if stanza.to is None or stanza.from_ is None:
            raise StreamError("improper-addressing", "A component's stanza has both addresses.")
        if stanza.from_.domainpart != self.component.domain:
            raise StreamError("invalid-from")
        self._externals.shared.metrics.stanzas_received[stanza.kind] += 1
        result = self._externals.router.from_elsewhere(stanza)
        return result if isinstance(result, Coroutine) else None

    def tick(self, idle_s: int, age_s: int) -> None:
        """Called every few seconds; `age_s` since the connection was made."""
        if not self.is_proven and age_s > LOGIN_TIMEOUT_S:
            self.end("connection-timeout")
        self.reader.sleep()

    def lost(self) -> None:
        """The connection is gone."""
        self.connection = None
        self.reader.close()
        component = self.component
        if component is not None and component.stream is self:
            component.stream = None
            self._externals.log.info("component_gone", domain=component.domain)

    def ending(self, condition: str) -> None:
        """A stream error is about to be sent."""
        self._externals.shared.metrics.count_stream_error(condition)

    def log_broken(self) -> None:
        """Log the exception being handled."""
        self._externals.log.exception("component_stream_broke", domain=self.domain())
