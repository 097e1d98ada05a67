"""People, rooms, servers, ids, moments and texts, all invented: what our own stanzas are made of."""

import base64
import datetime
import random
import uuid
from dataclasses import dataclass

from codec.train.phrases import SHORT, phrases

NAMES = [
    "anna",
    "boris",
    "clara",
    "david",
    "elif",
    "felix",
    "gina",
    "hugo",
    "irina",
    "jonas",
    "katja",
    "luca",
    "maria",
    "niko",
    "olga",
    "pablo",
    "ruth",
    "stefan",
    "tomas",
    "ulla",
    "viktor",
    "wanda",
    "yusra",
    "zora",
    "amina",
    "ben",
    "carmen",
    "dario",
    "emil",
    "freya",
    "greta",
    "henk",
    "ines",
    "jakob",
]
FAMILIES = [
    "adler",
    "bauer",
    "costa",
    "dietrich",
    "eriksen",
    "fontana",
    "gruber",
    "hansen",
    "ito",
    "jansen",
    "kaya",
    "lindqvist",
    "moreau",
    "nowak",
    "olsen",
    "petrov",
    "ramos",
    "schneider",
    "torres",
    "urban",
    "vogel",
    "weiss",
    "yildiz",
    "zimmer",
]
SERVERS = [
    "xmpp.example",
    "chat.sample.net",
    "im.verein.example",
    "jabber.uni.example",
    "talk.home.example",
    "mail.firma.example",
    "messages.example.com",
    "social.example.net",
]
CAPS_NODES = [
    "http://conversations.im",
    "https://gajim.org",
    "http://gajim.org",
    "https://dino.im",
    "http://monal-im.org/",
    "https://movim.eu/",
    "http://psi-im.org",
    "https://profanity-im.github.io",
    "http://cheogram.com",
    "https://www.kaidan.im",
    "http://tigase.org/TigaseSwift",
    "http://pidgin.im/",
    "https://xabber.com",
    "http://prosody.im",
    "http://www.process-one.net/en/ejabberd/",
    "https://monocles.chat",
    "http://mcabber.com/caps",
    "https://www.zom.im",
    "http://swift.im",
    "https://blabber.im",
    "https://conversejs.org",
]
FEATURES = [
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "http://jabber.org/protocol/caps",
    "http://jabber.org/protocol/caps+notify",
    "http://jabber.org/protocol/muc",
    "http://jabber.org/protocol/muc#user",
    "http://jabber.org/protocol/nick",
    "http://jabber.org/protocol/nick+notify",
    "http://jabber.org/protocol/chatstates",
    "http://jabber.org/protocol/commands",
    "http://jabber.org/protocol/bytestreams",
    "http://jabber.org/protocol/ibb",
    "http://jabber.org/protocol/pubsub",
    "http://jabber.org/protocol/pubsub#publish",
    "http://jabber.org/protocol/pubsub#publish-options",
    "http://jabber.org/protocol/pubsub#persistent-items",
    "http://jabber.org/protocol/pubsub#retrieve-items",
    "http://jabber.org/protocol/pubsub#auto-create",
    "http://jabber.org/protocol/pubsub#event",
    "http://jabber.org/protocol/pubsub#access-open",
    "http://jabber.org/protocol/pubsub#access-presence",
    "http://jabber.org/protocol/pubsub#access-whitelist",
    "http://jabber.org/protocol/pubsub#config-node",
    "http://jabber.org/protocol/pubsub#create-nodes",
    "http://jabber.org/protocol/pubsub#delete-nodes",
    "http://jabber.org/protocol/pubsub#item-ids",
    "http://jabber.org/protocol/pubsub#last-published",
    "http://jabber.org/protocol/pubsub#multi-items",
    "http://jabber.org/protocol/pubsub#retract-items",
    "http://jabber.org/protocol/pubsub#subscribe",
    "http://jabber.org/protocol/pubsub#purge-nodes",
    "http://jabber.org/protocol/mood",
    "http://jabber.org/protocol/mood+notify",
    "http://jabber.org/protocol/tune",
    "http://jabber.org/protocol/tune+notify",
    "http://jabber.org/protocol/activity",
    "http://jabber.org/protocol/activity+notify",
    "http://jabber.org/protocol/geoloc",
    "http://jabber.org/protocol/geoloc+notify",
    "http://jabber.org/protocol/xhtml-im",
    "http://jabber.org/protocol/rosterx",
    "http://jabber.org/protocol/rsm",
    "http://jabber.org/protocol/si",
    "http://jabber.org/protocol/si/profile/file-transfer",
    "http://jabber.org/protocol/address",
    "http://jabber.org/protocol/offline",
    "http://jabber.org/protocol/amp",
    "jabber:iq:last",
    "jabber:iq:version",
    "jabber:iq:roster",
    "jabber:iq:private",
    "jabber:iq:register",
    "jabber:iq:search",
    "jabber:iq:time",
    "jabber:iq:privacy",
    "jabber:x:data",
    "jabber:x:oob",
    "jabber:x:conference",
    "jabber:x:encrypted",
    "msgoffline",
    "vcard-temp",
    "vcard-temp:x:update",
    "iq",
    "urn:xmpp:time",
    "urn:xmpp:ping",
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:sid:0",
    "urn:xmpp:carbons:2",
    "urn:xmpp:csi:0",
    "urn:xmpp:sm:3",
    "urn:xmpp:mam:2",
    "urn:xmpp:mam:2#extended",
    "urn:xmpp:blocking",
    "urn:xmpp:push:0",
    "urn:xmpp:http:upload:0",
    "urn:xmpp:extdisco:2",
    "urn:xmpp:extdisco:1",
    "urn:xmpp:bob",
    "urn:xmpp:eme:0",
    "urn:xmpp:hints",
    "urn:xmpp:idle:1",
    "urn:xmpp:attention:0",
    "urn:xmpp:spoiler:0",
    "urn:xmpp:styling:0",
    "urn:xmpp:reactions:0",
    "urn:xmpp:reply:0",
    "urn:xmpp:fallback:0",
    "urn:xmpp:message-retract:0",
    "urn:xmpp:message-retract:1",
    "urn:xmpp:message-moderate:0",
    "urn:xmpp:message-moderate:1",
    "urn:xmpp:occupant-id:0",
    "urn:xmpp:sfs:0",
    "urn:xmpp:sce:1",
    "urn:xmpp:sims:1",
    "urn:xmpp:hashes:2",
    "urn:xmpp:hash-function-text-names:sha-1",
    "urn:xmpp:hash-function-text-names:sha-256",
    "urn:xmpp:hash-function-text-names:sha-512",
    "urn:xmpp:thumbs:1",
    "urn:xmpp:forward:0",
    "urn:xmpp:delay",
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:apps:rtp:1",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
    "urn:xmpp:jingle:apps:dtls:0",
    "urn:xmpp:jingle:apps:file-transfer:3",
    "urn:xmpp:jingle:apps:file-transfer:4",
    "urn:xmpp:jingle:apps:file-transfer:5",
    "urn:xmpp:jingle:apps:grouping:0",
    "urn:xmpp:jingle:apps:rtp:rtcp-fb:0",
    "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0",
    "urn:xmpp:jingle:apps:rtp:ssma:0",
    "urn:xmpp:jingle:transports:ice-udp:1",
    "urn:xmpp:jingle:transports:ice:0",
    "urn:xmpp:jingle:transports:raw-udp:1",
    "urn:xmpp:jingle:transports:s5b:1",
    "urn:xmpp:jingle:transports:ibb:1",
    "urn:xmpp:jingle:transports:dtls-sctp:1",
    "urn:xmpp:jingle:transports:webrtc-datachannel:1",
    "urn:xmpp:jingle:jet:0",
    "urn:xmpp:jingle:jet-omemo:0",
    "urn:xmpp:jingle-message:0",
    "urn:xmpp:call-invites:0",
    "urn:xmpp:avatar:metadata",
    "urn:xmpp:avatar:metadata+notify",
    "urn:xmpp:avatar:data",
    "urn:xmpp:pep-vcard-conversion:0",
    "urn:xmpp:bookmarks:1",
    "urn:xmpp:bookmarks:1+notify",
    "urn:xmpp:bookmarks:1#compat",
    "urn:xmpp:bookmarks-conversion:0",
    "storage:bookmarks+notify",
    "urn:xmpp:mds:displayed:0",
    "urn:xmpp:mds:displayed:0+notify",
    "urn:xmpp:omemo:2",
    "urn:xmpp:omemo:2:devices+notify",
    "eu.siacs.conversations.axolotl.devicelist+notify",
    "eu.siacs.conversations.axolotl",
    "urn:xmpp:openpgp:0",
    "urn:xmpp:ox:0",
    "urn:xmpp:caps",
    "urn:xmpp:features:rosterver",
    "urn:xmpp:jid\\20escaping",
    "urn:xmpp:captcha",
    "urn:xmpp:media-element",
    "urn:xmpp:reference:0",
    "urn:xmpp:privacylabel",
    "urn:xmpp:rtt:0",
    "urn:xmpp:vcard4",
    "urn:ietf:params:xml:ns:vcard-4.0",
    "urn:ietf:params:xml:ns:xmpp-session",
    "muc_public",
    "muc_persistent",
    "muc_open",
    "muc_membersonly",
    "muc_hidden",
    "muc_moderated",
    "muc_unmoderated",
    "muc_nonanonymous",
    "muc_semianonymous",
    "muc_passwordprotected",
    "muc_unsecured",
    "muc_temporary",
    "http://jabber.org/protocol/muc#self-ping-optimization",
    "http://jabber.org/protocol/muc#stable_id",
    "http://jabber.org/protocol/muc#register",
    "http://jabber.org/protocol/muc#roomconfig",
    "http://jabber.org/protocol/pubsub#owner",
    "urn:xmpp:sasl:2",
    "urn:xmpp:bind:0",
    "urn:xmpp:fast:0",
]
OMEMO_TEXT = (
    "I sent you an OMEMO encrypted message but your client doesn\u2019t seem to support that. Find more information on"
    " https://conversations.im/omemo"
)
"""What clients put beside an encrypted message; part of the protocol as it is spoken."""


