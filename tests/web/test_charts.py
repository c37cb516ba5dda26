"""Stacked column charts."""

from __future__ import annotations

from receivers.deliveries.outcomes import Tone
from receivers.web.charts import COLUMN, HEIGHT, stacked


def test_a_chart_without_values_has_no_bars() -> None:
    chart = stacked([{}, {}], "delivery", "deliveries")
    assert (chart.bars, chart.text, chart.width) == ((), "no deliveries", 2 * COLUMN)


def test_the_text_alternative_has_the_totals() -> None:
    chart = stacked([{Tone.GOOD: 2, Tone.BAD: 1}, {Tone.GOOD: 3}], "delivery", "deliveries")
    assert (chart.total, chart.text) == (6, "6 deliveries: 5 good, 1 bad")


def test_columns_start_at_the_baseline_and_fit_the_height() -> None:
    many = dict.fromkeys(Tone, 10**6) | {Tone.BAD: 1}
    chart = stacked([{Tone.OPEN: 1}, many], "x", "x")
    assert {bar.x for bar in chart.bars} == {0, COLUMN}
    for x in (0, COLUMN):
        column = [bar for bar in chart.bars if bar.x == x]
        assert column[0].y + column[0].height == HEIGHT
        assert min(bar.y for bar in column) >= 0


def test_one_failure_among_a_million_is_visible() -> None:
    chart = stacked([{Tone.GOOD: 10**6, Tone.BAD: 1}], "x", "x")
    assert [bar.height for bar in chart.bars if bar.tone == Tone.BAD] == [1.0]
