"""XEP-0202: Entity Time."""

from __future__ import annotations

import datetime
import re

from compliance.check import MUST, SHOULD, checks_of, require
from compliance.names import text
from compliance.scene import Scene

check = checks_of("XEP-0202")
TIME = "<time xmlns='urn:xmpp:time'/>"
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
OFFSET = re.compile(r"Z|[+-]\d\d:\d\d")


async def _time(scene: Scene) -> tuple[str, str]:
    """Return what the server says in <utc/> and <tzo/>."""
    scene.needs("urn:xmpp:time")
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", TIME, to=scene.domain)
    return text(reply, "time:time/time:utc") or "", text(reply, "time:time/time:tzo") or ""


@check("2", MUST, "The time is given in UTC, in the format of XEP-0082.")
async def utc_is_well_formed(scene: Scene) -> None:
    utc, _ = await _time(scene)
    require(UTC.fullmatch(utc), f"<utc/> holds {utc!r}")


@check("2", MUST, "The offset from UTC is given as Z or as hours and minutes.")
async def offset_is_well_formed(scene: Scene) -> None:
    _, offset = await _time(scene)
    require(OFFSET.fullmatch(offset), f"<tzo/> holds {offset!r}")


@check("2", SHOULD, "The time is right, to five minutes.")
async def time_is_right(scene: Scene) -> None:
    utc, _ = await _time(scene)
    require(UTC.fullmatch(utc), f"<utc/> holds {utc!r}")
    theirs = datetime.datetime.fromisoformat(utc)
    apart_s = abs((datetime.datetime.now(datetime.UTC) - theirs).total_seconds())
    require(apart_s < 300, f"the server's clock and ours are {apart_s:.0f} s apart")
