"""Where our server's time goes in one of the measures: the functions that take most, by cProfile.

    python -m bench.profile logins

The profiler makes every call dearer, so shares say more than times; threads other than the loop's are not seen. The figures
of `python -m bench` come without it.
"""

import argparse
import pstats
import sys
import tempfile
from pathlib import Path

from bench.contestants import SERVER_CPU, Ours, pinned
from bench.measures import MEASURES, run
from tests.support.daemon import raise_file_limit


class Profiled(Ours):
    """Our server under cProfile, which writes its file when the server ends in order."""

    def __init__(self, folder: Path, certificates: Path, out: Path) -> None:
        super().__init__(folder, certificates)
        self.out = out

    def interpreter(self) -> list[str]:
        """Return Python with the profiler before the server's module."""
        return pinned(SERVER_CPU, [sys.executable, "-m", "cProfile", "-o", str(self.out)])


def main() -> None:
    """Profile the measure that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=[measure.name for measure in MEASURES])
    parser.add_argument("--xload", type=Path, default=Path.home() / ".cache" / "xload")
    parser.add_argument("--lines", type=int, default=40)
    parser.add_argument("--sort", default="tottime", choices=("tottime", "cumtime", "ncalls"))
    options = parser.parse_args()
    raise_file_limit()
    measure = next(measure for measure in MEASURES if measure.name == options.measure)
    with tempfile.TemporaryDirectory(prefix="xmppd-profile-") as folder:
        out = Path(folder) / "profile"
        ours = Profiled(Path(folder) / "ours", options.xload / "certs", out)
        ours.fresh(measure.users_quick or measure.users, archive=measure.archive)
        try:
            answer = run(measure, ours, options.xload, quick=True)
        finally:
            ours.stop()
        print({name: round(value, 3) for name, value in answer.values.items()})
        pstats.Stats(str(out)).sort_stats(options.sort).print_stats(options.lines)


if __name__ == "__main__":
    main()
