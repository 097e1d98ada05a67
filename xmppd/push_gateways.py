"""The gateways that [push] asks for, and the outbox's options: from settings to objects."""

import os
import ssl
from pathlib import Path

from push.apns import ApnsGateway, ApnsOptions
from push.fcm import FcmGateway, FcmOptions
from push.gateway import BadCredentials, Clock, Gateway
from push.outbox import OutboxOptions
from push.webpush import WebPushGateway, WebPushOptions, new_key
from xmppd.config import Config
from xmppd.config_push import PushConfig

VAPID_FILE = "vapid.pem"


def make_gateways(config: Config, clock: Clock) -> list[Gateway]:
    """Return the gateways that are set up, none of them connected yet.

    Raises:
        BadCredentials: a file cannot be read or is none of its kind; the text is one line for the operator, without a secret.
    """
    push = config.push
    found: list[Gateway] = []
    if push.apns_topics:
        found.append(ApnsGateway(_apns(push), clock, _context(push)))
    if push.fcm_account is not None:
        options = FcmOptions(_read(push.fcm_account), push.fcm_url, push.fcm_token_url, push.timeout_s)
        found.append(FcmGateway(options, clock, _context(push)))
    if push.webpush:
        found.append(WebPushGateway(_webpush(config), clock, _context(push)))
    return found


def outbox_options(push: PushConfig) -> OutboxOptions:
    """Return how fast and how long the outbox sends."""
    return OutboxOptions(
        concurrency=push.concurrency,
        gateway_per_s=push.gateway_per_s,
        gateway_burst=push.gateway_per_s,
        device_per_minute=push.device_per_minute,
        device_burst=push.device_burst,
        expire_s=push.expire_s,
        call_expire_s=push.call_expire_s,
        lease_s=max(120.0, 4 * push.timeout_s),
    )


def _apns(push: PushConfig) -> ApnsOptions:
    return ApnsOptions(
        topics=push.apns_topics,
        key=_read(push.apns_key) if push.apns_key is not None else "",
        key_id=push.apns_key_id,
        team_id=push.apns_team_id,
        certificate=str(push.apns_certificate or ""),
        environment=push.apns_environment,
        production=(push.apns_production.host, push.apns_production.port),
        sandbox=(push.apns_sandbox.host, push.apns_sandbox.port),
        placeholder=push.placeholder,
        timeout_s=push.timeout_s,
    )


def _webpush(config: Config) -> WebPushOptions:
    push = config.push
    path = push.webpush_key or config.server.data_dir / VAPID_FILE
    if push.webpush_key is None and not path.exists():
        _write_secret(path, new_key())
    contact = push.webpush_contact or f"https://{config.server.domains[0]}"
    return WebPushOptions(_read(path), contact, not push.webpush_private, push.timeout_s)


def _context(push: PushConfig) -> ssl.SSLContext:
    """Return whom to trust: a context for each gateway, since a client certificate is for one alone."""
    try:
        return ssl.create_default_context(cafile=push.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadCredentials(f"{push.ca_file}: no certificates of authorities") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadCredentials(f"{path}: no text") from error


def _write_secret(path: Path, text: str) -> None:
    """Write a file that nobody else may read, unless there is one by now."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from error
