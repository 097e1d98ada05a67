"""Files over HTTP: /upload/KEY/NAME takes them by PUT with a slot, and gives them to whoever knows the URL.

Nothing that somebody has uploaded runs in a browser under our name: the type follows from the key and is among a few harmless ones,
browsers are told not to guess another, all but pictures, audio and video is saved rather than shown, and what is shown may run nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import ClientError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from storage.interface import StorageError
from xmppd.uploads.disk import DiskStore
from xmppd.uploads.names import KEY_PATTERN, kind_of, media_type, safe_name
from xmppd.uploads.service import PATH, Busy, Uploads, WrongSize
from xmppd.uploads.slots import Slot, SlotError
from xmppd.uploads.store import AlreadyThere, DirectStore, MediaError, MediaFull

IDLE_S = 30.0
"""How long an upload may stand still."""

LEAST_BYTES_PER_S = 1_024
"""One that is slower on the whole is ended: it would hold its place for hours."""

PIECE_BYTES = 262_144
READ_URL_S = 300
"""How long a redirect to a store is good; a download that has begun goes on."""

CACHE = "public, max-age=31536000, immutable"

SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}
# Clients in browsers come from anywhere, and need no cookies here: a slot or a URL is all there is.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Range, If-Range, If-None-Match",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Content-Type, Content-Disposition, ETag",
    "Access-Control-Max-Age": "86400",
}


def add_uploads(app: web.Application, uploads: Uploads) -> None:
    """Add the handlers of uploaded files."""
    handlers = Handlers(uploads)
    path = f"{PATH}/{{key:{KEY_PATTERN}}}/{{name}}"
    app.router.add_get(path, handlers.get)
    app.router.add_put(path, handlers.put)
    app.router.add_route("OPTIONS", path, handlers.options)


class Handlers:
    """What is done for each method."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def options(self, _request: web.Request) -> web.Response:
        """Say what a page from elsewhere may do."""
        return web.Response(status=204, headers=CORS)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Give a file, or a part of it; HEAD too."""
        key, name = request.match_info["key"], safe_name(request.match_info["name"])
        self._uploads.metrics.media["read"] += 1
        store, headers = self._uploads.store, headers_of(key, name)
        if isinstance(store, DirectStore):
            answer = {str(title): headers[title] for title in (hdrs.CONTENT_TYPE, hdrs.CONTENT_DISPOSITION)}
            place = store.get_url(key, answer, self._uploads.now(), READ_URL_S, request.method)
            return web.Response(
                status=307, headers={hdrs.LOCATION: place, hdrs.CACHE_CONTROL: "no-store", **SAFETY, **CORS}
            )
        path = store.path(key)
        if not await store.has(key):
            return _refuse(404, "There is no such file, or it has expired.")
        return web.FileResponse(path, chunk_size=PIECE_BYTES, headers=headers)

    async def put(self, request: web.Request) -> web.Response:
        """Take the file of a slot: 201 when it is on the disk."""
        if not isinstance(self._uploads.store, DiskStore):
            return _refuse(405, "Files go to the store directly.")
        key, name = request.match_info["key"], request.match_info["name"]
        try:
            slot = self._uploads.check(key, name, request.query.get("slot", ""))
        except SlotError as error:
            return _refuse(403, str(error))
        fault = _fault(request, slot)
        if fault is not None:
            return fault
        try:
            async with asyncio.timeout(2 * IDLE_S + slot.size / LEAST_BYTES_PER_S):
                await self._uploads.receive(slot, _pieces(request))
        except AlreadyThere as error:
            return _refuse(409, str(error))
        except SlotError as error:
            return _refuse(403, str(error))
        except WrongSize:
            return _refuse(400, "The file is not as large as was said.")
        except TimeoutError:
            return _refuse(408, "The upload stood still, or was too slow.")
        except Busy:
            return _refuse(503, "Too many uploads are under way.", {"Retry-After": "30"})
        except MediaFull:
            return _refuse(507, "There is no room for the file.")
        except (MediaError, StorageError):
            return _refuse(500, "The file could not be kept.")
        except (ConnectionError, ClientError, HttpProcessingError):
            return _refuse(400, "The upload was cut.")
        return web.Response(status=201, headers=CORS)


def headers_of(key: str, name: str) -> dict[str, str]:
    """Return with what a file is given out."""
    kind = kind_of(key)
    shown = "inline" if kind.is_shown else "attachment"
    return {
        hdrs.CONTENT_TYPE: kind.type,
        hdrs.CONTENT_DISPOSITION: f"{shown}; filename*=UTF-8''{quote(name, safe='')}",
        hdrs.CACHE_CONTROL: CACHE,
        **SAFETY,
        **CORS,
    }


def _fault(request: web.Request, slot: Slot) -> web.Response | None:
    """Refuse before anything is read what says of itself that it is not the slot's file."""
    size = request.content_length
    if size is None:
        return _refuse(411, "Say how large the file is.")
    if size != slot.size:
        return _refuse(413 if size > slot.size else 400, "The file is not as large as was said.")
    type_ = media_type(request.headers.get(hdrs.CONTENT_TYPE, ""))
    if slot.type and type_ and type_ != slot.type:
        return _refuse(415, "The file is not of the type that was said.")
    if request.headers.get(hdrs.CONTENT_ENCODING):
        return _refuse(415, "Files are taken as they are.")
    return None


def _refuse(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**SAFETY, **CORS, **(headers or {})})


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces of some size, so that each is worth a write; at most one is held."""
    held = bytearray()
    while True:
        async with asyncio.timeout(IDLE_S):
            data = await request.content.read(PIECE_BYTES - len(held))
        held += data
        if not data or len(held) >= PIECE_BYTES:
            if held:
                yield bytes(held)
            held.clear()
        if not data:
            return
