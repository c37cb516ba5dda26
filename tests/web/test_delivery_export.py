"""Export of the filtered deliveries to CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

import pytest

from receivers.web import delivery_export
from receivers.web.delivery_export import COLUMNS
from tests.deliveries.rows import store, unique_name
from tests.web.deliveries import failed_delivery


def test_both_formats_contain_the_filtered_deliveries_newest_first(signed_in, project_name):
    stored = store(
        *(failed_delivery(project_name, n, tag=f"1.0.{n}") for n in range(3)),
        failed_delivery(project_name, 9, outcome="freight_created"),
    )
    expected = [str(row.pk) for row in reversed(stored[:3])]
    browser = signed_in("viewer")
    table = list(
        csv.DictReader(io.StringIO(browser.open(f"/deliveries.csv?project={project_name}&outcome=bad")))
    )
    assert [row["id"] for row in table] == expected
    assert (table[0]["tag"], table[0]["outcome"]) == ("1.0.2", "failed")
    assert browser.headers["Content-Disposition"] == 'attachment; filename="deliveries.csv"'
    data = json.loads(browser.open(f"/deliveries.json?project={project_name}&outcome=bad"))
    assert [row["id"] for row in data["deliveries"]] == expected
    assert set(data["deliveries"][0]) == set(COLUMNS)
    assert (data["next"], data["note"], data["most"]) == ("", "", 10_000)
    assert browser.headers["X-Kargoweb-Most-Rows"] == "10000"


@pytest.mark.parametrize(
    ("start", "exported"),
    [
        *((char, f"'{char}") for char in "=+-@＝＋－＠"),
        ("\t=", "\\t="),
        ("\r=", "\\r="),
        ("\n=", "\\n="),
        ("\x1b]0;", "\\x1b]0;"),
        ("\u202e", "\\u202e"),
        ("é ", "é "),
    ],
)
def test_values_from_outside_control_neither_a_spreadsheet_nor_a_terminal(
    signed_in, project_name, start, exported
):
    store(failed_delivery(project_name, tag=f"{start}cmd|' /C calc'!A0", pusher=f"{start}1"))
    text = signed_in("viewer").open(f"/deliveries.csv?project={project_name}")
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row["tag"] == f"{exported}cmd|' /C calc'!A0"
    assert row["pusher"] == f"{exported}1"


def test_the_number_of_rows_is_limited_with_a_note(admin_client, project_name, monkeypatch):
    monkeypatch.setattr(delivery_export, "MOST_ROWS", 7)
    monkeypatch.setattr(delivery_export, "MAX_PAGE_SIZE", 3)
    stored = store(*(failed_delivery(project_name, n) for n in range(9)))

    def read(extension: str) -> str:
        response = admin_client.get(f"/deliveries.{extension}?project={project_name}")
        return str(response.content.decode())

    data = json.loads(read("json"))
    assert [row["id"] for row in data["deliveries"]] == [str(row.pk) for row in stored[:1:-1]]
    assert data["next"]
    assert "incomplete" in data["note"]
    *rows, last = csv.reader(io.StringIO(read("csv")))
    assert len(rows) == 8
    assert last == [data["note"]]


def test_an_invalid_filter_is_400_with_a_message(signed_in):
    browser = signed_in("viewer")
    text = browser.open("/deliveries.csv?since=yesterday&status=x")
    assert browser.status == 400
    assert text.splitlines()[0].startswith("status must be a response code")
    assert text.splitlines()[1].startswith("since must be a time such as")


def test_hidden_deliveries_are_not_exported(signed_in, project_name):
    other = unique_name()
    own, _ = store(failed_delivery(project_name), failed_delivery(other))
    data = json.loads(signed_in(f"viewer:{project_name}").open("/deliveries.json"))
    assert [row["id"] for row in data["deliveries"]] == [str(own.pk)]
