"""The preview of JSON, text, binary, large and missing bodies."""

from __future__ import annotations

import pytest

from receivers.models import Delivery, Outcome
from receivers.web.body_preview import BYTES_SHOWN, LONGEST_SHOWN, BodyPreview, preview


def preview_of(body: bytes, outcome: Outcome) -> BodyPreview:
    """Return the preview of the body of a delivery with this outcome."""
    delivery = Delivery(outcome=outcome)
    delivery.body = body
    return preview(delivery)


def test_json_is_shown_formatted_and_raw():
    body = preview_of(b'{"a":[1,"\xc3\xa9"]}', Outcome.NO_MATCH)
    assert body.pretty == '{\n  "a": [\n    1,\n    "é"\n  ]\n}'
    assert (body.raw, body.note, body.size) == ('{"a":[1,"é"]}', "", 14)


@pytest.mark.parametrize(
    ("body", "raw", "note"),
    [
        (b"not json\n\tand more", "not json\n    and more", ""),
        (b"\xff\xfe\x00", "ff fe 00", "Binary content, shown in hexadecimal."),
        (b"a\x1b[2J\xe2\x80\xaeb", "a\\x1b[2J\\u202eb", ""),
        (b"[" * 50_000, "[" * 50_000, ""),
        (b"", "", "The body was not saved."),
    ],
    ids=["text", "bytes", "controls", "deep nesting", "empty"],
)
def test_other_content_is_shown_escaped(body, raw, note):
    shown = preview_of(body, Outcome.INVALID_BODY)
    assert (shown.pretty, shown.raw, shown.note) == ("", raw, note)


def test_a_lone_surrogate_in_json_can_be_encoded():
    shown = preview_of(b'"\\ud800"', Outcome.INVALID_BODY)
    assert shown.pretty.encode() == b'"\\ud800"'


def test_a_large_body_is_truncated_with_a_note():
    shown = preview_of("é".encode() * LONGEST_SHOWN, Outcome.NO_MATCH)
    assert len(shown.raw) == LONGEST_SHOWN // 2
    assert shown.note == "Only the first 64 KiB are shown."
    assert (shown.size, shown.pretty) == (2 * LONGEST_SHOWN, "")
    odd = preview_of(b"x" + "é".encode() * LONGEST_SHOWN, Outcome.NO_MATCH)
    assert odd.raw.endswith("é")
    binary = preview_of(b"\xff" * 1000, Outcome.INVALID_BODY)
    assert binary.raw.count("ff") == BYTES_SHOWN
    assert binary.note.endswith(f"first {BYTES_SHOWN} bytes in hexadecimal.")


def test_a_body_that_was_too_large_to_save_has_a_note():
    assert preview_of(b"", Outcome.TOO_LARGE).note == "The body was too large to be saved."


def test_a_dropped_body_has_a_note_and_its_size():
    shown = preview(Delivery(body_size=5_000, outcome=Outcome.NO_MATCH))
    assert (shown.note, shown.size) == (
        "The body was dropped because of its age or the quota for stored bodies.",
        5_000,
    )
