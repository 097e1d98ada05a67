"""Finds who answers an iq that is meant for the domain or for an account, and sends the answer."""

import asyncio

from codec.element import Element
from codec.payload import Payload, PayloadError
from codec.stanza import IQ
from storage.interface import StorageError, StorageFull
from xmppd.errors import StanzaError, error_reply
from xmppd.host import Host
from xmppd.module import Target


def check_iq(iq: IQ) -> None:
    """Hold an iq against RFC 6120 §8.2.3.

    Raises:
        StanzaError: bad-request: no id, an unknown type, or not exactly one payload in a request.
    """
    if not iq.id or iq.type not in ("get", "set", "result", "error"):
        raise StanzaError("bad-request", text="An iq needs an id and a type of get, set, result or error.")
    if iq.type in ("get", "set") and len(iq.tags) != 1:
        raise StanzaError("bad-request", text="A request carries exactly one payload.")


async def answer(host: Host, iq: IQ, target: Target, is_own: bool) -> IQ:
    """Answer a request to the domain or an account of a host.

    Args:
        iq: a get or set; `to` is the domain or the account's bare JID.
        is_own: whether the account's own resource asks.

    Returns:
        The result, or the error: service-unavailable when nobody handles that payload (RFC 6120 §8.4).
    """
    tag = iq.tags[0] if iq.tags else ""
    try:
        if not tag:
            raise StanzaError("bad-request", text="A request carries exactly one payload.")
        entry = host.iq_handlers.get((iq.type, tag, target))
        if entry is None:
            raise StanzaError("service-unavailable")
        handler, payload_type, is_open = entry
        if target is Target.ACCOUNT and not is_own and not is_open:
            raise StanzaError("service-unavailable")
        request = iq.replace()
        request.payload = iq.get(payload_type)
        result = handler(request)
        if asyncio.iscoroutine(result):
            result = await result
        return iq.reply(result)
    except StanzaError as error:
        return _error(iq, error)
    except PayloadError as error:
        return _error(iq, StanzaError("bad-request", text=str(error)))
    except StorageFull:
        return _error(iq, StanzaError("resource-constraint", text="The server has no room to keep this now."))
    except StorageError:
        host.log.exception("storage_failed", tag=tag)
        return _error(iq, StanzaError("internal-server-error"))
    except Exception:
        host.log.exception("handler_broke", tag=tag)
        return _error(iq, StanzaError("internal-server-error"))


async def answer_before_login(host: Host, stream: object, iq: IQ) -> IQ | None:
    """Answer a request on a stream that has not logged in; None when no module takes such."""
    entry = host.before_login.get((iq.type, iq.tags[0] if iq.tags else ""))
    if entry is None:
        return None
    handler, payload_type = entry
    try:
        request = iq.replace()
        request.payload = iq.get(payload_type)
        result: Payload | Element | None = await handler(stream, request)
        return iq.reply(result)
    except StanzaError as error:
        return _error(iq, error)
    except PayloadError as error:
        return _error(iq, StanzaError("bad-request", text=str(error)))
    except StorageFull:
        return _error(iq, StanzaError("resource-constraint"))


def _error(iq: IQ, error: StanzaError) -> IQ:
    reply = error_reply(iq, error)
    assert isinstance(reply, IQ), "a request may always be answered"
    return reply
