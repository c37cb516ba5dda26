"""Fixtures of the delivery log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from receivers.deliveries.log_writer import LogWriter


@pytest.fixture
def writer(database: None) -> Iterator[LogWriter]:
    """A running log writer."""
    writer = LogWriter()
    writer.start()
    yield writer
    writer.stop()
