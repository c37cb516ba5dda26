"""`manage.py users`: who may sign in, and what they may do; `--add NAME` makes one more."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from receivers.accounts.access import access_of


class Command(BaseCommand):
    help = "List the users with their roles, or make one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--add", metavar="NAME", help="make a user with a random password, which is printed once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()._default_manager
        if name := options["add"]:
            if users.filter(username=name).exists():
                raise CommandError(f"there is a user {name!r} already")
            password = secrets.token_urlsafe(12)
            user = get_user_model()(username=name)
            user.set_password(password)
            user.full_clean()
            user.save()
            self.stdout.write(f"{name}  {password}")
            return
        for user in users.order_by("username").iterator():
            self.stdout.write(f"{user.get_username()}  {_roles(user)}")


def _roles(user: Any) -> str:
    if not user.is_active:
        return "may not sign in"
    access = access_of(user)
    everywhere = [access.everywhere.value] if access.everywhere else []
    of_projects = [f"{role} in {project}" for project, role in sorted(access.by_project.items())]
    return ", ".join([*everywhere, *of_projects]) or "no role"
