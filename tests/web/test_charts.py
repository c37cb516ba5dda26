"""Stacked columns."""

from __future__ import annotations

from receivers.deliveries.outcomes import Tone
from receivers.web.charts import COLUMN, HEIGHT, stacked


def test_nothing_is_drawn_of_nothing_and_the_text_says_so() -> None:
    drawing = stacked([{}, {}], "deliveries")
    assert (drawing.bars, drawing.text, drawing.width) == ((), "no deliveries", 2 * COLUMN)


def test_the_text_says_what_the_columns_come_to() -> None:
    drawing = stacked([{Tone.GOOD: 2, Tone.BAD: 1}, {Tone.GOOD: 3}], "deliveries")
    assert (drawing.total, drawing.text) == (6, "6 deliveries: 5 good, 1 bad")


def test_columns_stand_on_the_ground_and_stay_inside() -> None:
    many = dict.fromkeys(Tone, 10**6) | {Tone.BAD: 1}
    drawing = stacked([{Tone.OPEN: 1}, many], "x")
    assert {bar.x for bar in drawing.bars} == {0, COLUMN}
    for x in (0, COLUMN):
        column = [bar for bar in drawing.bars if bar.x == x]
        assert column[0].y + column[0].height == HEIGHT
        assert min(bar.y for bar in column) >= 0


def test_a_single_bad_one_among_a_million_is_seen() -> None:
    drawing = stacked([{Tone.GOOD: 10**6, Tone.BAD: 1}], "x")
    assert [bar.height for bar in drawing.bars if bar.tone == Tone.BAD] == [1.0]
