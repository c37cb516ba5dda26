"""The Django app."""

from django.apps import AppConfig


class ReceiversConfig(AppConfig):
    """Receives, records and follows Docker Hub pushes."""

    name = "receivers"
    verbose_name = "kargoweb"

    def ready(self) -> None:
        """Have what people do recorded."""
        from receivers.accounts import audit  # noqa: PLC0415 - its models need the apps set up

        audit.connect()
