"""Requests that are passed on to Kargo's own server: a real HTTP server in a process of its own."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from receivers.models import Outcome
from receivers.webhook.upstream import MAX_ANSWER
from tests.clusters import until
from tests.delivery_rows import wait_for_result
from tests.ports import free_port
from tests.product import Product
from tests.worlds import image

SERVER = '''
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Kargo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = self.headers.get("X-Mode", "")
        if mode == "hang":
            time.sleep(600)
        if mode == "closes":
            self.close_connection = True
            return
        record = {"path": self.path, "headers": self.headers.items(), "body": body.decode("latin-1")}
        with open(sys.argv[2], "a") as file:
            file.write(json.dumps(record) + "\\n")
        answer = {"large": b"x" * int(sys.argv[3]), "binary": b"\\xff\\x00"}.get(mode, b'{"msg":"refreshed 3 warehouse(s)"}\\n')
        self.send_response(307 if mode == "redirect" else 418 if mode == "teapot" else 200)
        self.send_header("Content-Type", "application/json; charset=kargo")
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Set-Cookie", "sessionid=stolen")
        self.send_header("Connection", "X-Secret-Hop")
        self.send_header("X-Secret-Hop", "1")
        self.send_header("X-Kargo", "yes")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if mode == "trickle":
            for byte in answer:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(1)
        else:
            self.wfile.write(answer)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Kargo).serve_forever()
'''


class Kargo:
    """The process of the upstream, and what it received."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.log = directory / "requests"
        self.log.touch()
        script = directory / "kargo.py"
        script.write_text(SERVER)
        arguments = [sys.executable, str(script), str(self.port), str(self.log), str(2 * MAX_ANSWER)]
        self.process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        http = urllib3.PoolManager(retries=False)

        def answers() -> bool:
            try:
                return http.request("GET", f"http://127.0.0.1:{self.port}/").status == 501
            except urllib3.exceptions.HTTPError:
                return False

        until("the upstream listens", answers)

    def received(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def kargo(tmp_path_factory) -> Iterator[Kargo]:
    server = Kargo(tmp_path_factory.mktemp("kargo"))
    yield server
    server.stop()
'''
'''
