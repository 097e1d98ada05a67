"""How much an account may keep and ask of publish-subscribe, each with its reason. Those that operators set are in `[pubsub]`."""

NAME_BYTES = 1023
"""The longest name of a node and of an item: as long as a part of a JID may be (the addresses of rooms are items' names)."""

JIDS_PER_NODE = 1_000
"""Affiliations, and subscriptions, of one node. Presence and the roster say who sees what; lists are for a few."""

GROUPS_PER_NODE = 50
"""Roster groups that a node is open to, as many as one contact can be in."""

TEXT_BYTES = 1023
"""A node's title, description and the other texts that are shown to people."""

ACCOUNT_BYTES = 33_554_432
"""All payloads of one account: two hundred large avatars. Bookmarks, devices and keys take 100 to 300 KiB."""

ACCOUNT_ITEMS = 10_000
"""All items of one account: their names are in memory while it is used, 300 bytes each."""

ANSWER_BYTES = 2_097_152
"""Payloads in one answer; the rest is another page. It is half of what may wait for a client that reads slowly."""

PAGE_ITEMS = 1_000
"""Items in one answer."""

PUBLISH_BURST = 1_000
"""Changes that an account may make at once: a client that moves somebody's bookmarks sends hundreds."""

PUBLISH_PER_S = 5.0
"""Changes a second after that: each may go to every contact, and music players change less often."""
