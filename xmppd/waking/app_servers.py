"""XEP-0357's other side: the app servers of clients, as a gateway. A notification is an item published to a node of theirs.

    app server's answer                              what it means here
    result                                           delivered
    error, type wait; no answer; cannot be reached   again, later; when nothing else came for a day the registration is dead
    any other error                                  the registration is dead (§7.1)

Users name app servers, so that each is asked at most so often: nobody can have us flood somebody else's server.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from codec.element import Element, parse_element
from codec.jid import JID, InvalidJID
from codec.payloads.data_form import FORM_TYPE
from codec.stanza import IQ
from push.gateway import BadToken, Clock, Device, Kind, Notification, Outcome, Result, delivered, reason_of
from push.rates import Rates
from xmppd.waking.registrar import target_of
from xmppd.waking.registrations import APP_SERVER

T = TypeVar("T")

NS = "urn:xmpp:push:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
SUMMARY = "urn:xmpp:push:summary"
FORM = "jabber:x:data"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"

MAX_FAILURES = 10
GONE_AFTER_S = 86_400.0
"""After so many in a row, over so long, an app server counts as gone."""
MAX_REMEMBERED = 10_000
"""Devices whose failures in a row are counted, and app servers whose rate is; the oldest is forgotten."""
TIMEOUT_S = 20.0
UNREACHABLE = ("remote-server-not-found", "remote-server-timeout", "internal-server-error", "resource-constraint")
"""What our own router and servers in trouble say, whatever type they give it."""

Ask = Callable[[IQ, float], Awaitable[IQ]]
"""Sends a request of an account and returns the answer. Raises TimeoutError."""


class AppServers:
    """The gateway "xmpp"."""

    name = APP_SERVER

    def __init__(
        self, ask: Ask, clock: Clock, make_id: Callable[[], str], per_s: float, placeholder: str, with_summary: bool
    ) -> None:
        """Take what it works with.

        Args:
            ask: sends a request. clock: the time. make_id: makes ids of requests.
            per_s: requests to one app server's domain a second; 0: no limit.
            placeholder: stands for a text that is not told. with_summary: tell anything at all (§7).
        """
        self._ask, self._clock, self._make_id = ask, clock, make_id
        self._placeholder, self._with_summary = placeholder, with_summary
        self._rates = Rates(per_s, per_s, MAX_REMEMBERED)
        self._turns: OrderedDict[str, float] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, device: Device) -> None:
        """Raise BadToken for what is no app server."""
        try:
            target = target_of(device.token)
            JID.parse(target["jid"]), JID.parse(target["account"])
        except (ValueError, InvalidJID) as error:
            raise BadToken("no app server") from error

    async def send(self, notification: Notification) -> Outcome:
        """Publish once."""
        device = notification.device
        try:
            self.check(device)
        except BadToken:
            return Outcome(Result.DEAD, "bad-token")
        target = target_of(device.token)
        to = JID.parse(target["jid"])
        wait_s = self._wait_s(device.id, to.domainpart)
        if wait_s > 0:
            return Outcome(Result.RETRY, "app-server-rate", wait_s)
        request = self._request(notification, target, to)
        try:
            answer = await self._ask(request, TIMEOUT_S)
        except TimeoutError:
            return self._failed(device, "timeout")
        if answer.type == "result":
            self._failures.pop(device.id, None)
            return delivered()
        return self._refused(device, answer)

    async def close(self) -> None:
        """Nothing is held."""

    def _wait_s(self, device_id: str, domain: str) -> float:
        """Return how long a device's turn is away. Who has waited for it has it."""
        now_s = self._clock.monotonic()
        turn_s = self._turns.pop(device_id, None)
        if turn_s is None:
            turn_s = now_s + self._rates.reserve(domain, now_s)
        if turn_s <= now_s + 0.001:
            return 0.0
        _remember(self._turns, device_id, turn_s)
        return turn_s - now_s

    def _request(self, notification: Notification, target: Mapping[str, str], to: JID) -> IQ:
        children: list[Element] = []
        if self._with_summary:
            children.append(summary_of(notification, self._placeholder))
        item = Element(f"{PUBSUB} item", {}, (Element(f"{NS} notification", {}, tuple(children)),))
        attrs = {"node": target["node"]} if target["node"] else {}
        parts = [Element(f"{PUBSUB} publish", attrs, (item,))]
        if target["options"]:
            parts.append(Element(f"{PUBSUB} publish-options", {}, (parse_element(target["options"].encode()),)))
        iq = IQ(to, JID.parse(target["account"]), self._make_id(), "set")
        return iq.adding(Element(f"{PUBSUB} pubsub", {}, tuple(parts)))

    def _refused(self, device: Device, answer: IQ) -> Outcome:
        error = answer.element("jabber:client error")
        type_ = "cancel" if error is None else error.get("type") or "cancel"
        found = () if error is None else tuple(one for one in error.elements() if one.tag.startswith(f"{STANZAS} "))
        condition = reason_of(found[0].name if found else None, "undefined-condition")
        if type_ == "wait" or condition in UNREACHABLE:
            return self._failed(device, condition)
        self._failures.pop(device.id, None)
        return Outcome(Result.DEAD, condition)

    def _failed(self, device: Device, reason: str) -> Outcome:
        now_s = self._clock.monotonic()
        count, since_s = self._failures.pop(device.id, (0, now_s))
        if count + 1 >= MAX_FAILURES and now_s - since_s >= GONE_AFTER_S:
            return Outcome(Result.DEAD, reason)
        _remember(self._failures, device.id, (count + 1, since_s))
        return Outcome(Result.RETRY, reason)


def _remember(table: OrderedDict[str, T], key: str, value: T) -> None:
    table[key] = value
    if len(table) > MAX_REMEMBERED:
        table.popitem(last=False)


def summary_of(notification: Notification, placeholder: str) -> Element:
    """Return the form that sums up what is unread (§7). A text that is not told is the placeholder: app servers of iPhones need one."""
    data = notification.data
    values = {FORM_TYPE: SUMMARY, "message-count": data.get("count", "1")}
    if "requests" in data:
        values["pending-subscription-count"] = data["requests"]
    if notification.title:
        values["last-message-sender"] = notification.title
    if data.get("type") != "subscription" or notification.kind is Kind.CALL:
        values["last-message-body"] = notification.body or placeholder
    fields = [
        Element(
            f"{FORM} field",
            {"var": var, **({"type": "hidden"} if var == FORM_TYPE else {})},
            (Element(f"{FORM} value", {}, (value,)),),
        )
        for var, value in values.items()
    ]
    return Element(f"{FORM} x", {"type": "form"}, tuple(fields))
