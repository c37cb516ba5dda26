"""The Django app."""

from django.apps import AppConfig


class ReceiversConfig(AppConfig):
    """Receives, records and tracks pushes."""

    name = "receivers"
    verbose_name = "kargoweb"

    def ready(self) -> None:
        """Connect the audit log to the signals of sign-ins."""
        from receivers.accounts import audit  # noqa: PLC0415 - its models need the apps set up

        audit.connect()
