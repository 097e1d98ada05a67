"""Every change of a role or affiliation by everybody (XEP-0045 §5)."""

import itertools

import pytest

from xmppd.errors import StanzaError
from xmppd.rooms.roles import (
    Affiliation,
    Role,
    affiliation_of,
    check_affiliation_change,
    check_role_change,
    default_role,
    role_after,
    role_of,
)

OUTCAST, NONE, MEMBER, ADMIN, OWNER = Affiliation
NOBODY, VISITOR, PARTICIPANT, MODERATOR = Role


def refused(call: object, *args: object) -> str:
    try:
        call(*args)  # type: ignore[operator]
    except StanzaError as error:
        return error.condition
    return ""


@pytest.mark.parametrize(
    ("affiliation", "moderated", "unmoderated"),
    [
        (OUTCAST, NOBODY, NOBODY),
        (NONE, VISITOR, PARTICIPANT),
        (MEMBER, PARTICIPANT, PARTICIPANT),
        (ADMIN, MODERATOR, MODERATOR),
        (OWNER, MODERATOR, MODERATOR),
    ],
)
def test_role_at_entry_follows_the_table_of_the_document(
    affiliation: Affiliation, moderated: Role, unmoderated: Role
) -> None:
    assert default_role(affiliation, True) is moderated and default_role(affiliation, False) is unmoderated


def test_words_are_read_and_others_refused() -> None:
    assert [affiliation_of(a.word) for a in Affiliation] == list(Affiliation)
    assert [role_of(role.word) for role in Role] == list(Role)
    assert refused(affiliation_of, "king") == refused(role_of, None) == "bad-request"


@pytest.mark.parametrize(
    ("actor", "actor_role", "target", "target_role", "new", "expected"),
    [
        # kicking (§8.2)
        (NONE, MODERATOR, NONE, PARTICIPANT, NOBODY, ""),
        (NONE, MODERATOR, MEMBER, PARTICIPANT, NOBODY, "not-allowed"),
        (NONE, MODERATOR, NONE, MODERATOR, NOBODY, "forbidden"),
        (NONE, MODERATOR, OWNER, MODERATOR, NOBODY, "not-allowed"),
        (ADMIN, MODERATOR, ADMIN, MODERATOR, NOBODY, ""),
        (ADMIN, MODERATOR, OWNER, MODERATOR, NOBODY, "not-allowed"),
        (OWNER, MODERATOR, ADMIN, MODERATOR, NOBODY, ""),
        (NONE, PARTICIPANT, NONE, PARTICIPANT, NOBODY, "forbidden"),
        (MEMBER, PARTICIPANT, NONE, VISITOR, NOBODY, "forbidden"),
        # voice (§8.3, §8.4)
        (NONE, MODERATOR, NONE, VISITOR, PARTICIPANT, ""),
        (NONE, MODERATOR, NONE, PARTICIPANT, VISITOR, ""),
        (NONE, VISITOR, NONE, VISITOR, PARTICIPANT, "forbidden"),
        (OWNER, MODERATOR, ADMIN, MODERATOR, VISITOR, "not-allowed"),
        (ADMIN, MODERATOR, OWNER, MODERATOR, VISITOR, "not-allowed"),
        # moderators (§9.6, §9.7)
        (NONE, MODERATOR, NONE, PARTICIPANT, MODERATOR, "forbidden"),
        (ADMIN, MODERATOR, NONE, PARTICIPANT, MODERATOR, ""),
        (ADMIN, NOBODY, NONE, PARTICIPANT, MODERATOR, ""),
        (ADMIN, MODERATOR, NONE, MODERATOR, PARTICIPANT, ""),
        (OWNER, MODERATOR, ADMIN, MODERATOR, PARTICIPANT, "not-allowed"),
        (NONE, MODERATOR, ADMIN, MODERATOR, PARTICIPANT, "not-allowed"),
    ],
)
def test_role_change_is_allowed_or_refused(
    actor: Affiliation, actor_role: Role, target: Affiliation, target_role: Role, new: Role, expected: str
) -> None:
    assert refused(check_role_change, actor, actor_role, target, target_role, new, False) == expected


def test_a_moderator_may_leave_by_kicking_itself() -> None:
    assert refused(check_role_change, NONE, MODERATOR, NONE, MODERATOR, NOBODY, True) == ""


@pytest.mark.parametrize(("actor", "target", "new"), list(itertools.product(Affiliation, repeat=3)))
def test_affiliation_change_is_allowed_by_rank(actor: Affiliation, target: Affiliation, new: Affiliation) -> None:
    found = refused(check_affiliation_change, actor, target, new, False)
    if actor < ADMIN:
        assert found == "forbidden"
    elif actor is OWNER:
        assert found == ""
    elif new >= ADMIN:
        assert found == "forbidden"
    else:
        assert found == ("not-allowed" if target >= ADMIN else "")


def test_nobody_bans_themselves_and_an_admin_may_step_down() -> None:
    assert refused(check_affiliation_change, OWNER, OWNER, OUTCAST, True) == "conflict"
    assert refused(check_affiliation_change, ADMIN, ADMIN, NONE, True) == ""
    assert refused(check_affiliation_change, ADMIN, ADMIN, OWNER, True) == "forbidden"


@pytest.mark.parametrize(
    ("before", "now", "role", "moderated", "members_only", "expected"),
    [
        (NONE, ADMIN, VISITOR, True, False, MODERATOR),
        (NONE, MEMBER, VISITOR, True, False, PARTICIPANT),
        (NONE, MEMBER, MODERATOR, True, False, MODERATOR),
        (ADMIN, MEMBER, MODERATOR, False, False, PARTICIPANT),
        (ADMIN, NONE, MODERATOR, True, False, VISITOR),
        (MEMBER, NONE, PARTICIPANT, True, False, VISITOR),
        (MEMBER, NONE, PARTICIPANT, False, False, PARTICIPANT),
        (MEMBER, NONE, PARTICIPANT, False, True, NOBODY),
        (MEMBER, OUTCAST, MODERATOR, False, False, NOBODY),
        (OWNER, ADMIN, MODERATOR, False, False, MODERATOR),
    ],
)
def test_role_follows_the_affiliation(
    before: Affiliation, now: Affiliation, role: Role, moderated: bool, members_only: bool, expected: Role
) -> None:
    assert role_after(before, now, role, moderated, members_only) is expected
