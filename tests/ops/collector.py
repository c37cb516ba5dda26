"""`python -m tests.ops.collector FILE`: an OTLP/HTTP collector that writes each span to a file, as a line of JSON.

It prints its address when it listens.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


def spans_of(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "name": span.name,
                    "kind": span.kind,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "links": [[link.trace_id.hex(), link.span_id.hex()] for link in span.links],
                    "failed": span.status.code == span.status.STATUS_CODE_ERROR,
                    "began": span.start_time_unix_nano,
                    "ended": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "events": len(span.events),
                    "resource": resource,
                }


def attributes(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def main(path: str) -> None:
    """Serve until the process is stopped."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            is_valid = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            if is_valid:
                with open(path, "a") as file:
                    file.writelines(f"{json.dumps(span)}\n" for span in spans_of(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if is_valid else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
