"""The driver's errors."""

from cassandra import AuthenticationFailed, OperationTimedOut
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import OverloadedErrorMessage

from storage.cassandra.faults import MAX_TEXT, PASSING, describe, is_denied


def test_a_refused_login_is_found_within_what_the_nodes_said():
    assert is_denied(NoHostAvailable("x", {"a": OSError(1, "no"), "b": AuthenticationFailed("bad")}))
    assert not is_denied(NoHostAvailable("x", {"a": OSError(1, "no")}))
    assert is_denied(AuthenticationFailed("bad")) and not is_denied(OSError())


def test_an_error_is_one_line():
    assert describe(NoHostAvailable("x", {"a": OSError("no\nroute"), "b": OSError("no\nroute")})) == (
        "no node answers (no route)"
    )
    assert describe(NoHostAvailable("x", {})) == "no node answers"
    assert describe(OperationTimedOut()) == "no answer in time"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(ValueError("x" * 1000))) == MAX_TEXT + 3


def test_an_overloaded_node_may_be_asked_again():
    assert isinstance(OverloadedErrorMessage(0, "busy", ""), PASSING)
    assert isinstance(NoHostAvailable("x", {}), PASSING)
    assert not isinstance(ValueError(), PASSING)
