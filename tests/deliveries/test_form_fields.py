"""Parts of forms."""

from __future__ import annotations

import pytest

from receivers.deliveries.form_fields import OpenSelect


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("a", '<option value="a" selected>A</option>'),
        ("", '<option value="a">A</option>'),
        ("b\u202e", '<option value="a">A</option>\n\n  <option value="b\u202e" selected>b\\u202e</option>'),
    ],
)
def test_a_select_keeps_a_value_that_is_not_a_choice(value, options):
    html = OpenSelect(choices=[("a", "A")]).render("field", value)
    assert "\n".join(html.split("\n")[1:-2]).strip() == options
