"""What other servers may use, each with its reason. What an operator may want otherwise is in `[s2s]` of the settings."""

UNPROVEN_S = 600
"""How long a stream may serve questions about our keys alone; then its owner opens another one."""

PENDING_PER_STREAM = 16
"""Domains of one stream that are being asked about at a time; each makes us open a connection."""

PENDING_IN_ALL = 500
"""The same for the whole server: so many sockets at most serve strangers."""

PENDING_PER_ADDRESS = 50
"""The same for one address once half of those are taken: a flood from it leaves the other half to everybody else."""

PENDING_PER_DOMAIN = 50
"""Keys that one domain's server is being asked about: a flood in its name must not become a flood on it."""

PAIRS_PER_STREAM = 100
"""Proven pairs of domains on one stream: a big host may have as many, and more open another one."""

DIALS = 200
"""Connections being made for our own people at a time: 2,000 domains at once are ten rounds, not 2,000 sockets. Those that only ask about
keys are bounded by `PENDING_IN_ALL`, and nobody's message waits for them."""

ROUTES = 20_000
"""Pairs of domains remembered: about 1.5 KiB each when nothing is connected."""

BUSY_TIMES = 5
"""Who talks on has so many times `s2s.answer_timeout_s` to acknowledge: it may be slow, but what it was sent must not wait for ever."""

QUEUES_BYTES = 67_108_864
"""What may wait for all other domains together: 64 MiB."""

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 300.0
"""The wait after a failure doubles from the one to the other, with some chance in it so that not all come at once."""
