"""Files in an S3-compatible store: `media.url = "s3://BUCKET/PREFIX"`. Their bytes go to it and come from it without us.

    PREFIX/media/KEY    what a browser may show: the only part that a CDN needs to read
    PREFIX/files/KEY    everything else: read by signed URLs alone, which say that it is to be saved and not shown

The store checks length and type of an upload, since both are signed. It cannot be told to take a slot once only: whoever has it may
write the same length and type again while it is good.
"""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Client

from xmppd.uploads.names import is_key, kind_of
from xmppd.uploads.presign import Bucket, presign
from xmppd.uploads.store import DirectStore, MediaError

PAGE = 1_000


class S3Store(DirectStore):
    """Files in one bucket.

    Args:
        prefix: before every key, without slashes at its ends; "" for none.
        client: of the bucket.
    """

    def __init__(self, bucket: Bucket, prefix: str, client: Client) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client

    async def open(self) -> None:
        """Make sure that the bucket answers and lets us in."""
        try:
            await obstore.head_async(self._client, f"{self._prefix}media/none")
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise MediaError(f"media.url: the bucket does not let us in: {_reason(error)}") from error

    def place(self, key: str) -> str:
        """Return the key within the bucket."""
        return f"{self._prefix}{'media' if kind_of(key).is_shown else 'files'}/{key}"

    def put_url(self, key: str, size: int, type_: str, now: datetime, expires_s: int) -> str:
        """Return where a client sends the file, with exactly that length, and with that type unless it is ""."""
        headers = {"content-length": str(size)} | ({"content-type": type_} if type_ else {})
        return presign(self._bucket, "PUT", self.place(key), now, expires_s, headers=headers)

    def get_url(self, key: str, answer: Mapping[str, str], now: datetime, expires_s: int, method: str = "GET") -> str:
        """Return where a file is read; `answer`: headers that the store is to answer with, of those that S3 knows."""
        query = {f"response-{name.lower()}": value for name, value in answer.items()}
        return presign(self._bucket, method, self.place(key), now, expires_s, query=query)

    async def has(self, key: str) -> bool:
        """Whether there is a file of that key."""
        try:
            await obstore.head_async(self._client, self.place(key))
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise MediaError(f"media.url: {_reason(error)}") from error
        return True

    async def delete(self, keys: Collection[str]) -> None:
        """Remove files."""
        places = [self.place(key) for key in keys if is_key(key)]
        await self._delete(places)

    async def _delete(self, places: list[str]) -> None:
        for start in range(0, len(places), PAGE):
            try:
                await obstore.delete_async(self._client, places[start : start + PAGE])
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                raise MediaError(f"media.url: {_reason(error)}") from error

    async def sweep(self, before_s: float) -> int:
        """Remove old files, a page of the bucket's list at a time."""
        gone = 0
        for folder in ("media", "files"):
            try:
                pages = obstore.list(self._client, prefix=f"{self._prefix}{folder}/", chunk_size=PAGE)
                while page := await asyncio.to_thread(next, pages, None):
                    old = [meta["path"] for meta in page if meta["last_modified"].timestamp() < before_s]
                    await self._delete(old)
                    gone += len(old)
            except (BaseError, OSError) as error:
                raise MediaError(f"media.url: {_reason(error)}") from error
        return gone


def _reason(error: Exception) -> str:
    """Return the first line of what the library says; more of it would be its insides."""
    return str(error).strip().partition("\n")[0][:300]


def open_s3(bucket: Bucket, prefix: str, *, name: str, endpoint: str, path_style: bool) -> S3Store:
    """Return the store of a bucket; `endpoint`: its server's URL, "" for AWS."""
    client = Client(
        name,
        region=bucket.region,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key,
        virtual_hosted_style_request=not path_style,
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": "30s"},
        retry_config={"max_retries": 2},
        endpoint=(endpoint if path_style else bucket.url) if endpoint else None,
    )
    return S3Store(bucket, prefix, client)
