"""The product's settings and one more view: it does nothing, on the same server and through the same middleware."""

from kargoweb.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
