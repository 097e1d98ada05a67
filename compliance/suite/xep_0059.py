"""XEP-0059: Result Set Management, as the archive of XEP-0313 offers it."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.names import find, text
from compliance.scene import Scene
from compliance.suite.xep_0313 import converse, page_of

check = checks_of("XEP-0059")


@check("2.1", MUST, "No more items are returned than were asked for.")
async def limit_is_kept(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    for limit in (1, 3):
        page = await page_of(romeo, fields, rsm=f"<max>{limit}</max>")
        require_equal(page.bodies, bodies[:limit], f"the bodies of a page of {limit}")


@check("2.2", MUST, "The page after an id begins with the item that follows it.")
async def page_after_begins_with_the_next(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    first = await page_of(romeo, fields, rsm="<max>2</max>")
    second = await page_of(romeo, fields, rsm=f"<max>2</max><after>{first.ids[-1]}</after>")
    require_equal(second.bodies, bodies[2:4], "the bodies of the second page")


@check("2.3", MUST, "The page before an id ends with the item that precedes it.")
async def page_before_ends_with_the_previous(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    last = await page_of(romeo, fields, rsm="<max>2</max><before/>")
    previous = await page_of(romeo, fields, rsm=f"<max>2</max><before>{last.ids[0]}</before>")
    require_equal(previous.bodies, bodies[2:4], "the bodies of the page before the last")


@check("2.2", MUST, "A page of one item names it as both first and last.")
async def single_item_is_first_and_last(scene: Scene) -> None:
    romeo, _, _, fields = await converse(scene, 2)
    page = await page_of(romeo, fields, rsm="<max>1</max>")
    first, last = (text(page.fin, f"rsm:set/rsm:{name}") for name in ("first", "last"))
    require_equal((first, last), (page.ids[0], page.ids[0]), "first and last")


@check("2.2", MUST, "An empty result names neither first nor last.")
async def empty_result_names_nothing(scene: Scene) -> None:
    romeo, juliet, _, _ = await converse(scene, 1)
    page = await page_of(romeo, {"with": juliet.bare, "end": "2001-01-01T00:00:00Z"}, rsm="<max>5</max>")
    require(find(page.fin, "rsm:set/rsm:first") is None, "an empty page has a <first/>")
    require(find(page.fin, "rsm:set/rsm:last") is None, "an empty page has a <last/>")


@check("2.7", SHOULD, "Asked for no item at all, the server tells how many there are.")
async def count_can_be_asked(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    page = await page_of(romeo, fields, rsm="<max>0</max>")
    require_equal(page.bodies, [], "the bodies of a page of 0")
    count = text(page.fin, "rsm:set/rsm:count")
    require(count is not None, "the answer has no <count/>")
    require_equal(count, str(len(bodies)), "the count")
