"""The Django app that brings the demo's commands."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """A Kargo installation in a box."""

    name = "demo"
