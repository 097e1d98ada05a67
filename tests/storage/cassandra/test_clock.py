"""Timestamps."""

from storage.cassandra.clock import WriteClock


class Machine:
    """A clock of a machine, in ns, and one that only goes on."""

    def __init__(self, wall_s: float) -> None:
        self.wall_s, self.up_s = wall_s, 5.0

    def clock(self) -> WriteClock:
        return WriteClock(lambda: int(self.up_s * 1e9), lambda: int(self.wall_s * 1e9))

    def go(self, seconds: float) -> None:
        self.wall_s += seconds
        self.up_s += seconds


def test_each_timestamp_is_greater_than_the_one_before_though_no_time_passes():
    clock = Machine(1000).clock()
    assert [clock.next_us() for _ in range(3)] == [1_000_000_000, 1_000_000_001, 1_000_000_002]


def test_timestamps_follow_the_cluster_whatever_this_machine_shows():
    machine = Machine(1000)
    clock = machine.clock()
    assert clock.set(5_000_000_000) == -4000
    assert clock.next_us() == 5_000_000_000
    machine.wall_s -= 3600
    machine.up_s += 1
    assert clock.next_us() == 5_001_000_000


def test_timestamps_never_go_back_with_the_cluster():
    machine = Machine(1000)
    clock = machine.clock()
    last = clock.next_us()
    assert clock.set(990_000_000) == 10
    assert clock.next_us() == last + 1
    machine.go(20)
    assert clock.next_us() == 1_010_000_000
