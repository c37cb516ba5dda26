"""State survives restarts of the server. Demo only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from demo.apiserver.persistence import DataFileBusyError, FileJournal
from demo.apiserver.storage import Store
from tests.clusters import ROOT, DemoCluster
from tests.contract.api_objects import default_warehouses, names, ok, version

PATH = "/apis/kargo.akuity.io/v1alpha1/namespaces/default/warehouses"


@pytest.fixture
def objects(demo):
    return default_warehouses(demo.api)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_loses_nothing_and_versions_keep_increasing(demo, objects, end):
    objects.create("gone")
    kept = objects.create("kept")
    demo.api.delete(objects.at("gone"))
    before = version(objects.list())

    getattr(demo, end)()
    demo.start()

    assert objects.list()["items"] == [kept]
    assert version(objects.list()) == before
    assert version(objects.create("new")) > before


def test_a_watch_from_before_a_restart_expires_unless_it_missed_nothing(demo, objects):
    old = version(objects.create("one"))
    current = version(objects.annotate("one", "x"))
    demo.kill()
    demo.start()
    objects.create("two")

    with demo.api.watch(objects.path, resourceVersion=old) as events:
        assert next(events)["object"]["code"] == 410
    with demo.api.watch(objects.path, resourceVersion=current) as events:
        assert next(events)["object"]["metadata"]["name"] == "two"


def test_types_and_their_deletion_survive_a_restart(tmp_path):
    with DemoCluster(tmp_path / "bare", kargo=False) as cluster:
        assert cluster.api.get(PATH).status == 404
        cluster.stop()
        cluster.start()
        assert cluster.api.get(PATH).status == 404


def test_stopping_ends_open_watches_cleanly(demo, objects):
    objects.create("one")
    with demo.api.watch(objects.path) as events:
        assert next(events)["type"] == "ADDED"
        demo.stop()
        assert list(events) == []


def test_a_truncated_last_line_is_dropped(demo, objects, tmp_path):
    objects.create("one")
    objects.create("two")
    demo.kill()
    state = tmp_path / "demo" / "state.jsonl"
    state.write_bytes(state.read_bytes()[:-40])

    demo.start()

    assert names(objects.list()) == ["one"]
    objects.create("three")
    demo.kill()
    demo.start()
    assert names(objects.list()) == ["one", "three"]


def test_two_servers_cannot_share_a_file(demo, tmp_path):
    state = tmp_path / "demo" / "state.jsonl"
    command = [sys.executable, "-m", "demo.apiserver", "--port", "0", "--data", str(state)]

    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert "in use" in second.stderr
    ok(demo.api.get("/api/v1/namespaces"))


def filled(path: Path, count: int) -> tuple[FileJournal, Store]:
    journal = FileJournal(path)
    store = Store(journal=journal)
    journal.load(store)
    for number in range(count):
        content = {"metadata": {"name": "one"}, "number": number}
        store.put("objects", "one", content)
        store.put("objects", f"other-{number}", {"metadata": {"name": f"other-{number}"}})
        store.delete("objects", f"other-{number}")
    return journal, store


def loaded(path: Path) -> Store:
    journal = FileJournal(path)
    store = Store(journal=journal)
    journal.load(store)
    journal.close()
    return store


@pytest.mark.parametrize("rewritten", [False, True], ids=["journal", "snapshot"])
def test_a_journal_reads_what_it_wrote(tmp_path, rewritten):
    path = tmp_path / "state"
    journal, store = filled(path, 10)
    if rewritten:
        journal.rewrite(store)
        store.put("objects", "late", {"metadata": {"name": "late"}})
    journal.close()

    reloaded = loaded(path)

    assert reloaded.version == store.version
    assert reloaded.collection("objects").objects == store.collection("objects").objects


def test_a_compacted_file_contains_each_object_once(tmp_path):
    path = tmp_path / "state"
    journal, store = filled(path, 10)
    lines_before = len(path.read_bytes().splitlines())
    journal.rewrite(store)
    journal.close()

    assert lines_before == 1 + 30
    assert len(path.read_bytes().splitlines()) == 2
    assert path.stat().st_mode & 0o077 == 0, "the file contains Secrets"


def test_a_file_belongs_to_one_journal(tmp_path):
    journal, _ = filled(tmp_path / "state", 1)

    with pytest.raises(DataFileBusyError):
        FileJournal(tmp_path / "state")

    journal.close()
