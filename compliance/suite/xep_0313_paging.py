"""XEP-0313 §4.1.3, §4.3 and §5: pages of an archive, its messages by id, and its metadata."""

from __future__ import annotations

from compliance.check import MUST, Failed, checks_of, require, require_equal
from compliance.names import condition, find, text
from compliance.scene import Scene
from compliance.suite.xep_0313 import EXTENDED, NS, Page, ask_archive, converse, page_of, text_of_stamp

check = checks_of("XEP-0313")
NO_SUCH_ID = "no-such-id-in-any-archive"


def _refused(answer: object, wanted: str, what: str) -> None:
    if isinstance(answer, Page):
        raise Failed(f"{what} was answered with {len(answer.results)} results")
    require_equal(condition(answer), wanted, f"the condition for {what}")  # type: ignore[arg-type]


def _first_and_last(page: Page) -> tuple[str | None, str | None]:
    return text(page.fin, "rsm:set/rsm:first"), text(page.fin, "rsm:set/rsm:last")


@check("4", MUST, "The answer names the first and the last id of the page.")
async def fin_names_first_and_last(scene: Scene) -> None:
    romeo, _, _, fields = await converse(scene, 3)
    page = await page_of(romeo, fields, rsm="<max>50</max>")
    require_equal(_first_and_last(page), (page.ids[0], page.ids[-1]), "first and last")


@check("4.3.2", MUST, "Pages taken one after the other give each message once, in order; only the last is complete.")
async def pages_forward_cover_everything(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    seen: list[str] = []
    after = ""
    for _ in range(len(bodies)):
        page = await page_of(romeo, fields, rsm=f"<max>2</max>{after}")
        require(len(page.results) <= 2, f"a page of 2 has {len(page.results)} results")
        seen += page.bodies
        if page.is_complete:
            break
        require(page.results, "an empty page says it is not the last")
        after = f"<after>{page.ids[-1]}</after>"
    require_equal(seen, bodies, "the bodies of all pages")


@check("4.3.3", MUST, "An empty before gives the last page, in the order of time.")
async def last_page_holds_the_newest(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    page = await page_of(romeo, fields, rsm="<max>2</max><before/>")
    require_equal(page.bodies, bodies[-2:], "the bodies of the last page")
    require(not page.is_complete, "the last page of three says that there is no more")


@check("4.3.2", MUST, "Pages taken backwards give each message once.")
async def pages_backward_cover_everything(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene)
    seen: list[str] = []
    before = "<before/>"
    for _ in range(len(bodies)):
        page = await page_of(romeo, fields, rsm=f"<max>2</max>{before}")
        seen = page.bodies + seen
        if page.is_complete or not page.results:
            break
        before = f"<before>{page.ids[0]}</before>"
    require_equal(seen, bodies, "the bodies of all pages")


@check("4.3.2", MUST, "What comes after the newest message is an empty, complete page.")
async def page_after_the_last_is_empty(scene: Scene) -> None:
    romeo, _, _, fields = await converse(scene, 2)
    newest = (await page_of(romeo, fields)).ids[-1]
    page = await page_of(romeo, fields, rsm=f"<max>5</max><after>{newest}</after>")
    require_equal(page.bodies, [], "the bodies")
    require(page.is_complete, "the empty page says it is not the last")


@check("4.3.2", MUST, "An id that is not in the archive, given to after or before, is item-not-found.")
async def unknown_page_is_item_not_found(scene: Scene) -> None:
    romeo, _, _, fields = await converse(scene, 1)
    for name in ("after", "before"):
        answer = await ask_archive(romeo, fields, rsm=f"<max>5</max><{name}>{NO_SUCH_ID}</{name}>")
        _refused(answer, "item-not-found", f"an unknown id in <{name}/>")


# -- what EXTENDED adds


@check("4.1.3", MUST, "Messages after one id and before another are returned, the two left out.")
async def ids_bound_the_query(scene: Scene) -> None:
    scene.needs(EXTENDED)
    romeo, _, bodies, fields = await converse(scene)
    ids = (await page_of(romeo, fields)).ids
    between = await page_of(romeo, {**fields, "after-id": ids[0], "before-id": ids[4]})
    require_equal(between.bodies, bodies[1:4], "the bodies between the first and the fifth")
    after = await page_of(romeo, {**fields, "after-id": ids[3]})
    require_equal(after.bodies, bodies[4:], "the bodies after the fourth")


@check("4.1.3", MUST, "Messages can be fetched by their ids.")
async def messages_can_be_fetched_by_id(scene: Scene) -> None:
    scene.needs(EXTENDED)
    romeo, _, bodies, fields = await converse(scene)
    ids = (await page_of(romeo, fields)).ids
    page = await page_of(romeo, {"ids": [ids[1], ids[4]]})
    require_equal(page.bodies, [bodies[1], bodies[4]], "the bodies of the second and the fifth")


@check("4.1.3", MUST, "An unknown id in before-id, after-id or ids is item-not-found.")
async def unknown_ids_are_item_not_found(scene: Scene) -> None:
    scene.needs(EXTENDED)
    romeo, _, _, fields = await converse(scene, 1)
    known = (await page_of(romeo, fields)).ids[0]
    for query in ({"before-id": NO_SUCH_ID}, {"after-id": NO_SUCH_ID}, {"ids": [known, NO_SUCH_ID]}):
        _refused(await ask_archive(romeo, query), "item-not-found", f"an unknown id in {next(iter(query))}")


@check("4.3.4", MUST, "A flipped page holds the same messages in the opposite order.")
async def flipped_page_is_reversed(scene: Scene) -> None:
    scene.needs(EXTENDED)
    romeo, _, bodies, fields = await converse(scene)
    page = await page_of(romeo, fields, rsm="<max>3</max>", extra="<flip-page/>")
    require_equal(page.bodies, bodies[2::-1], "the bodies")


@check("5", MUST, "The metadata name the first and the last message of the archive, with their times.")
async def metadata_name_first_and_last(scene: Scene) -> None:
    scene.needs(EXTENDED)
    romeo, _, _, fields = await converse(scene, 2)
    newest = (await page_of(romeo, fields)).results[-1]
    oldest = (await page_of(romeo, {}, rsm="<max>1</max>")).results[0]
    reply = await romeo.ask("get", f"<metadata xmlns='{NS}'/>")
    for name, result in (("start", oldest), ("end", newest)):
        found = find(reply, f"mam:metadata/mam:{name}")
        require(found is not None, f"the metadata have no <{name}/>")
        assert found is not None
        require_equal(found.get("id"), result.get("id"), f"the id of <{name}/>")
        require_equal((found.get("timestamp") or "")[:19], text_of_stamp(result)[:19], f"the time of <{name}/>")
