"""The names that the expressions of the tests refer to."""

import time

from receivers.kargo.expressions import Function, NilList, Time, Typed

BODY = {
    "repository": {"name": "my-wh", "image": "docker.io/library/nginx"},
    "ref": "refs/heads/main",
    "count": 3.0,
    "ratio": 1.5,
    "ok": True,
    "nothing": None,
    "num": "42",
    "big": 1e21,
    "tags": ["v1.0.0", "latest"],
    "commits": [{"id": "a", "files": ["x", "y"]}, {"id": "b", "files": []}],
}


def headers(name, budget):
    return Typed(["a", "b"]) if name == "X-Multi" else NilList()


NAMES = {
    "request": {"body": BODY, "headers": Function("headers", headers)},
    "params": {"team": "blue"},
    "greet": Function("greet", lambda value, budget: f"hello {value}"),
}
NOW = Time(time.time_ns())
