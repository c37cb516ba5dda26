"""`manage.py grant USER ROLE`: give a user a role, everywhere or in one project."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import CommandParser

from receivers.accounts.roles import SEPARATOR, Role, group_name
from receivers.management.console import ConsoleCommand, fail

NONE = "none"
GROUP_NAME_LENGTH = 150  # of django.contrib.auth


class Command(ConsoleCommand):
    help = "Give a user a role: viewer, operator or admin. The role `none` removes it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name; create users with `users --add` or createsuperuser")
        parser.add_argument("role", choices=[*Role, NONE])
        parser.add_argument(
            "--project", default="", help="grant the role in this project only (default: everywhere)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model()._default_manager.filter(username=options["user"]).first()
        if user is None:
            fail(f"No user {options['user']!r}; `manage.py users` lists all users")
        project = options["project"]
        if SEPARATOR in project or len(group_name(Role.OPERATOR, project)) > GROUP_NAME_LENGTH:
            fail(f"{project!r} isn't a valid project name")
        user.groups.remove(*Group.objects.filter(name__in=[group_name(role, project) for role in Role]))
        if options["role"] != NONE:
            group, _ = Group.objects.get_or_create(name=group_name(Role(options["role"]), project))
            user.groups.add(group)
        scope = f"in {project}" if project else "everywhere"
        self.print(f"{options['user']}: {options['role']} {scope}")
