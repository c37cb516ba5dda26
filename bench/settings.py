"""The product's settings plus the view `/noop`."""

from kargoweb.settings import *  # noqa: F403 - the settings of kargoweb, and some of its own

ROOT_URLCONF = "bench.urls"
