"""RFC 6120: XMPP Core. Streams, TLS, SASL, binding, stanzas and the errors of each."""

from __future__ import annotations

import base64
import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import STREAM_OPEN, Account, AuthenticationFailed, Client
from compliance.names import PREFIXES, XML_LANG, Element, clark, condition, find, text
from compliance.sasl import Scram
from compliance.scene import Scene

check = checks_of("RFC 6120")
# What a server may call restricted XML (§11.1 allows more than the condition made for it).
RESTRICTED = ("restricted-xml", "bad-format", "not-well-formed")
SERVICE_UNAVAILABLE = ("service-unavailable", "feature-not-implemented")


# -- opening a stream


@check("4.7", MUST, "The server answers with a stream header of version 1.0, its own id and our domain.")
async def stream_header_has_id_from_and_version(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    header = await client.open_stream()
    require_equal(header.tag, f"{{{PREFIXES['stream']}}}stream", "the root element")
    require_equal(header.attributes.get("from"), scene.domain, "the header's from")
    require_equal(header.attributes.get("version"), "1.0", "the header's version")
    require(header.attributes.get("id"), "the header has no id")
    require_equal(header.namespaces.get(None), "jabber:client", "the content namespace")


@check("4.7.3", MUST, "The id of a stream is unique and not to be guessed.")
async def stream_ids_differ(scene: Scene) -> None:
    ids = []
    for _ in range(3):
        client = scene.client()
        await client.connect()
        ids.append((await client.open_stream()).attributes.get("id", ""))
    require_equal(len(set(ids)), 3, "the number of different ids in three streams")
    require(all(len(id_) >= 8 for id_ in ids), f"ids this short can be guessed: {ids}")


@check("4.7.4", MUST, "The server's stream header names a language.")
async def stream_header_has_a_language(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    header = await client.open_stream()
    require(header.attributes.get(XML_LANG), "the header has no xml:lang")


@check("4.3.2", MUST, "A server of version 1.0 sends stream features after its header.")
async def features_follow_the_header(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    await client.open_stream()
    features = await client.read_features()
    require(len(features), "the first features are empty: there is no way on")


@check("4.9.3.6", MUST, "A stream for a domain that the server does not host ends with host-unknown.")
async def unknown_domain_gets_host_unknown(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    await client.open_stream(STREAM_OPEN.format(to="'nowhere.invalid'"))
    await client.expect_stream_error("host-unknown")


@check("4.9.3.10", MUST, "A root element outside the streams namespace ends with invalid-namespace.")
async def wrong_stream_namespace_is_refused(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    header = STREAM_OPEN.format(to=quoteattr(scene.domain))
    await client.open_stream(header.replace(PREFIXES["stream"], "http://example.org/wrong"))
    await client.expect_stream_error("invalid-namespace")


@check("4.9.3.2", MUST, "A prefix that is not bound to a namespace ends the stream.")
async def unbound_prefix_is_refused(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send("<message><unbound:x/></message>")
    await client.expect_stream_error("bad-namespace-prefix", "not-well-formed")


@check("4.9.3.13", MUST, "XML that is not well-formed ends the stream with not-well-formed.")
async def malformed_xml_ends_the_stream(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send("<message><body>unclosed</message>")
    await client.expect_stream_error("not-well-formed")


@check("11.1", MUST, "A comment in the stream is refused: restricted XML has none.")
async def comment_is_refused(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send("<message><!-- restricted --></message>")
    await client.expect_stream_error(*RESTRICTED)


@check("11.1", MUST, "A processing instruction in the stream is refused.")
async def processing_instruction_is_refused(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send("<?restricted xml?>")
    await client.expect_stream_error(*RESTRICTED)


@check("11.1", MUST, "A document type declaration, with whatever entities, is refused.")
async def doctype_is_refused(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    declaration = "<!DOCTYPE stream [<!ENTITY a 'aaaaaaaaaa'>]>"
    header = STREAM_OPEN.format(to=quoteattr(scene.domain)).replace("?>", f"?>{declaration}", 1)
    await client.send(header)
    await client.expect_stream_error(*RESTRICTED)


@check("11.1", SHOULD, "The stream error for restricted XML is restricted-xml.")
async def restricted_xml_is_called_so(scene: Scene) -> None:
    for xml in ("<message><!-- restricted --></message>", "<?restricted xml?>"):
        client = await scene.login("romeo")
        await client.send(xml)
        await client.expect_stream_error("restricted-xml")


@check("11.6", MUST, "Bytes that are not UTF-8 end the stream.")
async def invalid_utf8_is_refused(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send(b"<message><body>\xc3\x28</body></message>")
    await client.expect_stream_error("unsupported-encoding", "not-well-formed", "bad-format")


@check("4.9.3.24", MUST, "A first-level element that is no stanza is refused with unsupported-stanza-type.")
async def unknown_first_level_element_is_refused(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send("<unheard-of xmlns='jabber:client'/>")
    await client.expect_stream_error("unsupported-stanza-type")


@check("4.4", MUST, "When the client closes its stream the server closes its own.")
async def closing_the_stream_is_answered(scene: Scene) -> None:
    client = await scene.login("romeo")
    await client.send("</stream:stream>")
    await client.expect_end()
    require(client.closed, "the connection ended without </stream:stream>")


# -- TLS


@check("5.3.1", MUST, "When TLS is mandatory to negotiate, SASL is not offered before it.")
async def sasl_waits_for_mandatory_tls(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    await client.open_stream()
    features = await client.read_features()
    starttls = find(features, "tls:starttls")
    if starttls is None:
        raise NotPossible("the server does not offer STARTTLS")
    if find(starttls, "tls:required") is None:
        raise NotPossible("the server does not require TLS")
    require(not client.mechanisms(), "STARTTLS is required, and yet SASL mechanisms are offered beside it")


@check("5.4.3.3", MUST, "After TLS the stream starts anew, and STARTTLS is not offered again.")
async def starttls_restarts_the_stream(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    first = await client.open_stream()
    features = await client.read_features()
    if find(features, "tls:starttls") is None:
        raise NotPossible("the server does not offer STARTTLS")
    await client.start_tls()
    assert client.header is not None and client.features is not None
    require(client.header.attributes.get("id") != first.attributes.get("id"), "the stream inside TLS has the old id")
    require(find(client.features, "tls:starttls") is None, "STARTTLS is offered inside TLS")
    require(client.mechanisms(), "no SASL mechanism is offered inside TLS")


# -- SASL


@check("13.8.1", MUST, "SCRAM-SHA-1 is offered for logging in with a password.")
async def scram_sha_1_is_offered(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    require("SCRAM-SHA-1" in client.mechanisms(), f"offered are only {client.mechanisms()}")


@check("6.4.2", MUST, "Each password mechanism that the server offers lets the owner in.")
async def every_offered_mechanism_works(scene: Scene) -> None:
    known = ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")
    for mechanism in known:
        client = scene.client(label=f"romeo {mechanism}")
        await client.start()
        if mechanism not in client.mechanisms():
            client.abort()
            continue
        await client.enter(mechanism=mechanism)
        await client.close()


@check("6.5.10", MUST, "A wrong password is answered with not-authorized.")
async def wrong_password_is_refused(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    await _expect_refusal(client, ("not-authorized",), password="certainly not the password")


@check(
    "6.5.10",
    MUST,
    "An account that does not exist is refused as a wrong password is: nobody learns which names are taken.",
)
async def unknown_account_is_refused_alike(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    client.account = Account(f"nobody-{secrets.token_hex(5)}@{scene.domain}", "x")
    await _expect_refusal(client, ("not-authorized",), password="certainly not the password")


@check("6.4.5", SHOULD, "After a failure the client may try again on the same stream.")
async def login_can_be_retried(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    await _expect_refusal(client, ("not-authorized",), password="certainly not the password")
    require(not client.closed and not client.lost, "the stream ended after one failure")
    await client.enter()


@check("6.5.7", MUST, "A mechanism that was not offered is refused with invalid-mechanism.")
async def unknown_mechanism_is_refused(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='X-UNHEARD-OF'>AA==</auth>")
    failure = await client.expect("sasl:failure")
    require_equal(condition(failure), "invalid-mechanism", "the condition")


@check("6.5.5", MUST, "A response that is not base64 is refused with incorrect-encoding or malformed-request.")
async def bad_base64_is_refused(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    mechanism = next((m for m in client.mechanisms() if m.startswith("SCRAM-SHA-1")), "PLAIN")
    await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{mechanism}'>!not base64!</auth>")
    failure = await client.expect("sasl:failure")
    require_in(condition(failure), ("incorrect-encoding", "malformed-request", "not-authorized"), "the condition")


@check("6.5.1", MUST, "A client may abort the exchange and gets the failure aborted for it.")
async def abort_is_answered(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    mechanism = next((m for m in ("SCRAM-SHA-256", "SCRAM-SHA-1") if m in client.mechanisms()), None)
    if mechanism is None:
        raise NotPossible("no mechanism with more than one step is offered")
    assert client.account is not None
    first = base64.b64encode(Scram(mechanism, client.account.username, "").first()).decode()
    await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{mechanism}'>{first}</auth>")
    await client.expect("sasl:challenge")
    await client.send(f"<abort xmlns='{PREFIXES['sasl']}'/>")
    failure = await client.expect("sasl:failure")
    require_equal(condition(failure), "aborted", "the condition")


@check("4.9.3.12", MUST, "A stanza sent before login is not processed.")
async def stanza_before_login_is_not_routed(scene: Scene) -> None:
    juliet = await scene.online("juliet")
    client = scene.client()
    await client.start()
    await client.send(f"<message to={quoteattr(juliet.jid)} id='early'><body>too early</body></message>")
    await client.expect("*", where=_is_error)
    await juliet.roundtrip()
    juliet.refuse("c:message", id="early", why="a stanza was routed before its sender had logged in")


@check("4.9.3.12", SHOULD, "A stanza sent before login ends the stream with not-authorized.")
async def stanza_before_login_ends_the_stream(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    await client.send(f"<message to={quoteattr(scene.jid('juliet'))}><body>too early</body></message>")
    error = await client.expect("*", where=_is_error)
    require(error.tag == clark("stream:error"), "a stanza error came, and the stream went on")
    require_in(condition(error), ("not-authorized", "policy-violation"), "the condition")


def _is_error(element: Element) -> bool:
    return element.get("type") == "error" or element.tag == clark("stream:error")


async def _expect_refusal(client: Client, conditions: tuple[str, ...], *, password: str) -> None:
    try:
        await client.authenticate(password=password)
    except AuthenticationFailed as error:
        require_in(error.condition, conditions, "the condition")
    else:
        require(False, "a wrong password was accepted")


# -- binding


@check("7.2", MUST, "After login the features offer resource binding.")
async def binding_is_offered_after_login(scene: Scene) -> None:
    require(f"{{{PREFIXES['bind']}}}bind" in scene.profile.after_login, "the features after login hold no <bind/>")
    require(f"{{{PREFIXES['bind']}}}bind" not in scene.profile.before_login, "<bind/> is offered before login")


@check("7.7", MUST, "A client that asks for a resource gets it, or another of the server's making.")
async def client_chooses_its_resource(scene: Scene) -> None:
    wanted = f"balcony-{secrets.token_hex(3)}"
    client = await scene.login("romeo", resource=wanted)
    bare, _, resource = client.jid.partition("/")
    require_equal(bare, scene.jid("romeo"), "the bound bare JID")
    require(resource, "the bound JID has no resource")


@check("7.6", MUST, "A client that asks for no resource gets one that the server makes up.")
async def server_makes_up_resources(scene: Scene) -> None:
    first = await scene.login("romeo", resource="")
    second = await scene.login("romeo", resource="", label="romeo again")
    require("/" in first.jid and "/" in second.jid, "a bound JID has no resource")
    require(first.jid != second.jid, f"both streams were bound to {first.jid}")


@check("7.7.2.2", MUST, "Two streams never hold the same full JID: one is renamed, refused or ended.")
async def conflicting_resource_is_resolved(scene: Scene) -> None:
    first = await scene.login("romeo", resource="conflict")
    second = scene.client(label="romeo again")
    await second.start()
    await second.authenticate()
    await second.open_stream()
    await second.read_features()
    reply = await second.iq("set", f"<bind xmlns='{PREFIXES['bind']}'><resource>conflict</resource></bind>")
    if reply.get("type") == "error":
        require_equal(condition(reply), "conflict", "the condition")
    elif text(reply, "bind:bind/bind:jid") == first.jid:
        await first.expect_stream_error("conflict")


@check("7.1", MUST, "A stanza to another entity before binding is not routed.")
async def stanza_before_binding_is_not_routed(scene: Scene) -> None:
    juliet = await scene.online("juliet")
    client = scene.client()
    await client.start()
    await client.authenticate()
    await client.open_stream()
    await client.read_features()
    token = secrets.token_hex(8)
    await client.send(f"<message to={quoteattr(juliet.jid)} id='{token}'><body>unbound</body></message>")
    # Either a stream error or a stanza error; what counts is that juliet gets nothing.
    await client.expect("*", where=_is_error)
    await juliet.roundtrip()
    juliet.refuse("c:message", id=token, why="a stanza was routed before its sender had bound a resource")


# -- stanzas


@check("8.1.2.1", MUST, "The server stamps a stanza's from with the sender's full JID.")
async def from_is_stamped(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token = secrets.token_hex(8)
    await romeo.send(f"<message to={quoteattr(juliet.jid)} id='{token}'><body>who am I?</body></message>")
    message = await juliet.expect("c:message", id=token)
    require_equal(message.get("from"), romeo.jid, "the from")
    require_equal(message.get("to"), juliet.jid, "the to")


@check("8.1.2.1", MUST, "A stanza with another's from is never delivered as theirs.")
async def forged_from_is_not_delivered(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    mercutio = await scene.online("mercutio")
    token, forged = secrets.token_hex(8), scene.jid("mercutio")
    await romeo.send(
        f"<message to={quoteattr(juliet.jid)} from={quoteattr(forged)} id='{token}'><body>forged</body></message>"
    )
    await scene.settle(mercutio, juliet)
    await juliet.roundtrip()
    juliet.refuse("c:message", id=token, from_=forged, why="a forged from was believed")
    for message in juliet.unread("c:message", id=token):
        require_equal(message.get("from"), romeo.jid, "the from of the message")


@check("8.2.3", MUST, "Each iq of type get or set is answered, with the same id.")
async def unknown_request_to_the_server_is_answered(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    for kind in ("get", "set"):
        reply = await romeo.iq(kind, "<unheard-of xmlns='urn:example:unheard-of'/>", to=scene.domain)
        require_equal(reply.get("type"), "error", "the type of the answer")
        require_in(condition(reply), SERVICE_UNAVAILABLE, "the condition")
        require_in(reply.get("from"), (scene.domain, None), "the from of the answer")


@check("8.2.3", MUST, "An iq of an unknown type, or without one, is bad-request.")
async def iq_of_unknown_type_is_bad_request(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    await romeo.send(f"<iq type='push' id='odd' to={quoteattr(scene.domain)}><ping xmlns='urn:xmpp:ping'/></iq>")
    reply = await romeo.expect("c:iq", id="odd")
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "bad-request", "the condition")


@check("8.2.3", MUST, "A request with no payload, or with two, is bad-request.")
async def iq_has_exactly_one_payload(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    for payload in ("", ping + ping):
        reply = await romeo.iq("get", payload, to=scene.domain)
        require_equal(reply.get("type"), "error", f"the type of the answer to {payload!r}")
        require_equal(condition(reply), "bad-request", f"the condition for {payload!r}")


@check("8.3.1", MUST, "A stanza error has type error, a defined condition, and goes back to the sender.")
async def stanza_error_has_its_parts(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", "<unheard-of xmlns='urn:example:unheard-of'/>", to=scene.jid("juliet"))
    error = find(reply, "c:error")
    require(error is not None, "the answer holds no <error/>")
    assert error is not None
    require_in(error.get("type"), ("auth", "cancel", "continue", "modify", "wait"), "the type of the error")
    require(condition(reply), "the error names no condition")
    require_equal(reply.get("from"), scene.jid("juliet"), "the from of the answer")
    require_equal(reply.get("to"), romeo.jid, "the to of the answer")


@check("8.3.1", MUST, "An error is never answered with an error.")
async def error_is_not_answered(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    error = f"<error type='cancel'><item-not-found xmlns='{PREFIXES['stanzas']}'/></error>"
    nobody = f"nobody-{secrets.token_hex(4)}@{scene.domain}"
    await romeo.send(f"<iq type='error' id='e1' to={quoteattr(scene.domain)}>{error}</iq>")
    await romeo.send(f"<message type='error' id='e2' to={quoteattr(nobody)}>{error}</message>")
    await romeo.send(f"<iq type='result' id='e3' to={quoteattr(nobody)}/>")
    await romeo.roundtrip()
    for id_ in ("e1", "e2", "e3"):
        romeo.refuse("*", id=id_, why="an error or result was answered")


@check("8.3.3.8", SHOULD, "An address that is no JID gets jid-malformed.")
async def malformed_to_is_refused(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    await romeo.send("<iq type='get' id='bad-to' to='@@/'><ping xmlns='urn:xmpp:ping'/></iq>")
    reply = await romeo.expect("c:iq", id="bad-to")
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "jid-malformed", "the condition")


@check("10.1", MUST, "Stanzas between two entities arrive in the order in which they were sent.")
async def order_is_kept(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token, count = secrets.token_hex(6), 50
    await romeo.send(
        "".join(
            f"<message to={quoteattr(juliet.jid)} id='{token}-{i}'><body>{i}</body></message>" for i in range(count)
        )
    )
    await juliet.expect("c:message", id=f"{token}-{count - 1}")
    seen = [el.get("id") for el in juliet.unread("c:message") if (el.get("id") or "").startswith(token)]
    require_equal(seen, [f"{token}-{i}" for i in range(count - 1)], "the order of the messages")


@check("13.12", MUST, "Stanzas of up to 10,000 bytes are accepted.")
async def ten_thousand_bytes_are_accepted(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    head = f"<message to={quoteattr(juliet.jid)} id='large'><body>"
    tail = "</body></message>"
    body = "x" * (10_000 - len(head) - len(tail))
    await romeo.send(f"{head}{body}{tail}")
    message = await juliet.expect("c:message", id="large")
    require_equal(len(text(message, "c:body") or ""), len(body), "the length of the body")


@check("13.12", MUST, "A stanza far too large is refused with an error; it does not kill the service.")
async def ten_megabytes_are_refused(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    body = "x" * 10_000_000
    await romeo.send(f"<message to={quoteattr(scene.jid('romeo'))} id='huge'><body>{body}</body></message>")
    await romeo.expect_stream_error("policy-violation", "resource-constraint", "not-well-formed")
    again = await scene.login("romeo", label="romeo again")
    await again.roundtrip()


@check("8.4", MUST, "Extension elements that the server does not know are delivered untouched.")
async def unknown_extensions_pass(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    payload = "<x xmlns='urn:example:unheard-of' p:a='1' xmlns:p='urn:example:p'><p:y>&lt;z&gt;</p:y>tail</x>"
    await romeo.send(f"<message to={quoteattr(juliet.jid)} id='ext'><body>b</body>{payload}</message>")
    message = await juliet.expect("c:message", id="ext")
    got = message.find("{urn:example:unheard-of}x")
    require(got is not None, "the extension is gone")
    assert got is not None
    require_equal(got.get("{urn:example:p}a"), "1", "the prefixed attribute")
    inner = got.find("{urn:example:p}y")
    require(inner is not None and inner.text == "<z>" and inner.tail == "tail", "the extension's content is changed")
