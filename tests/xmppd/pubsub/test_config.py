"""How a node is set up: forms and preconditions."""

import pytest

from codec.payloads.data_form import Field, Form
from codec.payloads.pubsub import NS_NODE_CONFIG, NS_PUBLISH_OPTIONS
from xmppd.errors import StanzaError
from xmppd.pubsub.config import (
    OPTIONS,
    NodeConfig,
    are_met,
    changed,
    configuration_form,
    meta_data_form,
    preconditions,
)

MOST = 100


def submit(form_type: str = NS_NODE_CONFIG, **values: str | list[str]) -> Form:
    return Form.submit(form_type, {f"pubsub#{name}": value for name, value in values.items()})


def wanted(**values: str | list[str]) -> dict[str, object] | None:
    return preconditions(submit(NS_PUBLISH_OPTIONS, **values), MOST)


def condition(form: Form) -> str:
    with pytest.raises(StanzaError) as caught:
        changed(NodeConfig(), form, MOST)
    return caught.value.condition


def test_defaults_are_those_of_pep() -> None:
    config = NodeConfig()
    assert (config.access_model, config.max_items, config.persist_items) == ("presence", 1, True)
    assert config.send_last_published_item == "on_sub_and_presence"


def test_form_that_is_sent_back_unchanged_changes_nothing() -> None:
    config = NodeConfig(access_model="roster", roster_groups_allowed=("Friends",), max_items=None, title="T")
    shown = configuration_form(config, ["Friends", "Foes"])
    answer = Form(type="submit", fields=tuple(Field(var=field.var, values=field.values) for field in shown.fields))
    assert changed(config, answer, MOST) == config


def test_form_lists_the_groups_of_the_roster() -> None:
    field = configuration_form(NodeConfig(roster_groups_allowed=("Gone",)), ["Friends"]).field(
        "pubsub#roster_groups_allowed"
    )
    assert field is not None and [option.value for option in field.options] == ["Friends", "Gone"]


def test_each_option_is_a_field_of_the_form_with_its_type() -> None:
    shown = configuration_form(NodeConfig())
    assert shown.form_type == NS_NODE_CONFIG
    for var, option in OPTIONS.items():
        field = shown.field(var)
        assert field is not None and field.type == option.type and field.label


def test_what_a_form_leaves_out_stays_and_what_we_do_not_know_does_not_count() -> None:
    before = NodeConfig(title="T", access_model="open")
    after = changed(before, submit(max_items="max", surprise="1"), MOST)
    assert after == NodeConfig(title="T", access_model="open", max_items=None)


@pytest.mark.parametrize(
    "values",
    [
        {"access_model": "everybody"},
        {"persist_items": "perhaps"},
        {"max_items": "many"},
        {"max_items": "-1"},
        {"max_items": "0"},
        {"max_items": "101"},
        {"title": "x" * 1024},
        {"access_model": ["open", "presence"]},
        {"roster_groups_allowed": [str(number) for number in range(51)]},
    ],
)
def test_value_that_cannot_be_is_not_acceptable(values: dict[str, str | list[str]]) -> None:
    assert condition(submit(**values)) == "not-acceptable"


def test_field_that_stands_there_twice_is_not_acceptable() -> None:
    field = Field(var="pubsub#title", values=("x",))
    assert condition(Form(type="submit", fields=(field, field))) == "not-acceptable"


@pytest.mark.parametrize("form", [Form(type="form"), Form(type="result"), submit(NS_PUBLISH_OPTIONS)])
def test_form_of_another_kind_is_a_bad_request(form: Form) -> None:
    assert condition(form) == "bad-request"


def test_only_what_differs_from_the_defaults_is_kept() -> None:
    assert NodeConfig().changes() == {}
    config = NodeConfig(max_items=None, roster_groups_allowed=("A",), notify_config=True)
    assert config.changes() == {"max_items": None, "roster_groups_allowed": ("A",), "notify_config": True}
    stored = {"max_items": None, "roster_groups_allowed": ["A"], "notify_config": True, "option_that_is_no_more": 1}
    assert NodeConfig.of_changes(stored) == config


def test_no_publish_options_want_nothing() -> None:
    assert preconditions(None, MOST) == {}


def test_preconditions_are_met_when_every_one_is_as_the_node_has_it() -> None:
    config = NodeConfig(access_model="whitelist", max_items=None)
    assert are_met(config, wanted(access_model="whitelist") or {}, MOST)
    assert not are_met(config, wanted(access_model="whitelist", persist_items="false") or {}, MOST)
    assert are_met(config, {}, MOST)


def test_max_and_the_number_for_which_it_stands_are_the_same() -> None:
    assert are_met(NodeConfig(max_items=None), wanted(max_items="100") or {}, MOST)
    assert are_met(NodeConfig(max_items=100), wanted(max_items="max") or {}, MOST)
    assert not are_met(NodeConfig(max_items=99), wanted(max_items="max") or {}, MOST)


def test_order_of_groups_does_not_count() -> None:
    config = NodeConfig(roster_groups_allowed=("A", "B"))
    assert are_met(config, wanted(roster_groups_allowed=["B", "A"]) or {}, MOST)


def test_option_that_we_do_not_know_is_never_met() -> None:
    assert wanted(item_colour="red") is None


def test_publish_options_of_another_form_are_a_bad_request() -> None:
    with pytest.raises(StanzaError) as caught:
        preconditions(submit(NS_NODE_CONFIG), MOST)
    assert caught.value.condition == "bad-request"


def test_what_everybody_may_know_of_a_node_is_told_as_meta_data() -> None:
    form = meta_data_form(NodeConfig(title="T"), {"owner": "romeo@example.org"})
    assert form.value("pubsub#title") == "T" and form.value("pubsub#owner") == "romeo@example.org"
    assert form.field("pubsub#roster_groups_allowed") is None
