"""XEP-0363: HTTP File Upload."""

from __future__ import annotations

import asyncio
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import condition, find, find_all, text
from compliance.scene import Scene

check = checks_of("XEP-0363")
NS = "urn:xmpp:http:upload:0"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
FILE = b"\x89PNG not really a picture" * 10
LOCAL = ("127.0.0.1", "::1", "localhost")
HTTP_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came by HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes


async def _service(scene: Scene, client: Client) -> tuple[str, int | None]:
    """Return the service's JID and its largest size, or end the check as not possible."""
    items = await client.ask("get", ITEMS, to=scene.domain)
    jids = [scene.domain, *(el.get("jid") or "" for el in find_all(items, "{*}query/{*}item"))]
    for jid in jids:
        info = await client.iq("get", INFO, to=jid)
        if any(el.get("var") == NS for el in find_all(info, "{*}query/{*}feature")):
            sizes = [
                text(el, "data:value")
                for el in find_all(info, "{*}query/data:x/data:field")
                if el.get("var") == "max-file-size"
            ]
            return jid, int(sizes[0]) if sizes and sizes[0] else None
    raise NotPossible("no upload service is listed at the domain")


def _request(name: str, size: int, type_: str) -> str:
    return f"<request xmlns='{NS}' filename={quoteattr(name)} size='{size}' content-type={quoteattr(type_)}/>"


async def _slot(scene: Scene, name: str, size: int, type_: str) -> tuple[str, str, dict[str, str]]:
    """Return where to put a file and to get it, and the headers that the slot asks for."""
    romeo = await scene.login("romeo")
    service, _ = await _service(scene, romeo)
    answer = await romeo.ask("get", _request(name, size, type_), to=service)
    put, get = find(answer, f"{{{NS}}}slot/{{{NS}}}put"), find(answer, f"{{{NS}}}slot/{{{NS}}}get")
    require(put is not None and get is not None, "the slot lacks <put/> or <get/>")
    assert put is not None and get is not None
    headers = {el.get("name") or "": el.text or "" for el in put}
    return put.get("url") or "", get.get("url") or "", headers


async def _http(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    return await asyncio.to_thread(_open, method, url, body, headers or {})


def _open(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a test server's certificate is its own
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=HTTP_S, context=context) as answer:
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
    except OSError as error:
        raise NotPossible(f"{urlsplit(url).netloc} cannot be reached from here: {error}") from error


async def _upload(scene: Scene, name: str, body: bytes, type_: str) -> str:
    put, get, headers = await _slot(scene, name, len(body), type_)
    answer = await _http("PUT", put, body, {**headers, "Content-Type": type_})
    require(answer.status in (200, 201), f"the upload was answered with {answer.status}")
    return get


@check("3", MUST, "An upload service lists the feature in its information.")
async def service_is_found(scene: Scene) -> None:
    await _service(scene, await scene.login("romeo"))


@check("3", SHOULD, "The service says how large a file may be.")
async def largest_size_is_told(scene: Scene) -> None:
    _, size = await _service(scene, await scene.login("romeo"))
    require(size is not None and size > 0, f"max-file-size is {size}")


@check("4", MUST, "A request is answered with one URL to put the file to and one to get it from, over HTTPS.")
async def slot_has_two_urls(scene: Scene) -> None:
    for url in (await _slot(scene, "très cool.jpg", 1000, "image/jpeg"))[:2]:
        parts = urlsplit(url)
        require(url.isascii(), f"{url} is not percent-encoded")
        require(parts.scheme == "https" or parts.hostname in LOCAL, f"{url} is not safe on the way")


@check("5", MUST, "A file above the limit is refused as not-acceptable, with the limit.")
async def too_large_file_is_refused(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    service, size = await _service(scene, romeo)
    if size is None:
        raise NotPossible("the service has no limit")
    answer = await romeo.iq("get", _request("big.jpg", size + 1, "image/jpeg"), to=service)
    require_equal(condition(answer), "not-acceptable", "the condition")
    told = text(answer, f"c:error/{{{NS}}}file-too-large/{{{NS}}}max-file-size")
    require_equal(told, str(size), "the limit in the error")


@check("6", MUST, "What was put is answered with 201 and comes back as it was.")
async def file_comes_back(scene: Scene) -> None:
    put, get, headers = await _slot(scene, "picture.png", len(FILE), "image/png")
    answer = await _http("PUT", put, FILE, {**headers, "Content-Type": "image/png"})
    require(answer.status in (200, 201), f"the upload was answered with {answer.status}")
    read = await _http("GET", get)
    require_equal((read.status, read.body), (200, FILE), "what is read")


@check("9", SHOULD, "A page that was uploaded is not given out so that a browser would run it.")
async def pages_do_not_run(scene: Scene) -> None:
    get = await _upload(scene, "page.html", b"<script>alert(1)</script>", "text/html")
    headers = (await _http("GET", get)).headers
    is_saved = headers.get("content-disposition", "").startswith("attachment")
    is_boxed = "default-src 'none'" in headers.get("content-security-policy", "")
    is_other = not headers.get("content-type", "").startswith("text/html")
    require(is_saved or is_boxed or is_other, f"it is given out with {headers}")


@check("9", SHOULD, "A file that is larger than its slot is not taken.")
async def larger_file_than_was_said_is_not_taken(scene: Scene) -> None:
    put, _, headers = await _slot(scene, "picture.png", 10, "image/png")
    answer = await _http("PUT", put, FILE, {**headers, "Content-Type": "image/png"})
    require(answer.status >= 400, f"it was taken: {answer.status}")
