"""From the settings to uploads that work: which store, which secret, where others reach us."""

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storage.interface import Backend
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.config_media import MediaConfig
from xmppd.metrics import Metrics
from xmppd.uploads.disk import DiskStore
from xmppd.uploads.ledger import DAY_S, Quotas
from xmppd.uploads.presign import Bucket
from xmppd.uploads.service import Rules, Uploads
from xmppd.uploads.store import DirectStore, MediaError

LOCAL = ("localhost", "127.0.0.1", "::1")


async def open_uploads(config: Config, backend: Backend, clock: Clock, metrics: Metrics, log: Any) -> Uploads:
    """Return the uploads of a server, its store opened.

    Raises:
        MediaError: the store cannot be used; one line that says what to do.
    """
    store = _store(config)
    await store.open()
    files = backend.map("uploads.files")
    return Uploads(store, files, await _secret(backend), rules_of(config), clock, metrics, log)


async def remove_files(config: Config, backend: Backend, owner: str) -> None:
    """Remove the files of an account while no server runs, with their records.

    Raises:
        MediaError: some are still there.
    """
    files = backend.map("uploads.files")
    keys = await files.items(owner)
    if keys:
        await _store(config).delete(keys)
        await files.clear(owner)


def rules_of(config: Config) -> Rules:
    """Return what the settings say of uploads."""
    media = config.media
    quotas = Quotas(
        total_bytes=media.quota_bytes,
        total_files=media.max_files,
        day_bytes=media.daily_bytes,
        open_slots=media.open_slots,
        slot_s=int(media.slot_s),
        expire_s=media.expire_days * DAY_S,
    )
    return Rules(media.max_file_bytes, quotas, lambda domain: base_url(config, domain), media.cdn_url.rstrip("/"))


def base_url(config: Config, domain: str) -> str:
    """Return where others reach the HTTP side for a domain, without a slash at the end."""
    media = config.media
    if media.public_url:
        return media.public_url.replace("{domain}", domain).rstrip("/")
    if domain in LOCAL and config.http.listen:
        return f"http://127.0.0.1:{config.http.listen[0].port}"
    return f"https://{media.prefix}.{domain}"


def _store(config: Config) -> DiskStore | DirectStore:
    url = config.media_url
    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        return DiskStore(Path(rest))
    if scheme == "s3":
        return _s3(url, config.media)
    raise MediaError(f'media.url: "{url}" is not known; there are "file:PATH" and "s3://BUCKET"')


def _s3(url: str, media: MediaConfig) -> DirectStore:
    from xmppd.uploads.s3 import open_s3  # 20 MB of library that most servers never need

    parts = urlsplit(url)
    name, prefix = parts.netloc, parts.path.strip("/")
    endpoint = media.s3_endpoint.rstrip("/")
    if not endpoint:
        address = f"https://{name}.s3.{media.s3_region}.amazonaws.com"
    elif media.s3_path_style:
        address = f"{endpoint}/{name}"
    else:
        server = urlsplit(endpoint)
        address = f"{server.scheme}://{name}.{server.netloc}"
    bucket = Bucket(address, media.s3_region, media.s3_access_key, media.s3_secret_key.get_secret_value())
    return open_s3(bucket, prefix, name=name, endpoint=endpoint, path_style=media.s3_path_style)


async def _secret(backend: Backend) -> bytes:
    """Return what slots are signed with; it stays the same over restarts, and for all gateways on one storage."""
    store = backend.keyval("server")
    secret = await store.get("uploads")
    if secret is None:
        secret = secrets.token_bytes(32)
        await store.set("uploads", secret)
    return secret
