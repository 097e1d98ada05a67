"""Stanzas such as phones see, made by rule: what a dictionary of the package is trained on.

The people, rooms, servers and ids are invented, the texts are ours (`phrases.py`). The same seed gives the same bytes.
"""

import re
from collections.abc import Callable, Iterator

from codec.element import escape_value as escape
from codec.train.templates import TEMPLATES
from codec.train.world import CAPS_NODES, FAMILIES, FEATURES, NAMES, OMEMO_TEXT, Contact, World


def quoted(text: str) -> str:
    """Return a text as the value of an attribute."""
    return f"'{escape(text)}'"


class Generator(World):
    """One user's world; `lines()` gives what crosses the wire, as (category, direction, XML)."""

    # kinds

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Give one round of everything, the frequent kinds more often."""
        kinds: list[tuple[int, str, Callable[[], tuple[str, str]]]] = [
            (90, "chat", self.chat),
            (70, "muc", self.muc),
            (30, "receipt", self.receipt),
            (24, "marker", self.marker),
            (30, "chatstate", self.chat_state),
            (30, "omemo", self.omemo),
            (60, "presence", self.presence),
            (40, "muc_presence", self.muc_presence),
            (10, "reaction", self.reaction),
            (6, "correction", self.correction),
            (6, "file", self.file),
            (12, "carbon", self.carbon),
            (50, "mam", self.archived),
            (2, "roster", self.roster),
            (4, "disco", self.disco),
        ]
        for count, category, make in kinds:
            for _ in range(count):
                direction, xml = make()
                yield category, direction, xml
        yield from self.rarer()

    def rarer(self) -> Iterator[tuple[str, str, str]]:
        for line in TEMPLATES.strip().splitlines():
            weight, direction, xml = line.split(" ", 2)
            for _ in range(max(1, int(weight) // 4)):
                yield "rare", "s2c" if direction == "<" else "c2s", self.fill(xml)

    def fill(self, xml: str) -> str:
        contact, room = self.random.choice(self.contacts), self.random.choice(self.rooms)
        places: dict[str, Callable[[], str]] = {
            "me": lambda: self.me,
            "bare": lambda: self.bare,
            "domain": lambda: self.domain,
            "full": lambda: contact.full,
            "contact": lambda: contact.jid,
            "room": lambda: room,
            "nick": lambda: self.random.choice(NAMES).capitalize(),
            "id": self.id,
            "uuid": self.uuid,
            "sid": self.sid,
            "stamp": self.stamp,
            "text": self.text,
            "word": lambda: self.random.choice(NAMES + FAMILIES).capitalize(),
            "dec": lambda: str(self.random.randrange(1, 1 << 31)),
            "capsnode": lambda: self.random.choice(CAPS_NODES),
        }
        sized: dict[str, Callable[[int], str]] = {
            "b64": self.b64,
            "url64": self.url64,
            "hex": self.hex,
            "int": lambda size: str(self.random.randrange(1, 10**size)),
            "colons": lambda size: self.bytes(size).hex(":").upper(),
        }

        def place(match: re.Match[str]) -> str:
            name = match.group(1)
            if name in places:
                return escape(places[name]())
            kind, size = re.fullmatch(r"(b64|url64|hex|int|colons)(\d+)", name).groups()  # type: ignore[union-attr]
            return sized[kind](int(size))

        return re.sub(r"\{(\w+)\}", place, xml)

    def envelope(self, contact: Contact, inbound: bool, id_: str | None, type_: str = "chat") -> str:
        if inbound:
            to = self.me if self.random.random() < 0.6 else self.bare
            head = f"<message from={quoted(contact.full)} to={quoted(to)}"
        else:
            head = f"<message to={quoted(contact.full if self.random.random() < 0.3 else contact.jid)}"
        if id_:
            head += f" id={quoted(id_)}"
        head += f" type='{type_}'" if type_ else ""
        return head + self.maybe(0.2, f" xml:lang='{self.random.choice(('en', 'de', 'fr'))}'") + ">"

    def archive_id(self, inbound: bool, by: str | None = None) -> str:
        return (
            f"<stanza-id xmlns='urn:xmpp:sid:0' id={quoted(self.sid())} by={quoted(by or self.bare)}/>"
            if inbound
            else ""
        )

    def way(self) -> tuple[Contact, bool, str, str]:
        contact, inbound = self.random.choice(self.contacts), self.random.random() < 0.6
        style = contact.style if inbound else self.style
        return contact, inbound, style, self.id(style)

    def chat(self) -> tuple[str, str]:
        contact, inbound, style, id_ = self.way()
        xml = self.envelope(contact, inbound, id_) + self.content(style, id_) + self.archive_id(inbound)
        xml += self.maybe(0.04, f"<delay xmlns='urn:xmpp:delay' from='{self.domain}' stamp='{self.stamp()}'/>")
        return "s2c" if inbound else "c2s", xml + "</message>"

    def content(self, style: str, id_: str, is_room: bool = False) -> str:
        origin = f"<origin-id xmlns='urn:xmpp:sid:0' id={quoted(id_)}/>"
        markable = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
        request = "" if is_room else "<request xmlns='urn:xmpp:receipts'/>"
        active = self.maybe(0.7, "<active xmlns='http://jabber.org/protocol/chatstates'/>")
        body = f"<body>{escape(self.text())}</body>"
        quote = ""
        if self.random.random() < 0.08:
            quote = f"<reply xmlns='urn:xmpp:reply:0' id={quoted(self.id(style))} to={quoted(self.bare)}/>"
            quote += f"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='{self.random.randrange(10, 90)}'/></fallback>"
        thread = self.maybe(0.04, f"<thread>{self.uuid()}</thread>")
        if style == "pidgin":
            return body + active + request
        if self.random.random() < 0.5:
            return body + quote + origin + request + markable + active + thread
        return body + thread + request + markable + active + origin + quote

    def muc(self) -> tuple[str, str]:
        room, inbound = self.random.choice(self.rooms), self.random.random() < 0.9
        contact = self.random.choice(self.contacts)
        id_ = self.id(contact.style if inbound else self.style)
        if not inbound:
            return (
                "c2s",
                f"<message to='{room}' id={quoted(id_)} type='groupchat'>{self.content(self.style, id_, True)}</message>",
            )
        nick = contact.name.split()[0]
        head = f"<message from={quoted(f'{room}/{nick}')} to={quoted(self.me)} id={quoted(id_)} type='groupchat'"
        xml = head + self.maybe(0.15, " xml:lang='en'") + ">" + self.content(contact.style, id_, True)
        occupant = f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{self.b64(32) if self.random.random() < 0.5 else self.hex(32)}'/>"
        tail = [occupant, self.archive_id(True, room)]
        if self.random.random() < 0.5:
            tail.reverse()
        xml += "".join(tail) + self.maybe(0.1, f"<delay xmlns='urn:xmpp:delay' from='{room}' stamp='{self.stamp()}'/>")
        return "s2c", xml + "</message>"

    def receipt(self) -> tuple[str, str]:
        contact, inbound, style, id_ = self.way()
        xml = self.envelope(contact, inbound, id_, "chat" if self.random.random() < 0.8 else "")
        xml += f"<received xmlns='urn:xmpp:receipts' id={quoted(self.id(style))}/>" + self.maybe(
            0.5, "<store xmlns='urn:xmpp:hints'/>"
        )
        return "s2c" if inbound else "c2s", xml + self.maybe(0.3, self.archive_id(inbound)) + "</message>"

    def marker(self) -> tuple[str, str]:
        contact, inbound, style, id_ = self.way()
        kind = self.random.choice(("displayed", "displayed", "displayed", "received", "acknowledged"))
        xml = (
            self.envelope(contact, inbound, id_)
            + f"<{kind} xmlns='urn:xmpp:chat-markers:0' id={quoted(self.id(style))}/>"
        )
        return "s2c" if inbound else "c2s", xml + self.maybe(0.8, "<store xmlns='urn:xmpp:hints'/>") + self.archive_id(
            inbound
        ) + "</message>"

    def chat_state(self) -> tuple[str, str]:
        contact, inbound, _, id_ = self.way()
        state = self.random.choice(("composing", "composing", "paused", "active", "inactive", "gone"))
        xml = self.envelope(contact, inbound, id_ if self.random.random() < 0.5 else None)
        xml += f"<{state} xmlns='http://jabber.org/protocol/chatstates'/>" + self.maybe(
            0.7, "<no-store xmlns='urn:xmpp:hints'/>"
        )
        return "s2c" if inbound else "c2s", xml + self.maybe(
            0.1, "<no-permanent-store xmlns='urn:xmpp:hints'/>"
        ) + "</message>"

    def omemo(self) -> tuple[str, str]:
        contact, inbound, _, id_ = self.way()
        ns = self.random.choice(
            ("eu.siacs.conversations.axolotl", "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2")
        )
        keys = [
            (self.random.randrange(1, 1 << 31), self.b64(self.random.choice((60, 60, 180))))
            for _ in range(self.random.randrange(1, 5))
        ]
        sender = self.random.randrange(1, 1 << 31)
        if ns == "urn:xmpp:omemo:2":
            rows = "".join(
                f"<key rid='{rid}'{self.maybe(0.1, ' kex=' + chr(39) + 'true' + chr(39))}>{data}</key>"
                for rid, data in keys
            )
            header = f"<header sid='{sender}'><keys jid={quoted(contact.jid)}>{rows}</keys></header>"
        else:
            rows = "".join(
                f"<key rid='{rid}'{self.maybe(0.1, ' prekey=' + chr(39) + 'true' + chr(39))}>{data}</key>"
                for rid, data in keys
            )
            header = f"<header sid='{sender}'>{rows}<iv>{self.b64(12)}</iv></header>"
        payload = self.maybe(0.95, f"<payload>{self.b64(self.random.randrange(8, 160))}</payload>")
        xml = self.envelope(contact, inbound, id_) + f"<encrypted xmlns='{ns}'>{header}{payload}</encrypted>"
        origin = f"<origin-id xmlns='urn:xmpp:sid:0' id={quoted(id_)}/>"
        rest = [
            "<request xmlns='urn:xmpp:receipts'/>",
            "<markable xmlns='urn:xmpp:chat-markers:0'/>",
            origin,
            "<store xmlns='urn:xmpp:hints'/>",
        ]
        named = ns if ns != "urn:xmpp:omemo:2" else "urn:xmpp:omemo:2"
        xml += "".join(rest if self.random.random() < 0.5 else [rest[2], rest[0], rest[1], rest[3]])
        xml += f"<encryption xmlns='urn:xmpp:eme:0' namespace='{named}' name='OMEMO'/>" + self.maybe(
            0.8, f"<body>{OMEMO_TEXT}</body>"
        )
        return "s2c" if inbound else "c2s", xml + self.archive_id(inbound) + "</message>"

    def presence_content(self, contact: Contact) -> str:
        xml = self.maybe(0.4, f"<show>{self.random.choice(('away', 'xa', 'dnd', 'chat'))}</show>")
        xml += self.maybe(0.12, f"<status>{escape(self.text())}</status>")
        xml += self.maybe(0.4, f"<priority>{self.random.choice((0, 1, 5, 10, 50, 127, -1))}</priority>")
        xml += f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node={quoted(contact.caps[0])} ver='{contact.caps[1]}'/>"
        xml += self.maybe(0.25, f"<idle xmlns='urn:xmpp:idle:1' since='{self.stamp().split('.')[0].rstrip('Z')}Z'/>")
        return xml + self.maybe(
            0.7, f"<x xmlns='vcard-temp:x:update'><photo>{self.maybe(0.9, self.hex(20))}</photo></x>"
        )

    def presence(self) -> tuple[str, str]:
        contact = self.random.choice(self.contacts)
        if self.random.random() < 0.15:
            return "c2s", f"<presence id={quoted(self.id())}>{self.presence_content(contact)}</presence>"
        head = f"<presence from={quoted(contact.full)} to={quoted(self.me)}"
        if self.random.random() < 0.25:
            return "s2c", head + " type='unavailable'/>"
        head += self.maybe(0.3, f" id={quoted(self.id(contact.style))}") + self.maybe(0.4, " xml:lang='en'") + ">"
        late = self.maybe(0.15, f"<delay xmlns='urn:xmpp:delay' from={quoted(contact.full)} stamp='{self.stamp()}'/>")
        return "s2c", head + self.presence_content(contact) + late + "</presence>"

    def muc_presence(self) -> tuple[str, str]:
        contact, room = self.random.choice(self.contacts), self.random.choice(self.rooms)
        head = f"<presence from={quoted(f'{room}/{contact.name.split()[0]}')} to={quoted(self.me)}"
        jid = self.maybe(0.5, f" jid={quoted(contact.full)}")
        affiliation = self.random.choice(("member", "member", "none", "none", "owner", "admin"))
        gone = self.random.random() < 0.2
        role = (
            "none"
            if gone
            else self.random.choice(("participant", "participant", "participant", "moderator", "visitor"))
        )
        item = f"<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='{affiliation}'{jid} role='{role}'/>"
        item += (
            self.maybe(0.05, "<status code='100'/><status code='110'/>")
            + self.maybe(0.05, "<status code='110'/>")
            + "</x>"
        )
        occupant = f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{self.b64(32) if self.random.random() < 0.5 else self.hex(32)}'/>"
        if gone:
            return "s2c", head + " type='unavailable'>" + item + self.maybe(0.8, occupant) + "</presence>"
        head += self.maybe(0.3, f" id={quoted(self.id(contact.style))}") + self.maybe(0.3, " xml:lang='en'") + ">"
        parts = [self.presence_content(contact), item, self.maybe(0.9, occupant)]
        if self.random.random() < 0.3:
            parts = [parts[0], parts[2], parts[1]]
        return "s2c", head + "".join(parts) + "</presence>"

    def reaction(self) -> tuple[str, str]:
        contact, inbound, style, id_ = self.way()
        marks = "".join(
            f"<reaction>{mark}</reaction>"
            for mark in self.random.sample("👍❤😂😮😢🙏🎉🔥", self.random.choice((1, 1, 1, 2)))
        )
        xml = (
            self.envelope(contact, inbound, id_)
            + f"<reactions xmlns='urn:xmpp:reactions:0' id={quoted(self.id(style))}>{marks}</reactions>"
        )
        return "s2c" if inbound else "c2s", xml + "<store xmlns='urn:xmpp:hints'/>" + self.archive_id(
            inbound
        ) + "</message>"

    def correction(self) -> tuple[str, str]:
        contact, inbound, style, id_ = self.way()
        other = quoted(self.id(style))
        if self.random.random() < 0.4:
            xml = f"<retract xmlns='urn:xmpp:message-retract:1' id={other}/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><body>{escape(self.text())}</body><store xmlns='urn:xmpp:hints'/>"
        else:
            xml = f"<body>{escape(self.text())}</body><replace xmlns='urn:xmpp:message-correct:0' id={other}/><origin-id xmlns='urn:xmpp:sid:0' id={quoted(id_)}/>"
        return "s2c" if inbound else "c2s", self.envelope(contact, inbound, id_) + xml + self.archive_id(
            inbound
        ) + "</message>"

    def file(self) -> tuple[str, str]:
        contact, inbound, _, id_ = self.way()
        path = self.random.choice((f"upload/{self.uuid()}", f"file_share/{self.uuid()}", self.hex(20)))
        url = f"https://upload.{self.domain}{self.random.choice(('', ':5281', ':5443'))}/{path}/{self.url64(9)}.{self.random.choice(('jpg', 'png', 'mp4', 'm4a', 'pdf'))}"
        xml = f"<body>{url}</body><x xmlns='jabber:x:oob'><url>{url}</url></x><origin-id xmlns='urn:xmpp:sid:0' id={quoted(id_)}/>"
        xml += "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
        return "s2c" if inbound else "c2s", self.envelope(contact, inbound, id_) + xml + self.archive_id(
            inbound
        ) + "</message>"

    def inside(self, make: Callable[[], tuple[str, str]]) -> str:
        direction, xml = make()
        xml = xml.replace("<message", "<message xmlns='jabber:client'", 1)
        if direction == "c2s":
            xml = xml.replace(" to=", f" from={quoted(self.me)} to=", 1)
        return re.sub("<stanza-id [^>]*/>", "", xml) if self.random.random() < 0.8 else xml

    def carbon(self) -> tuple[str, str]:
        make = self.random.choice((self.chat, self.chat, self.marker, self.omemo, self.chat_state, self.receipt))
        kind = self.random.choice(("sent", "received"))
        xml = f"<message from={quoted(self.bare)} to={quoted(self.me)} type='chat'><{kind} xmlns='urn:xmpp:carbons:2'>"
        return "s2c", f"{xml}<forwarded xmlns='urn:xmpp:forward:0'>{self.inside(make)}</forwarded></{kind}></message>"

    def archived(self) -> tuple[str, str]:
        make = self.random.choice(
            (self.chat, self.chat, self.chat, self.marker, self.omemo, self.receipt, self.muc, self.reaction)
        )
        xml = f"<message{self.maybe(0.5, f' from={quoted(self.bare)}')} to={quoted(self.me)}>"
        xml += f"<result xmlns='urn:xmpp:mam:2' queryid={quoted(self.id())} id={quoted(self.sid())}><forwarded xmlns='urn:xmpp:forward:0'>"
        delay = f"<delay xmlns='urn:xmpp:delay' stamp='{self.stamp()}'/>"
        return "s2c", f"{xml}{delay}{self.inside(make)}</forwarded></result></message>"

    def roster(self) -> tuple[str, str]:
        items = ""
        for contact in self.contacts:
            group = self.maybe(
                0.5, f"<group>{self.random.choice(('Friends', 'Family', 'Work', 'Freunde', 'Familie', 'Amis'))}</group>"
            )
            name = self.maybe(0.8, f" name={quoted(contact.name)}")
            subscription = self.random.choice(("both", "both", "both", "both", "to", "from", "none"))
            items += f"<item jid={quoted(contact.jid)}{name} subscription='{subscription}'" + (
                f">{group}</item>" if group else "/>"
            )
        head = f"<iq to={quoted(self.me)} id={quoted(self.id())} type='result'>"
        return "s2c", f"{head}<query xmlns='jabber:iq:roster' ver='{self.b64(9)}'>{items}</query></iq>"

    def disco(self) -> tuple[str, str]:
        contact = self.random.choice(self.contacts)
        features = "".join(
            f"<feature var={quoted(name)}/>"
            for name in sorted(self.random.sample(FEATURES, self.random.randrange(8, 45)))
        )
        category, type_ = self.random.choice(
            (
                ("client", "phone"),
                ("client", "pc"),
                ("client", "web"),
                ("server", "im"),
                ("conference", "text"),
                ("store", "file"),
                ("pubsub", "pep"),
                ("account", "registered"),
                ("proxy", "bytestreams"),
            )
        )
        name = self.maybe(
            0.8,
            f" name='{self.random.choice(('Conversations', 'Gajim', 'Dino', 'Monal', 'Prosody', 'ejabberd', 'Movim', 'Cheogram', 'Kaidan', 'Profanity'))}'",
        )
        head = f"<iq from={quoted(contact.full)} to={quoted(self.me)} id={quoted(self.id())} type='result'>"
        node = self.maybe(0.6, f" node={quoted(f'{contact.caps[0]}#{contact.caps[1]}')}")
        form = self.maybe(
            0.2,
            "<x xmlns='jabber:x:data' type='result'><field type='hidden' var='FORM_TYPE'><value>http://jabber.org/network/serverinfo</value></field><field type='list-multi' var='abuse-addresses'><value>mailto:abuse@example.com</value></field></x>",
        )
        return (
            "s2c",
            f"{head}<query xmlns='http://jabber.org/protocol/disco#info'{node}><identity category='{category}'{name} type='{type_}'/>{features}{form}</query></iq>",
        )
