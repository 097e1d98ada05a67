"""Which of the driver's errors pass by themselves, and how the others are told in one line."""

from cassandra import AuthenticationFailed, DriverException, OperationTimedOut, Timeout, Unavailable
from cassandra import CoordinationFailure as ReplicaFailure
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import (
    ErrorMessage,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    ServerError,
    TruncateError,
)

PASSING = (
    ConnectionBusy,
    ConnectionException,
    IsBootstrappingErrorMessage,
    NoConnectionsAvailable,
    NoHostAvailable,
    OperationTimedOut,
    OverloadedErrorMessage,
    ServerError,
    Timeout,
    TruncateError,
    Unavailable,
)
"""What says that the cluster cannot at present: the same request may succeed later, and ours may be sent again."""

FAILED = (DriverException, ErrorMessage)
"""What a node answers when a request itself is wrong."""

__all__ = ["FAILED", "PASSING", "ReplicaFailure", "describe", "is_denied"]

MAX_TEXT = 300


def is_denied(error: BaseException) -> bool:
    """Whether a node refused our user or password, which no waiting changes."""
    if isinstance(error, NoHostAvailable):
        return any(isinstance(each, AuthenticationFailed) for each in _each(error))
    return isinstance(error, AuthenticationFailed)


def describe(error: BaseException) -> str:
    """Return one line about an error; no statement's values are in it."""
    if isinstance(error, NoHostAvailable):
        reasons = sorted({describe(each) for each in _each(error)})
        return "no node answers" + (f" ({'; '.join(reasons)})" if reasons else "")
    if isinstance(error, OperationTimedOut):
        return "no answer in time"
    text = " ".join(str(getattr(error, "message", None) or error).split()) or type(error).__name__
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."


def _each(error: NoHostAvailable) -> list[BaseException]:
    found = error.errors.values() if isinstance(error.errors, dict) else error.errors or ()
    return [each for each in found if isinstance(each, BaseException)]
