"""A check is worth something only when a bad server fails it: the whole suite against servers that claim everything
and do next to nothing. None may break on what such a server says, and none may pass that is not named here."""

from dataclasses import replace

import pytest

from compliance.check import Outcome
from compliance.probe import explore
from compliance.runner import collect, run
from compliance.scene import World
from compliance.stream import TrafficLog
from tests.compliance.fake_server import ACCOUNTS, FakeServer

CLAIMS = (
    *("http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/commands", "jabber:iq:last"),
    *("jabber:iq:version", "msgoffline", "urn:xmpp:blocking", "urn:xmpp:carbons:2", "urn:xmpp:mam:2"),
    *("urn:xmpp:mam:2#extended", "urn:xmpp:message-retract:1", "urn:xmpp:ping", "urn:xmpp:sid:0", "urn:xmpp:time"),
    *("vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0", "urn:xmpp:pep-vcard-conversion:0"),
    *("urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks:1#compat-pep"),
    *(
        f"http://jabber.org/protocol/pubsub#{name}"
        for name in (
            *("access-open", "access-presence", "access-whitelist", "config-node", "config-node-max"),
            *("create-and-configure", "create-nodes", "delete-nodes", "last-published", "modify-affiliations"),
            *("multi-items", "publish", "publish-options", "purge-nodes", "retract-items", "retrieve-items"),
            *("rsm", "subscribe"),
        )
    ),
)
STREAM_CLAIMS = (
    "<sm xmlns='urn:xmpp:sm:3'/><csi xmlns='urn:xmpp:csi:0'/><ver xmlns='urn:xmpp:features:rosterver'/>"
    "<sub xmlns='urn:xmpp:features:pre-approval'/><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'/>"
    "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>"
)
# What the fake server really does: streams, PLAIN, binding, its own presence, an empty roster, disco#info, pings.
# With that it also keeps every rule that says what must not happen.
DONE_RIGHT = {
    "suite.rfc_6120:binding_is_offered_after_login",
    "suite.rfc_6120:client_chooses_its_resource",
    "suite.rfc_6120:closing_the_stream_is_answered",
    "suite.rfc_6120:conflicting_resource_is_resolved",
    "suite.rfc_6120:error_is_not_answered",
    "suite.rfc_6120:every_offered_mechanism_works",
    "suite.rfc_6120:features_follow_the_header",
    "suite.rfc_6120:login_can_be_retried",
    "suite.rfc_6120:server_makes_up_resources",
    "suite.rfc_6120:stream_header_has_a_language",
    "suite.rfc_6120:stream_header_has_id_from_and_version",
    "suite.rfc_6120:unknown_account_is_refused_alike",
    "suite.rfc_6120:unknown_request_to_the_server_is_answered",
    "suite.rfc_6120:wrong_password_is_refused",
    "suite.rfc_6121_message:headline_to_the_absent_is_dropped",
    "suite.rfc_6121_message:message_to_nobody_is_refused_or_ignored",
    "suite.rfc_6121_message:presence_to_nobody_is_ignored",
    "suite.rfc_6121_roster:roster_can_be_fetched",
    "suite.xep_0030:nothing_is_listed_twice",
    "suite.xep_0030:server_describes_itself",
    "suite.xep_0030:strangers_see_no_resources",
    "suite.xep_0054:others_vcard_cannot_be_set",
    "suite.xep_0054:vcard_of_nobody_is_an_error",
    "suite.xep_0054:nobody_looks_like_one_without_vcard",
    "suite.xep_0077:closed_registration_is_refused",
    "suite.xep_0115:stream_feature_has_its_attributes",
    "suite.xep_0199:account_answers_ping",
    "suite.xep_0199:domain_answers_ping",
    "suite.xep_0313:archive_is_offered_on_the_account",
    "suite.xep_0352:feature_is_offered_after_login",
    "suite.xep_0352:indications_are_not_answered",
}
# Where every request is answered with an empty result, these are right as well.
EMPTY_IS_RIGHT = {
    "suite.xep_0054:feature_is_listed",
    "suite.xep_0092:feature_is_listed",
    "suite.xep_0092:fields_are_not_repeated",
    "suite.xep_0280:carbons_can_be_switched",
}


def agreeable(stanza):
    """Answer each request with an empty result; leave binding as it is."""
    is_request = stanza.tag.endswith("}iq") and stanza.get("type") in ("get", "set") and len(stanza) == 1
    if not is_request or stanza[0].tag.endswith("}bind"):
        return None
    return f"<iq type='result' id='{stanza.get('id')}'/>"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "more"), [(None, set()), (agreeable, EMPTY_IS_RIGHT)], ids=["refusing", "agreeable"]
)
async def test_a_server_that_does_nothing_passes_nothing_but_what_it_does(answer, more):
    async with FakeServer(features=CLAIMS, stream_features=STREAM_CLAIMS) as server:
        profile = await explore(server.target(), ACCOUNTS["romeo"], TrafficLog())
        server.answer = answer or server.answer
        hasty = replace(server.target(), timeout_s=0.03)  # nearly all of these waits are in vain
        results = await run(collect(), World(hasty, ACCOUNTS, profile, ACCOUNTS["mercutio"], may_register=True))
    broken = {result.check.name: result.why for result in results if result.outcome is Outcome.BROKEN}
    passed = {result.check.name for result in results if result.outcome is Outcome.PASSED}
    assert broken == {}
    assert passed - DONE_RIGHT - more == set()
    assert sum(result.outcome is Outcome.FAILED for result in results) > len(results) // 2
