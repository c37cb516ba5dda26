"""`manage.py users`: list users and their roles; `--add NAME` creates a user."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from receivers.accounts.access import access_of
from receivers.management.console import ConsoleCommand, fail


class Command(ConsoleCommand):
    help = "List users with their roles, or create a user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--add", metavar="NAME", help="create a user and print a random password for it, once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()._default_manager
        if name := options["add"]:
            if users.filter(username=name).exists():
                fail(f"User {name!r} already exists")
            password = secrets.token_urlsafe(12)
            user = get_user_model()(username=name)
            user.set_password(password)
            user.full_clean()
            user.save()
            self.print(f"{name}  {password}")
            return
        for user in users.order_by("username").iterator():
            self.print(f"{user.get_username()}  {_roles(user)}")


def _roles(user: Any) -> str:
    if not user.is_active:
        return "disabled"
    access = access_of(user)
    if access.is_empty and access.problem:
        return "decided by Kubernetes"
    everywhere = [access.everywhere.value] if access.everywhere else []
    of_projects = [f"{role} in {project}" for project, role in sorted(access.by_project.items())]
    return ", ".join([*everywhere, *of_projects]) or "no role"
