"""The whole suite against a real server that others wrote: checks that only ever met our own prove little."""

import asyncio
import json
import sys

import pytest

from bench.accounts import PASSWORD
from tests.support.prosody import ADMIN, DOMAIN, Prosody, prosody

__all__ = ["prosody"]

# What Prosody 0.12 of Debian 12 reached when this was written: 319 passed, 24 failed, 7 not possible. The floors leave
# room for other versions; they are there to notice a suite that has begun to find fault with everything, or nothing.
LEAST_PASSED = 290
LEAST_DOCUMENTS = 34


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_the_suite_runs_against_prosody_and_no_check_breaks(prosody: Prosody):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compliance", "--server", f"127.0.0.1:{prosody.port}", "--domain", DOMAIN),
        *("--direct-tls", str(prosody.direct_tls_port), "--ca", str(prosody.ca_file), "--register", "--json"),
        *("--admin", f"{ADMIN}:{PASSWORD}", "--timeout", "3"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode in (0, 1), errors.decode()
    report = json.loads(output)
    broken = [check["name"] for check in report["checks"] if check["outcome"] == "broken"]
    assert broken == []
    assert report["software"].startswith("Prosody")
    assert report["totals"]["passed"] >= LEAST_PASSED
    supported = [name for name, score in report["documents"].items() if score["passed"]]
    assert len(supported) >= LEAST_DOCUMENTS
    assert report["categories"]["Mobile"]["Core"]["percent"] == 100
