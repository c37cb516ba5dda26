"""The product's settings plus the view `/noop`."""

from kargoweb.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
