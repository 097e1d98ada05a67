"""The log: one event a line on standard error, as text or JSON.

    log = get_logger("xmppd.c2s")
    log.info("stream_opened", stream=7, address="127.0.0.1:4711")

    2026-03-01T12:00:00.250Z info stream_opened stream=7 address=127.0.0.1:4711 logger=xmppd.c2s

The event is one word; everything that varies is a value, handed over as it is and formatted only when the line is written.
A level that is off costs the call and nothing else. Stanzas are shown at debug alone, as the value `stanza`; what looks like a
secret is struck out. `configure` comes first, once, at the start of the process; loggers made before it show info and above.
"""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

MAX_VALUE_CHARS = 4_096
"""Longer values are cut: a line holds a usual stanza, not an avatar."""

STRUCK = "[struck]"

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET_KEY = re.compile(r"passw|secret|token|credential|salted|(?:stored|server|client|private)_key|^key$|^auth$")
# What SASL, SASL2, registration and jabber:iq:auth carry between their tags; a start tag may come cut off from its end.
_SECRET_ELEMENT = re.compile(
    r"(<(?:\w+:)?(auth|response|challenge|success|initial-response|additional-data|password|digest|token)\b[^>]*>)[^<]+"
)
_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+").fullmatch

Event = MutableMapping[str, Any]


def configure(level: Level = "info", format_: Format = "text") -> None:
    """Say what loggers made from now on show, and how; what libraries log through `logging` goes the same way."""
    structlog.configure(**_configuration(level, format_))
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), handlers=[_Bridge()], force=True)


def get_logger(name: str) -> Any:
    """Return a logger: debug, info, warning, error, exception, each `(event, **values)`; `bind(**values)` adds to all."""
    settings = structlog.get_config() if structlog.is_configured() else _configuration("info", "text")
    return structlog.wrap_logger(
        settings["logger_factory"](),
        processors=settings["processors"],
        wrapper_class=settings["wrapper_class"],
    ).bind(logger=name)


def _configuration(level: Level, format_: Format) -> dict[str, Any]:
    return {
        "processors": [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _tidy,
            _as_json if format_ == "json" else _as_text,
        ],
        "wrapper_class": structlog.make_filtering_bound_logger(_LEVELS[level]),
        "logger_factory": _StandardError,
    }


class _StandardError:
    """Writes lines to whatever standard error is now; when it is gone, nobody can be told."""

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Takes what libraries log into our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger(record.name)
        log.log(min(record.levelno, logging.ERROR), "library", text=record.getMessage(), exc_info=record.exc_info)


def _tidy(_logger: object, _method: str, event: Event) -> Event:
    """Turn values into text and numbers, without secrets and not too long."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = STRUCK
        elif isinstance(value, list | tuple):
            event[key] = [_clean(one) for one in value]
        elif key != "exception" and not isinstance(value, int | float | None):
            event[key] = _clean(value)
    return event


def _clean(value: object) -> str:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes | bytearray) else str(value)
    if "<" in text:
        text = _SECRET_ELEMENT.sub(rf"\1{STRUCK}", text)
    if len(text) > MAX_VALUE_CHARS:
        text = f"{text[:MAX_VALUE_CHARS]}... ({len(text)} characters)"
    return text


def _as_json(_logger: object, _method: str, event: Event) -> str:
    first = {"time": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event")}
    return json.dumps(first | dict(event), ensure_ascii=False)


def _as_text(_logger: object, _method: str, event: Event) -> str:
    time = event.pop("timestamp")
    # six digits of a second are more than anyone reads
    words = [f"{time[:23]}Z", event.pop("level"), _value(event.pop("event"))]
    trace = event.pop("exception", "")
    logger = event.pop("logger", None)
    words += [f"{key}={_value(value)}" for key, value in event.items()]
    if logger is not None:
        words.append(f"logger={logger}")
    line = " ".join(words)
    return line + "".join(f"\n    {part}" for part in trace.splitlines())


def _value(value: object) -> str:
    """Return a value as one word; a peer's line breaks and escape codes stay inside quotes, as escapes."""
    if isinstance(value, list):
        value = ",".join(value)
    text = "-" if value is None else str(value)
    if _PLAIN_VALUE(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
