"""What a filter asks for as a file."""

from __future__ import annotations

import csv
import io
import json

import pytest

from receivers.models import Outcome
from receivers.web import export
from receivers.web.export import COLUMNS
from tests.deliveries.rows import delivery, store, unique_name


@pytest.fixture
def project(database) -> str:
    return unique_name()


def failed(project, seconds=0.0, **fields):
    return delivery(project, seconds, **({"outcome": Outcome.FAILED} | fields))


def test_both_files_have_what_is_filtered_newest_first(signed_in, project):
    stored = store(
        *(failed(project, n, tag=f"1.0.{n}") for n in range(3)), failed(project, 9, outcome="freight_created")
    )
    wanted = [str(one.pk) for one in reversed(stored[:3])]
    browser = signed_in("viewer")
    table = list(csv.DictReader(io.StringIO(browser.open(f"/deliveries.csv?project={project}&outcome=bad"))))
    assert [one["id"] for one in table] == wanted
    assert (table[0]["tag"], table[0]["outcome"]) == ("1.0.2", "failed")
    assert browser.headers["Content-Disposition"] == 'attachment; filename="deliveries.csv"'
    told = json.loads(browser.open(f"/deliveries.json?project={project}&outcome=bad"))
    assert [one["id"] for one in told["deliveries"]] == wanted
    assert set(told["deliveries"][0]) == set(COLUMNS)
    assert (told["next"], told["note"], told["most"]) == ("", "", 10_000)
    assert browser.headers["X-Kargoweb-Most-Rows"] == "10000"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_calculates_nothing_that_a_stranger_wrote(signed_in, project, start):
    store(failed(project, tag=f"{start}cmd|' /C calc'!A0", pusher=f"{start}1"))
    text = signed_in("viewer").open(f"/deliveries.csv?project={project}")
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row["tag"].startswith("'" + start)
    assert row["pusher"] == f"'{start}1"


def test_a_file_is_bounded_and_says_so(inside, project, monkeypatch):
    monkeypatch.setattr(export, "MOST_ROWS", 7)
    monkeypatch.setattr(export, "MAX_PAGE_SIZE", 3)
    stored = store(*(failed(project, n) for n in range(9)))

    def read(kind: str, more: str = "") -> str:
        answer = inside.get(f"/deliveries.{kind}?project={project}{more}")
        return b"".join(answer.streaming_content).decode()

    told = json.loads(read("json"))
    assert [one["id"] for one in told["deliveries"]] == [str(one.pk) for one in stored[:1:-1]]
    assert told["next"]
    assert "incomplete" in told["note"]
    *rows, last = csv.reader(io.StringIO(read("csv")))
    assert len(rows) == 8
    assert last == [told["note"]]


def test_nonsense_is_400_and_a_sentence(signed_in):
    browser = signed_in("viewer")
    text = browser.open("/deliveries.csv?since=yesterday&status=x")
    assert browser.status == 400
    assert text.splitlines()[0].startswith("status must be a response code")
    assert text.splitlines()[1].startswith("since must be a time such as")


def test_nobody_exports_what_he_may_not_see(signed_in, project):
    other = unique_name()
    mine, _ = store(failed(project), failed(other))
    told = json.loads(signed_in(f"viewer:{project}").open("/deliveries.json"))
    assert [one["id"] for one in told["deliveries"]] == [str(mine.pk)]
