"""Stop all child processes when the demo exits, even if it was killed.

`python -m demo.watchdog` leads the process group of the demo's child processes and reads a pipe from the demo. When the
pipe closes, it kills the group. If the demo wrote a byte, it has stopped the children itself; otherwise the demo was
killed, and the children first get SIGTERM and some time.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Final

GRACE: Final = 2.0  # seconds between SIGTERM and SIGKILL


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
