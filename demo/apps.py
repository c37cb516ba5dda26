"""The Django app with the commands `demo` and `push`."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """A simulated Kargo installation."""

    name = "demo"
