"""The HTTP listener: one aiohttp application on the addresses of `http.listen`."""

from collections.abc import Sequence

from aiohttp import web

from xmppd.addresses import Address

MAX_BODY_BYTES = 65_536
"""No page so far takes a body; this leaves room for small forms."""

SHUTDOWN_S = 2.0


class WebServer:
    """Serves an application until it is closed; `addresses` are those it is bound to, with the ports the kernel gave."""

    def __init__(self, listen: Sequence[Address]) -> None:
        self.app = web.Application(client_max_size=MAX_BODY_BYTES)
        self.addresses: list[Address] = []
        self._listen = listen
        self._runner = web.AppRunner(self.app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)

    async def start(self) -> None:
        """Bind every address; pages are added to `app` before.

        Raises:
            OSError: an address cannot be bound; its text names it. Nothing stays bound.
        """
        await self._runner.setup()
        for address in self._listen:
            site = web.TCPSite(self._runner, address.host, address.port)
            try:
                await site.start()
            except OSError as error:
                await self.close()
                raise OSError(error.errno, f"http.listen: {address}: {error.strerror or error}") from None
        self.addresses = [Address(*bound[:2]) for bound in self._runner.addresses]

    async def close(self) -> None:
        """Let go of every address and connection."""
        await self._runner.cleanup()
