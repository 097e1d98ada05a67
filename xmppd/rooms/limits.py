"""How much one person may ask of a room, and a room of the server, each limit with its reason.

What an operator may want otherwise is in `[rooms]` of the settings; these are not.
"""

MAX_NICK_CHARS = 100
"""A nickname. Long ones are used to speak without voice (XEP-0045 §13.5); the longest honest ones have about 40."""

MAX_SUBJECT_BYTES = 16_384
"""A subject: every newcomer gets it, and every member of the room keeps it."""

MAX_TEXT_CHARS = 4_096
"""A description, a reason, the status of somebody who leaves."""

MAX_NAME_CHARS = 255
"""A room's name or password; lists of rooms are made of names."""

MAX_FAN_OUT_BYTES = 67_108_864
"""What one stanza may put into all outboxes together: 64 MiB, 67 kB for each of a thousand occupants."""

MAX_PRESENCE_BYTES = 16_384
"""What an occupant's presence may carry: it is kept, and goes to every newcomer."""

MAX_AFFILIATIONS = 10_000
"""People whom one room knows (members, outcasts and the rest), about 200 bytes each while the room is in memory."""

MAX_ITEMS = 500
"""Changes of roles and affiliations in one request; each may be a presence to every occupant."""

MAX_SESSIONS_PER_ACCOUNT = 20
"""Clients of one account in one room, as many as an account of ours may have."""

MAX_RELAYED = 1_000
"""Requests from occupant to occupant of one room that wait for an answer, about 300 bytes each; the oldest is forgotten."""

MAX_ARCHIVE_QUERIES = 50
"""Questions to one room's archive that may be under way at once; a page is up to some 100 kB of memory while it is sent."""

PRESENCES_PER_S = 2.0
PRESENCES_BURST = 30.0
"""Changes of presence or nickname of one occupant: each goes to everybody (XEP-0045 §13.5)."""

INVITATIONS_PER_S = 0.5
INVITATIONS_BURST = 20.0
"""Invitations and requests for voice of one occupant: they reach people who did not ask for them."""

ENTRIES_PER_S = 50_000.0
ENTRIES_BURST = 200_000.0
"""Presences that entering a room may cause, over all who enter: with a thousand inside, somebody's entry is 2,000 of them, about 5 ms
before they reach the sockets. Those who come faster wait in the room's queue, and other rooms go on."""

MAX_ENTERING = 2_000
"""People who wait to enter one room; whoever comes then is told to try again later."""

RETRIES_REMEMBERED = 512
RETRIES_US = 24 * 3600 * 1_000_000
"""Messages of a room among which one that is sent again is recognised, and how far back."""

MAX_HISTORY = 200
"""Messages that a room keeps ready for newcomers at most; who wants more reads the archive."""

MAX_QUEUED = 5_000
"""Stanzas that wait for a room which is being read from storage."""

CACHED_ROOMS = 1_000
"""Rooms without occupants that stay in memory; the rest are read again when somebody comes."""
