"""The settings: a frozen pydantic model for each section of `xmppd.toml`.

This file says what settings there are, with their defaults and what they mean; `docs/configuration.md` and the file that
`xmppd init` writes are made from it. `config_sources.py` reads them from the file, the environment and the command line.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from xmppd.addresses import Address
from xmppd.config_media import MediaConfig
from xmppd.config_push import PushConfig
from xmppd.config_values import (
    Addresses,
    ConfigPath,
    Count,
    Domain,
    Domains,
    JIDs,
    OptionalPath,
    Positive,
    Seconds,
    Section,
    Texts,
    as_resolver,
    resolved,
)

DEFAULT_MODULES: tuple[str, ...] = (
    "rfc_6121_message",
    "rfc_6121_presence",
    "rfc_6121_roster",
    "rfc_6121_subscription",
    "xep_0012_last_activity",
    "xep_0030_disco",
    "xep_0045_muc",
    "xep_0049_private",
    "xep_0050_commands",
    "xep_0054_vcard",
    "xep_0060_pubsub",
    "xep_0077_register",
    "xep_0092_version",
    "xep_0114_component",
    "xep_0115_caps",
    "xep_0133_admin",
    "xep_0157_contacts",
    "xep_0160_offline",
    "xep_0163_pep",
    "xep_0191_blocking",
    "xep_0198_sm",
    "xep_0199_ping",
    "xep_0202_time",
    "xep_0215_external",
    "xep_0280_carbons",
    "xep_0292_vcard4",
    "xep_0313_mam",
    "xep_0313_rooms",
    "xep_0317_hats",
    "xep_0334_hints",
    "xep_0352_csi",
    "xep_0357_devices",
    "xep_0357_push",
    "xep_0359_ids",
    "xep_0363_upload",
    "xep_0377_reports",
    "xep_0379_pars",
    "xep_0386_bind2",
    "xep_0388_sasl2",
    "xep_0398_avatar",
    "xep_0401_invites",
    "xep_0402_bookmarks",
    "xep_0425_moderation",
    "xep_0441_mam_prefs",
    "xep_0445_preauth",
    "xep_0455_outage",
    "xep_0478_limits",
    "xep_0480_upgrade",
    "xep_0484_fast",
    "xep_0486_room_avatars",
    "xep_0494_access",
)
"""Files of `xmppd/modules` that each virtual host loads, in this order; what a module requires comes before it anyway."""


class ServerConfig(Section):
    """[server]"""

    domains: Domains = Field(("localhost",), min_length=1, description="Virtual hosts.")
    data_dir: ConfigPath = Field(Path("data"), description="All local state; the control socket too.")
    drain_s: Seconds = Field(
        10, description="How long a stop (SIGTERM) waits for streams to close and writes to commit."
    )


class AdminConfig(Section):
    """[admin]"""

    jids: JIDs = Field((), description="Accounts that may use the commands of XEP-0133.")


class CertificateConfig(Section):
    """[tls.domains."example.org"]"""

    certificate: ConfigPath = Field(description="PEM file: the certificate and its chain.")
    key: ConfigPath = Field(description="PEM file: its private key.")


class TLSConfig(Section):
    """[tls]"""

    certificate: OptionalPath = Field(None, description="PEM file for all domains: the certificate and its chain.")
    key: OptionalPath = Field(None, description="PEM file: its private key; it may be in the certificate's file.")
    ca_file: OptionalPath = Field(
        None, description="PEM file of the authorities whose word on other servers is taken, instead of the system's."
    )
    domains: dict[Domain, CertificateConfig] = Field(
        default_factory=dict, description='Other files for one domain: tls.domains."example.org".certificate and .key.'
    )

    @property
    def is_configured(self) -> bool:
        """Whether there is any certificate."""
        return self.certificate is not None or bool(self.domains)

    def files_for(self, domain: str) -> tuple[Path, Path] | None:
        """Return the certificate and key files of a domain, None when it has none."""
        own = self.domains.get(domain)
        if own is not None:
            return own.certificate, own.key
        if self.certificate is None:
            return None
        return self.certificate, self.key or self.certificate


class C2SConfig(Section):
    """[c2s]"""

    listen: Addresses = Field(("[::]:5222",), description="Addresses for clients, with STARTTLS.")
    direct_tls: Addresses = Field(("[::]:5223",), description="Addresses where TLS starts at once (XEP-0368).")
    require_tls: bool = Field(
        True, description="Offer no login without TLS. false: loopback and TLS-terminating proxies."
    )
    proxy_protocol: Addresses = Field(
        (),
        description="Which of these addresses expect a PROXY protocol header (v1 or v2) on each connection. "
        "Whoever reaches them is believed: let only the proxy reach them.",
    )
    binary: bool = Field(True, description="Offer the binary form of the stream (docs/binary-framing.md).")
    binary_tables: bool = Field(
        True,
        description="Let binary clients have tables of recent values: fewer bytes for 12 KiB a connection at most.",
    )
    login_timeout_s: Seconds = Field(30, description="From connecting to a bound resource; then the stream is closed.")
    idle_sleep_s: Seconds = Field(5, description="A silent stream gives its parser back after this time. 0: never.")
    keepalive_s: Seconds = Field(
        300, description="A silent client is asked for a sign of life after this time. 0: never."
    )
    keepalive_timeout_s: Seconds = Field(60, description="How long it has to answer.")
    resume_s: Seconds = Field(600, description="How long a lost stream can be resumed (XEP-0198). 0: not offered.")
    client_history_days: Count = Field(
        90,
        description="How long an account's owner can see which clients logged in (XEP-0494), with their names, devices and "
        "addresses. 0: nothing of it is kept.",
    )
    client_addresses: bool = Field(True, description="Keep the IP address of each client's last login with it.")
    max_resources_per_account: Positive = Field(20, description="Bound resources of one account.")
    max_connections_per_address: Count = Field(
        1000,
        description="Connections from one address; loopback is not counted, a proxy there speaks for many. 0: no limit.",
    )


class PeerConfig(Section):
    """[s2s.domains."example.org"]: what differs for one domain; what is not given is as for all."""

    authentication: Literal["certificate-or-dialback", "certificate", "dialback"] | None = Field(
        None, description="How it proves who it is."
    )
    require_tls: bool | None = Field(None, description="Talk to it through TLS alone.")
    pins: Texts = Field((), description="SHA-256 fingerprints, in hex: its certificate must have one of them.")
    stanzas_per_s: Count | None = Field(None, description="If it sends more it is read more slowly. 0: no limit.")


class S2SConfig(Section):
    """[s2s]: other servers."""

    listen: Addresses = Field(("[::]:5269",), description="Addresses for other servers, with STARTTLS.")
    direct_tls: Addresses = Field((), description="Addresses for other servers where TLS starts at once (XEP-0368).")
    resolver: Annotated[Address | None, BeforeValidator(as_resolver)] = Field(  # type: ignore[assignment]
        "127.0.0.1:53",
        description="The DNS server that is asked where other servers are: it alone, on this port, by UDP and TCP. "
        "Empty: those of /etc/resolv.conf.",
    )
    authentication: Literal["certificate-or-dialback", "certificate", "dialback"] = Field(
        "certificate-or-dialback",
        description="How other servers prove who they are: certificate-or-dialback, certificate, dialback.",
    )
    enabled: bool = Field(True, description="Whether other servers are talked to at all.")
    require_tls: bool = Field(True, description="Talk to other servers through TLS alone.")
    bidi: bool = Field(True, description="Let one connection carry both directions (XEP-0288).")
    allow: Domains = Field(
        (),
        description="The only domains that are talked to, each with those below it. Empty: all. Read anew by SIGHUP.",
    )
    block: Domains = Field(
        (), description="Domains that are not talked to, each with those below it. Read anew by SIGHUP."
    )
    domains: dict[Domain, PeerConfig] = Field(
        default_factory=dict,
        description='Other settings for one domain and those below it: s2s.domains."example.org".require_tls and the like. '
        "Read anew by SIGHUP.",
    )
    stanzas_per_s: Count = Field(
        2_000, description="A domain that sends more is read more slowly. 0: no limit. Read anew by SIGHUP."
    )
    connect_timeout_s: Seconds = Field(30, description="How long reaching a domain may take, with TLS and login.")
    login_timeout_s: Seconds = Field(
        40,
        description="From another server's connection to a proven domain; then it is closed. "
        "Longer than `connect_timeout_s`: by dialback we ask the domain's own server meanwhile.",
    )
    answer_timeout_s: Seconds = Field(
        60,
        description="A server that leaves unsaid for so long whether it has what was sent to it is gone: "
        "its stream is given up, and what it had not acknowledged is sent again.",
    )
    message_wait_s: Seconds = Field(
        300, description="How long a message waits for a domain that cannot be reached; then its sender is told."
    )
    queue_stanzas: Positive = Field(10_000, description="What may wait for one domain.")
    queue_bytes: Positive = Field(4_194_304, description="The same in bytes.")
    idle_s: Seconds = Field(
        600, description="A silent stream is closed after this time; the next stanza opens another."
    )
    max_connections_per_address: Count = Field(
        100, description="Connections of other servers from one address; loopback is not counted. 0: no limit."
    )


class ComponentConfig(Section):
    """[components.domains."irc.example.org"]"""

    secret: SecretStr = Field(description="What it proves itself by; any text.")


class ComponentsConfig(Section):
    """[components]: programs of their own that serve a domain each (XEP-0114)."""

    listen: Addresses = Field(
        (), description="Addresses for components; there is no TLS: loopback, or a network of their own."
    )
    domains: dict[Domain, ComponentConfig] = Field(
        default_factory=dict, description='The domains with their secrets: components.domains."irc.example.org".secret.'
    )


class LimitsConfig(Section):
    """[limits]"""

    stanza_bytes_before_login: Positive = Field(
        10_000, ge=10_000, description="One stanza before login (the least that RFC 6120 §13.12 allows)."
    )
    stanza_bytes: Positive = Field(
        262_144, ge=10_000, description="One stanza after login; avatars and big rosters fit."
    )
    depth: Positive = Field(
        64, le=64, description="Nested elements of a stanza; what reads payloads goes no deeper than 64."
    )
    attributes: Positive = Field(256, description="Attributes of one element.")
    children: Positive = Field(2_000, description="Direct children of one stanza.")
    outbox_bytes: Positive = Field(
        4_194_304, description="What may wait for a client that does not read; above it the stream ends."
    )
    unacknowledged_stanzas: Positive = Field(
        10_000, description="Kept for one client until it acknowledges (XEP-0198)."
    )
    stream_bytes_per_s: Count = Field(
        4_000_000, description="A client that sends faster is read more slowly. 0: no limit."
    )
    roster_items: Positive = Field(10_000, description="Contacts of one account.")
    blocked_jids: Positive = Field(10_000, description="Entries in one account's block list (XEP-0191).")
    private_elements: Positive = Field(500, description="Private elements of one account (XEP-0049).")
    cached_accounts: Positive = Field(
        10_000, description="Accounts without a resource that stay in memory with their rosters."
    )


class ScramConfig(Section):
    """[scram]"""

    iterations: int = Field(10_000, ge=4096, le=10_000_000, description="PBKDF2 rounds for new passwords.")


class RegistrationConfig(Section):
    """[registration]"""

    open: bool = Field(False, description="Let anyone make an account (XEP-0077).")
    limit_per_hour: Count = Field(5, description="New accounts an hour from one address. 0: no limit.")
    invite_contacts: bool = Field(
        True, description="Let every account make invitations that make somebody its contact (XEP-0401)."
    )
    invite_accounts: bool = Field(
        False,
        description="Let whoever was so invited make an account here; who is invited by one of admin.jids always may.",
    )
    invite_days: int = Field(7, ge=1, le=365, description="How long an invitation is good, unless it says otherwise.")
    invites_per_account: Positive = Field(20, description="Invitations of one account that are open at once.")
    landing_page: str = Field(
        "",
        description="Begin of a page's address that explains invitations to people without a client, as "
        '"https://example.org/i/#"; what follows "xmpp:" is put behind it. Empty: none.',
    )


class TurnConfig(Section):
    """[turn]: relays for calls, told to accounts with credentials that end by themselves (XEP-0215)."""

    hosts: Texts = Field((), description="Names or addresses of STUN and TURN servers.")
    port: int = Field(3478, ge=0, le=65_535, description="Their port, by UDP and TCP. 0: none.")
    tls_port: int = Field(5349, ge=0, le=65_535, description="Their port for TURN inside TLS. 0: none.")
    secret: Annotated[SecretStr | None, BeforeValidator(lambda value: value or None)] = Field(
        None, description="What they share with us (coturn: static-auth-secret). Empty: STUN alone."
    )
    lifetime_s: float = Field(
        43_200, ge=60, le=604_800, description="How long credentials are good; a call that lasts longer is cut."
    )
    stun: bool = Field(True, description="Whether they do STUN as well.")


class StorageConfig(Section):
    """[storage]"""

    url: str = Field(
        "",
        repr=False,
        description="Where accounts and messages are kept: sqlite:PATH, or "
        "cassandra://[user:password@]host1,host2[:port]/keyspace[?dc=NAME&consistency=LOCAL_QUORUM]. "
        "Empty: sqlite:xmppd.db in server.data_dir. The settings below are for Cassandra.",
    )
    password: SecretStr = Field(SecretStr(""), description="Password for the cluster, instead of one in the URL.")
    replicas: dict[str, Positive] = Field(
        default_factory=dict,
        description="For xmppd storage init: copies of everything by datacenter, {east = 3}. Empty: 3 in the URL's.",
    )
    tls: bool = Field(False, description="Speak TLS with the cluster.")
    tls_ca: OptionalPath = Field(None, description="PEM file of the authorities of its nodes, instead of the system's.")
    tls_certificate: OptionalPath = Field(None, description="PEM file of our certificate, where nodes ask for one.")
    tls_key: OptionalPath = Field(None, description="PEM file of its key; it may be in the certificate's file.")
    tls_check_names: bool = Field(True, description="A node's certificate must name the node's address.")
    max_in_flight: Positive = Field(64, description="Requests that nodes have not answered; more wait here.")
    max_waiting_mb: Positive = Field(
        64, description="Writes that the cluster has not taken, in megabytes of memory; more are refused."
    )
    timeout_s: Seconds = Field(5.0, gt=0, description="After which a request counts as unanswered, and is sent again.")
    patience_s: Seconds = Field(10.0, description="How long a read is tried before it fails; writes wait for ever.")
    start_patience_s: Seconds = Field(60.0, description="How long a start waits for the cluster.")
    speculative_ms: Count = Field(
        100, description="A read that takes longer is asked of a second replica too. 0: never."
    )

    @field_validator("url")
    @classmethod
    def _resolve(cls, value: str, info: ValidationInfo) -> str:
        scheme, colon, path = value.partition(":")
        if not value or value.startswith("cassandra://"):
            return value
        if scheme != "sqlite" or not colon or not path:
            shown = value.rpartition("@")[2]  # there may be a password before it
            raise ValueError(f'"{shown}" is not known; this version has "sqlite:PATH" and "cassandra://HOSTS/KEYSPACE"')
        return f"sqlite:{resolved(path, info)}"


class ArchiveConfig(Section):
    """[archive]"""

    enabled: bool = Field(True, description="Keep messages (XEP-0313).")
    default: Literal["always", "roster", "never"] = Field(
        "always", description="Whose messages are kept for an account that has not chosen: always, roster, never."
    )
    expire_days: Count = Field(0, description="Forget messages after so many days. 0: never.")
    page_max: Positive = Field(100, description="Messages in one answer, whatever the client asks.")


class PubSubConfig(Section):
    """[pubsub]: what each account may publish (XEP-0060, XEP-0163)."""

    item_bytes: Positive = Field(
        196_608, description="The payload of one item; the largest avatars fit, and so does the stanza around it."
    )
    nodes_per_account: Positive = Field(250, description="Nodes of one account; OMEMO takes one for each device.")
    items_per_node: Positive = Field(
        1_000, description='Items that one node keeps, and what "max" stands for; bookmarks are one item a room.'
    )


class RoomsConfig(Section):
    """[rooms]: chat rooms (XEP-0045)."""

    enabled: bool = Field(True, description="Serve rooms.")
    prefix: str = Field(
        "conference",
        pattern="^[a-z0-9-]+$",
        description="Rooms of example.org are at conference.example.org; another word there.",
    )
    create: Literal["everyone", "local", "admins"] = Field(
        "local", description="Who may make rooms: everyone, accounts of this server (local), or admins."
    )
    max_rooms_per_account: Count = Field(200, description="Rooms that one account may make. 0: no limit.")
    max_occupants: Positive = Field(
        2_000, description="Occupants of one room; each message goes to all of them, each entry too."
    )
    history: int = Field(
        20, ge=0, le=200, description="Messages that a newcomer gets, unless the room's owner changes it."
    )
    archive: bool = Field(
        True, description="Keep the messages of new rooms (XEP-0313), unless the room's owner changes it."
    )
    messages_per_s: float = Field(
        20, gt=0, le=10_000, description="Messages of one occupant, lasting; faster ones get a policy-violation."
    )
    messages_burst: float = Field(200, ge=1, le=100_000, description="Messages of one occupant at once.")


class HTTPConfig(Section):
    """[http]"""

    listen: Addresses = Field(
        ("127.0.0.1:5280",),
        description="Addresses of the page that shows how it is, with /metrics, /health and /ready.",
    )


class LogConfig(Section):
    """[log]"""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error; debug shows stanzas."
    )
    format: Literal["text", "json"] = Field("text", description="text or json, one line an event, on stderr.")

    @field_validator("level", "format", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class ModulesConfig(Section):
    """[modules]"""

    enabled: Texts = Field(
        (), description="Modules to load besides the usual ones: a name in xmppd/modules, or a dotted path."
    )
    disabled: Texts = Field((), description="Usual modules to leave out, by the same names.")


class ContactsConfig(Section):
    """[contacts]: where people reach whoever runs the server (XEP-0157); each a list of URIs."""

    abuse: Texts = Field((), description="Addresses for reports of abuse, as URIs: mailto:, xmpp:, https:.")
    admin: Texts = Field((), description="Addresses of the administrators.")
    feedback: Texts = Field((), description="Addresses for feedback.")
    outage: Texts = Field(
        (),
        description="Web addresses, on other machines than this one, of a file that says what is wrong while it is down "
        "(XEP-0455).",
    )
    sales: Texts = Field((), description="Addresses for sales.")
    security: Texts = Field((), description="Addresses for reports of weaknesses.")
    status: Texts = Field((), description="Where the state of the service is shown.")
    support: Texts = Field((), description="Addresses for help.")


class Config(Section):
    """All settings."""

    server: ServerConfig
    admin: AdminConfig
    tls: TLSConfig
    c2s: C2SConfig
    s2s: S2SConfig
    components: ComponentsConfig
    limits: LimitsConfig
    scram: ScramConfig
    registration: RegistrationConfig
    turn: TurnConfig
    storage: StorageConfig
    archive: ArchiveConfig
    rooms: RoomsConfig
    pubsub: PubSubConfig
    push: PushConfig
    media: MediaConfig
    http: HTTPConfig
    log: LogConfig
    modules: ModulesConfig
    contacts: ContactsConfig

    @property
    def storage_url(self) -> str:
        """Where data is kept, with the default filled in."""
        return self.storage.url or f"sqlite:{self.server.data_dir / 'xmppd.db'}"

    @property
    def media_url(self) -> str:
        """Where files are kept, with the default filled in."""
        return self.media.url or f"file:{self.server.data_dir / 'media'}"

    @property
    def control_path(self) -> Path:
        """The unix socket on which the command line talks to the server."""
        return self.server.data_dir / "control.sock"

    @property
    def module_names(self) -> tuple[str, ...]:
        """The modules to load, in order."""
        names = (*DEFAULT_MODULES, *self.modules.enabled)
        return tuple(dict.fromkeys(name for name in names if name not in self.modules.disabled))

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Make every section, so that its defaults are taken from the right folder.

        Direct TLS and other servers cannot be served without a certificate; who did not ask for them does without.
        """
        if not isinstance(data, dict):
            return data
        filled: dict[str, Any] = {name: {} for name in cls.model_fields} | data
        tls = filled["tls"]
        if isinstance(tls, dict) and not tls.get("certificate") and not tls.get("domains"):
            for section, without in (("c2s", {"direct_tls": ()}), ("s2s", {"listen": ()})):
                if isinstance(filled[section], dict):
                    filled[section] = without | filled[section]
        return filled

    def contradictions(self) -> list[str]:
        """Return a line for each thing that every section allows but that does not work together."""
        found = []
        if not self.tls.is_configured:
            if self.c2s.direct_tls:
                found.append("c2s.direct_tls needs tls.certificate")
            if self.c2s.listen and self.c2s.require_tls:
                found.append("c2s.require_tls needs tls.certificate (xmppd init makes one), or must be false")
            if self.s2s.direct_tls:
                found.append("s2s.direct_tls needs tls.certificate")
        for domain in self.components.domains:
            if domain in self.server.domains:
                found.append(f"components.domains: {domain} is in server.domains; a component has a domain of its own")
        if self.media.url.startswith("s3:") and not (
            self.media.s3_access_key and self.media.s3_secret_key.get_secret_value()
        ):
            found.append("media.url names an S3 store: media.s3_access_key and media.s3_secret_key are needed")
        if self.components.domains and not self.components.listen:
            found.append('components.domains needs components.listen, such as "127.0.0.1:5347"')
        for address in self.c2s.proxy_protocol:
            if address not in (*self.c2s.listen, *self.c2s.direct_tls):
                found.append(f"c2s.proxy_protocol: {address} is in neither c2s.listen nor c2s.direct_tls")
        return found
