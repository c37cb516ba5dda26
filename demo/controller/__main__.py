"""`python -m demo.controller --kubeconfig FILE --registry FILE`: run the controller until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from demo.controller.controller import Controller
from demo.controller.reconciler import MINIMUM_INTERVAL
from demo.registry import Registry
from receivers.cluster.client import connect


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m demo.controller", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, help="kubeconfig of the API server")
    parser.add_argument("--registry", type=Path, required=True, help="SQLite file of the registry")
    parser.add_argument(
        "--minimum-interval",
        type=float,
        default=MINIMUM_INTERVAL,
        help="minimum seconds between two discoveries",
    )
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    controller = Controller(
        connect(options.kubeconfig), Registry(options.registry), minimum_interval=options.minimum_interval
    )
    controller.start()
    stopped.wait()
    controller.stop()


if __name__ == "__main__":
    main()
