"""The Django app."""

from django.apps import AppConfig


class ReceiversConfig(AppConfig):
    """Receives, records and follows Docker Hub pushes."""

    name = "receivers"
