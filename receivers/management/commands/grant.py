"""`manage.py grant USER ROLE`: gives somebody a role, everywhere or in one project."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser

from receivers.accounts.roles import SEPARATOR, Role, group_name

NONE = "none"
GROUP_NAME_LENGTH = 150  # Django's


class Command(BaseCommand):
    help = "Give somebody a role: viewer, operator or admin; none takes it away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="the user name; make users with createsuperuser or `users --add`")
        parser.add_argument("role", choices=[*Role, NONE])
        parser.add_argument("--project", default="", help="in this project only; else everywhere")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model()._default_manager.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['user']!r}; `manage.py users` lists all")
        project = options["project"]
        if SEPARATOR in project or len(group_name(Role.OPERATOR, project)) > GROUP_NAME_LENGTH:
            raise CommandError(f"{project!r} is no name of a project")
        user.groups.remove(*Group.objects.filter(name__in=[group_name(role, project) for role in Role]))
        if options["role"] != NONE:
            group, _ = Group.objects.get_or_create(name=group_name(Role(options["role"]), project))
            user.groups.add(group)
        where = f"in {project}" if project else "everywhere"
        self.stdout.write(f"{options['user']}: {options['role']} {where}")
