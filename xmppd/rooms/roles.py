"""Roles and affiliations of XEP-0045 §5: their order, what each may do, and every change of one to another.

A role lasts as long as somebody is in the room; an affiliation lasts longer and belongs to a bare JID. All rules of who may change
what are in this file. In the tables, the actor's and the target's affiliation decide; equal ranks may change each other except where
it says otherwise.

    change                                  who                       refused with
    kick, grant or revoke voice             moderator                 forbidden; not-allowed against a higher affiliation
    revoke voice, of an admin or owner      nobody                    not-allowed
    grant or revoke moderator               admin, owner              forbidden
    revoke moderator, of an admin or owner  nobody                    not-allowed
    outcast, none, member                   admin, owner              forbidden; not-allowed when the target is admin or owner
    admin, owner, of whoever                owner                     forbidden
    ban oneself                             nobody                    conflict
    the last owner steps down               nobody                    conflict
"""

from enum import IntEnum

from xmppd.errors import StanzaError


class Affiliation(IntEnum):
    """How somebody belongs to a room (§5.2), each more than the one before."""

    OUTCAST = 0
    NONE = 1
    MEMBER = 2
    ADMIN = 3
    OWNER = 4

    @property
    def word(self) -> str:
        """As it stands in XML."""
        return self.name.lower()


class Role(IntEnum):
    """What somebody is in a room now (§5.1), each more than the one before."""

    NONE = 0
    VISITOR = 1
    PARTICIPANT = 2
    MODERATOR = 3

    @property
    def word(self) -> str:
        """As it stands in XML."""
        return self.name.lower()


def affiliation_of(word: str | None) -> Affiliation:
    """Return the affiliation that a word names.

    Raises:
        StanzaError: bad-request: none.
    """
    return Affiliation(_find(Affiliation, word))


def role_of(word: str | None) -> Role:
    """Return the role that a word names.

    Raises:
        StanzaError: bad-request: none.
    """
    return Role(_find(Role, word))


def _find(kind: type[IntEnum], word: str | None) -> IntEnum:
    for found in kind:
        if found.name.lower() == word:
            return found
    raise StanzaError("bad-request", text=f"There is no {kind.__name__.lower()} of that name.")


def default_role(affiliation: Affiliation, is_moderated: bool) -> Role:
    """Return the role with which somebody enters (§5.1.2)."""
    if affiliation >= Affiliation.ADMIN:
        return Role.MODERATOR
    if affiliation is Affiliation.OUTCAST:
        return Role.NONE
    if affiliation is Affiliation.NONE and is_moderated:
        return Role.VISITOR
    return Role.PARTICIPANT


def role_after(before: Affiliation, now: Affiliation, role: Role, is_moderated: bool, is_members_only: bool) -> Role:
    """Return the role of an occupant whose affiliation has changed (§5.1.3, the note): what it gained is fixed; what it lost, it loses."""
    if now is Affiliation.OUTCAST or (is_members_only and now < Affiliation.MEMBER):
        return Role.NONE
    fitting = default_role(now, is_moderated)
    if now > before:
        return max(role, fitting)
    return fitting if before >= Affiliation.ADMIN or fitting < role else role


def check_role_change(
    actor: Affiliation, actor_role: Role, target: Affiliation, target_role: Role, new: Role, is_self: bool
) -> None:
    """Raise StanzaError unless the actor may give the target that role; see the table above.

    Spec: §8.2 to §8.5, §9.6 to §9.8.
    """
    if actor_role is not Role.MODERATOR and actor < Affiliation.ADMIN:
        raise StanzaError("forbidden")
    if Role.MODERATOR in (new, target_role) and new is not target_role:
        if is_self and new is Role.NONE:
            return
        if actor < Affiliation.ADMIN:
            raise StanzaError("not-allowed" if target >= Affiliation.ADMIN else "forbidden")
    if target > actor:
        raise StanzaError("not-allowed", text="That one stands above you in this room.")
    if target >= Affiliation.ADMIN and new in (Role.VISITOR, Role.PARTICIPANT):
        raise StanzaError("not-allowed", text="Admins and owners are moderators.")


def check_affiliation_change(actor: Affiliation, target: Affiliation, new: Affiliation, is_self: bool) -> None:
    """Raise StanzaError unless the actor may give the target that affiliation; see the table above. The last owner is not looked at here.

    Spec: §9.1 to §9.5, §10.3 to §10.8.
    """
    if actor < Affiliation.ADMIN:
        raise StanzaError("forbidden")
    if is_self and new is Affiliation.OUTCAST:
        raise StanzaError("conflict", text="Nobody bans themselves.")
    if actor is Affiliation.OWNER or (is_self and new < target):
        return
    if new >= Affiliation.ADMIN:
        raise StanzaError("forbidden", text="Only owners make admins and owners.")
    if target >= Affiliation.ADMIN:
        raise StanzaError("not-allowed", text="That one does not stand below you in this room.")
