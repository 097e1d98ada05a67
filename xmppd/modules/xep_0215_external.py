"""XEP-0215: External Service Discovery: the STUN and TURN servers of the section [turn].

Calls need a relay where two people cannot reach each other directly. The relay shares a secret with us; we make credentials that
end by themselves, as coturn's `use-auth-secret` checks them:

    username  the second at which they end, a colon, a name that the relay can tell accounts apart by and nobody can tell whose it is
    password  base64 of HMAC-SHA-1 of the username by the secret
"""

import base64
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from codec.jid import JID
from codec.payload import Payload, attr, children
from codec.stanza import IQ
from codec.values import format_datetime, int_between
from xmppd.errors import StanzaError
from xmppd.hooks import DiscoEvent, disco_info
from xmppd.module import Module, Target, iq_get, on

NS = "urn:xmpp:extdisco:2"
NAME_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Payload, tag=(NS, "service")):
    """A service (§2); in a request only what it is called by."""

    host: str = attr(required=True)
    type: str = attr(required=True)
    port: int | None = attr(parse=int_between(1, 65_535))
    transport: str | None = attr()
    username: str | None = attr()
    password: str | None = attr()
    expires: str | None = attr()
    restricted: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Payload, tag=(NS, "services")):
    """A question for services, all or of one type, or the list."""

    type: str | None = attr()
    services: tuple[Service, ...] = children(Service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials(Payload, tag=(NS, "credentials")):
    """A question for credentials at a service, or those."""

    services: tuple[Service, ...] = children(Service)


class ExternalModule(Module, xep=215):
    """Tell accounts of the services, with credentials of their own."""

    @on(disco_info)
    def describe(self, event: DiscoEvent) -> None:
        """Offer it where there is something to tell (§5)."""
        if event.account is None and event.node is None and self.host.config.turn.hosts:
            event.features.append(NS)

    @iq_get(Services, to=(Target.DOMAIN,))
    def list(self, iq: IQ) -> Services:
        """List the services (§3.1, §3.2)."""
        assert isinstance(iq.payload, Services)
        wanted = iq.payload.type
        found = [one for one in self._services(self._asker(iq)) if wanted in (None, one.type)]
        return Services(type=wanted, services=tuple(found))

    @iq_get(Credentials, to=(Target.DOMAIN,))
    def give(self, iq: IQ) -> Credentials:
        """Give credentials for the services that one asks for (§3.3)."""
        assert isinstance(iq.payload, Credentials)
        asker = self._asker(iq)
        if len(iq.payload.services) != 1:
            raise StanzaError("bad-request", text="Name one service.")
        wanted = iq.payload.services[0]
        found = [
            one
            for one in self._services(asker)
            if (one.host, one.type) == (wanted.host, wanted.type)
            and wanted.port in (None, one.port)
            and one.username is not None
        ]
        if not found:
            raise StanzaError("item-not-found")
        return Credentials(services=tuple(found))

    def _asker(self, iq: IQ) -> JID:
        """Return the account that asks: a relay costs its owner money, so that others get nothing."""
        if not self.host.config.turn.hosts:
            raise StanzaError("service-unavailable")
        if iq.from_ is None or not iq.from_.localpart or iq.from_.domainpart != self.host.domain:
            raise StanzaError("forbidden")
        return iq.from_.bare

    def _services(self, asker: JID) -> Iterable[Service]:
        turn = self.host.config.turn
        secret = b"" if turn.secret is None else turn.secret.get_secret_value().encode()
        kinds = [("turn", "udp", turn.port), ("turn", "tcp", turn.port), ("turns", "tcp", turn.tls_port)]
        for host in turn.hosts:
            if turn.stun and turn.port:
                yield Service(host=host, type="stun", port=turn.port, transport="udp")
            if not secret:
                continue
            username, password, expires = self._credentials(asker, secret)
            for type_, transport, port in kinds:
                if port:
                    yield Service(
                        host=host,
                        type=type_,
                        port=port,
                        transport=transport,
                        username=username,
                        password=password,
                        expires=expires,
                        restricted="true",
                    )

    def _credentials(self, asker: JID, secret: bytes) -> tuple[str, str, str]:
        until_s = self.host.clock.now_us() // 1_000_000 + int(self.host.config.turn.lifetime_s)
        name = hmac.digest(secret, f"account {asker}".encode(), "sha256").hex()[:NAME_CHARS]
        username = f"{until_s}:{name}"
        password = base64.b64encode(hmac.digest(secret, username.encode(), "sha1")).decode()
        return username, password, format_datetime(datetime.fromtimestamp(until_s, UTC))
