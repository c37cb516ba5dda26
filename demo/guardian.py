"""Sees to it that no child process outlives the demo, however the demo ends.

`python -m demo.guardian` leads a process group that the demo puts its children into, and reads a pipe from the demo.
When the pipe closes, it ends the group: at once after a byte, which says that the children were asked to end; else the
demo was killed, and the children get some time.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Final

GRACE: Final = 2.0  # seconds for the children of a demo that was killed


def main() -> None:
    """Run the command."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not sys.stdin.buffer.read():
        os.killpg(0, signal.SIGTERM)
        time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
