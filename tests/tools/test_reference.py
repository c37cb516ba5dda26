"""The reference tables and diagrams in `docs/` are those that the code makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import diagrams, reference

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if reference.REGION.search(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_current(page: Path):
    text = page.read_text()
    assert reference.updated(text) == text, "run `make reference`"


def test_every_table_is_on_a_page():
    named = {region[2] for page in PAGES for region in reference.REGION.finditer(page.read_text())}
    assert named == set(reference.TABLES)


def test_documented_defaults_are_those_of_the_code():
    defaults = reference.setting_defaults()
    rows = reference.SETTING_ROW.findall((DOCS / "configuration.md").read_text())
    documented = {name: re.fullmatch(r"`([^`<]+)`", default.strip()) for name, default, _ in rows}
    exact = {name: match[1] for name, match in documented.items() if match and name != "KARGOWEB_DATA_DIR"}
    assert len(exact) > 30
    assert exact == {name: defaults[name] for name in exact}


def test_the_settings_of_the_site_say_what_they_accept():
    text = reference.with_accepted_values((DOCS / "configuration.md").read_text())
    for name, values in {
        "PORT": "an integer from 1 to 65535",
        "KARGOWEB_ROLE": "one of all, receiver, dashboard",
        "KARGOWEB_METRICS": "true or false",
    }.items():
        [row] = re.findall(rf"^\| `{name}` \|.*$", text, re.M)
        assert row.endswith(f"<br>*Accepts {values}.* |")


def test_the_diagrams_are_current():
    assert {path.name: path.read_text() for path in (DOCS / "images").glob("*.svg")} == diagrams.files(), (
        "run `make reference`"
    )
