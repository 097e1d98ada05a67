"""A socket's transport that the tests themselves are the other end of, and a log that keeps names."""


class Log:
    """Keeps the names of events."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, level):
        return lambda name, **_: self.names.append(name)


class Transport:
    """What a connection needs of one; `is_stuck`: the peer does not read."""

    def __init__(self, address="192.0.2.1") -> None:
        self.address = address
        self.sent: list[bytes] = []
        self.is_stuck = False
        self.waiting = 0
        self.state = "open"
        self.is_reading = True

    def get_extra_info(self, name):
        return (self.address, 40_000) if name == "peername" else None

    def write(self, data):
        assert self.state == "open"
        self.sent.append(bytes(data))
        if self.is_stuck:
            self.waiting += len(data)

    def get_write_buffer_size(self):
        return self.waiting

    def is_closing(self):
        return self.state != "open"

    def close(self):
        self.state = "closed" if self.state == "open" else self.state

    def abort(self):
        self.state = "aborted"

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True
