"""CPU time and memory of a process with all its descendants, from Linux' /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def tree(pid: int) -> Iterator[int]:
    """Yield the ids of the process and of all its descendants. Raises OSError if one is gone."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that the processes have used so far, in seconds."""
    return sum(_ticks(process) for process in tree(pid)) / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    """Return the proportional set size in MB: the processes' memory, with memory that they share counted once."""
    return sum(_kilobytes(process) for process in tree(pid)) / 1024


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime and stime, see proc(5)


def _kilobytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0])