@dataclass(frozen=True)
class Contact:
    """Somebody on the other side: bare JID, resource, name, style of client."""

    jid: str
    resource: str
    name: str
    style: str
    caps: tuple[str, str]

    @property
    def full(self) -> str:
        return f"{self.jid}/{self.resource}"


class World:
    """One user, with contacts and rooms; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        pick = self.random.choice
        self.domain = pick(SERVERS)
        self.bare = f"{self.local()}@{self.domain}"
        self.me = f"{self.bare}/{self.resource()}"
        self.style = pick(("conversations", "conversations", "monal", "gajim", "dino"))
        self.nick = pick(NAMES).capitalize()
        self.stanza_ids = pick(("base64", "decimal", "uuid"))
        self.contacts = [self.contact() for _ in range(30)]
        self.rooms = [
            f"{pick(('team', 'garden', 'band', 'devel', 'lobby'))}{index}@{pick(('conference', 'muc', 'rooms', 'chat'))}.{self.domain}"
            for index in range(4)
        ]
        self.languages = phrases()

    # parts

    def local(self) -> str:
        name, family = self.random.choice(NAMES), self.random.choice(FAMILIES)
        return self.random.choice(
            (name, f"{name}.{family}", f"{name}{self.random.randrange(100)}", f"{name[0]}{family}")
        )

    def resource(self) -> str:
        kind = self.random.randrange(12)
        prefix = (
            "Conversations.",
            "Conversations.",
            "Conversations.",
            "gajim.",
            "dino.",
            "Monal-iOS.",
            "profanity.",
            "Cheogram.",
            "kaidan.",
        )
        if kind < len(prefix):
            return prefix[kind] + self.url64(self.random.choice((3, 6)))
        if kind == 9:
            return self.random.choice(("phone", "mobile", "home", "laptop", "Psi+", "Siskin", "movim", "tablet"))
        return self.uuid() if kind == 10 else f"{self.random.choice(('phone', 'pc', 'converse.js'))}-{self.hex(4)}"

    def contact(self) -> Contact:
        domain = self.domain if self.random.random() < 0.4 else self.random.choice(SERVERS)
        style = self.random.choice(
            ("conversations", "conversations", "conversations", "dino", "gajim", "monal", "pidgin")
        )
        name = self.random.choice(NAMES).capitalize()
        if self.random.random() < 0.5:
            name += f" {self.random.choice(FAMILIES).capitalize()}"
        caps = (self.random.choice(CAPS_NODES), self.b64(20))
        return Contact(f"{self.local()}@{domain}", self.resource(), name, style, caps)

    def bytes(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def b64(self, size: int) -> str:
        return base64.b64encode(self.bytes(size)).decode()

    def url64(self, size: int) -> str:
        return base64.urlsafe_b64encode(self.bytes(size)).decode().rstrip("=")

    def hex(self, size: int) -> str:
        return self.bytes(size).hex()

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self.bytes(16), version=4))

    def id(self, style: str | None = None) -> str:
        style = style or self.style
        if style == "conversations":
            return self.url64(16) if self.random.random() < 0.6 else self.b64(9)
        if style == "monal":
            return self.uuid().upper()
        if style == "pidgin":
            return f"purple{self.random.randrange(1 << 32):x}"
        return self.uuid()

    def sid(self) -> str:
        if self.stanza_ids == "base64":
            return base64.urlsafe_b64encode(self.bytes(18)).decode()
        if self.stanza_ids == "uuid":
            return self.uuid()
        return str(1_700_000_000_000_000 + self.random.randrange(200_000_000_000_000))

    def stamp(self) -> str:
        moment = datetime.datetime(2024, 1, 1) + datetime.timedelta(seconds=self.random.randrange(90_000_000))
        fraction = f".{self.random.randrange(1_000_000):06}" if self.stanza_ids == "decimal" else ""
        return f"{moment.isoformat()}{fraction}Z"

    def text(self) -> str:
        if self.random.random() < 0.2:
            return self.random.choice(SHORT)
        names = list(self.languages)
        name = self.random.choices(names, [self.languages[key][0] for key in names])[0]
        sentences = self.languages[name][1]
        first, second = self.random.choice(sentences), self.random.choice(sentences)
        if self.random.random() < 0.5 and " " in first and " " in second:
            words, others = first.split(), second.split()
            first = " ".join(
                words[: self.random.randrange(1, len(words) + 1)] + others[self.random.randrange(len(others)) :]
            )
        if self.random.random() < 0.3:
            first += self.random.choice((" ", "\n")) + second
        return first

    def maybe(self, chance: float, xml: str) -> str:
        return xml if self.random.random() < chance else ""
