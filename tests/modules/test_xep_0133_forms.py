"""XEP-0133: the forms that administrators fill in."""

import pytest

from codec.payloads.data_form import Form
from xmppd.modules import xep_0133_forms as forms

ALL = [value for value in vars(forms).values() if isinstance(value, Form)]


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.title)
def test_every_form_says_what_it_is_about_and_labels_its_fields(form: Form) -> None:
    assert (form.type, form.form_type) == ("form", "http://jabber.org/protocol/admin")
    assert form.title
    assert all(field.label and field.type for field in form.fields[1:])


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.title)
def test_every_form_survives_the_wire(form: Form) -> None:
    assert Form.from_element(form.to_element()) == form


def test_passwords_are_not_shown_while_they_are_typed() -> None:
    fields = [field for form in ALL for field in form.fields if field.var and "password" in field.var]
    assert len(fields) == 3
    assert {field.type for field in fields} == {"text-private"}
