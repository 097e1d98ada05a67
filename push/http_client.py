"""HTTP to gateways that are not Apple's: one POST, one bounded answer, no redirects, no cookies."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

MAX_REPLY_BYTES = 65_536


class NoReply(Exception):
    """There is no answer; the text is a word for metrics."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, not of this machine or a network around it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return is_public(str(found.ipv4_mapped))
    return found.is_global and not found.is_multicast


class PublicResolver(AbstractResolver):
    """Names whose addresses are of the internet; others do not exist. It is asked at each connect, so names cannot move meanwhile."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return addresses. Raises OSError when none is public."""
        found = await aiohttp.ThreadedResolver().resolve(host, port, family)
        public = [result for result in found if is_public(result["host"])]
        if not public:
            raise OSError(None, "no public address")
        return public

    async def close(self) -> None:
        """Do nothing."""


class HttpClient:
    """Posts. Its connections are opened when the first is needed, and kept."""

    def __init__(self, context: ssl.SSLContext, timeout_s: float, *, public_only: bool = False) -> None:
        """`public_only`: connect to nothing in the server's own networks (names only: see `is_public` for addresses)."""
        self._context, self._timeout_s, self._public_only = context, timeout_s, public_only
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send and return what came back, at most MAX_REPLY_BYTES of it. Raises NoReply."""
        try:
            async with self._open().post(
                url, headers=headers, data=body, allow_redirects=False, ssl=self._context
            ) as response:
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) >= MAX_REPLY_BYTES:
                        break
                found = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, found, bytes(data[:MAX_REPLY_BYTES]))
        except TimeoutError as error:
            raise NoReply("timeout") from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise NoReply("tls") from error
        except (aiohttp.ClientConnectorError, OSError) as error:
            raise NoReply("connect") from error
        except (aiohttp.ClientError, ValueError, asyncio.IncompleteReadError) as error:
            raise NoReply("connection-lost") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, resolver=PublicResolver() if self._public_only else None)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                auto_decompress=False,
                headers={"User-Agent": "xmppd"},
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
