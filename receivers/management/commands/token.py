"""`manage.py token`: create, list and revoke API tokens, also of users that are services."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.utils import timezone

from receivers.accounts import tokens
from receivers.management.console import ConsoleCommand, fail, table, utc_time
from receivers.models import ApiToken, TokenScope


class Command(ConsoleCommand):
    """Create, list and revoke API tokens."""

    help = "Create an API token for a user and print it once, list tokens, or revoke one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        new = actions.add_parser("create", help="create a token and print it, once")
        new.add_argument("user", help="the owner, whose roles limit the token")
        new.add_argument("name", help="what the token is for")
        new.add_argument("--scope", choices=TokenScope.values, default=TokenScope.READ.value)
        new.add_argument("--project", default="", help="limit the token to one project")
        new.add_argument("--days", type=int, default=90, help="days until it expires; 0: never (default 90)")
        actions.add_parser("list", help="list the tokens of all users")
        end = actions.add_parser("revoke", help="revoke a token")
        end.add_argument("id", type=UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        {"create": self._create, "list": self._list, "revoke": self._revoke}[options["action"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        user = get_user_model()._default_manager.filter(username=options["user"]).first()
        if user is None:
            fail(f"No user {options['user']!r}; `manage.py users` lists all users")
        if options["days"] < 0:
            fail("--days must be 0 or more")
        expires_at = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        _, text = tokens.create(
            user,
            options["name"],
            TokenScope(options["scope"]),
            project=options["project"],
            expires_at=expires_at,
        )
        self.print(text)

    def _list(self, options: dict[str, Any]) -> None:
        rows = [
            [
                str(token.pk),
                token.user.get_username(),
                token.scope,
                token.project or "all",
                utc_time(token.last_used_at) if token.last_used_at else "never used",
                "revoked" if token.revoked_at else "valid" if token.is_valid else "expired",
                str(token),
            ]
            for token in ApiToken.objects.select_related("user").order_by("-id").iterator()
        ]
        self.print(*table(["ID", "USER", "SCOPE", "PROJECT", "LAST USED", "STATE", "NAME"], rows))

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.filter(pk=options["id"]).first()
        if token is None:
            fail(f"No token {options['id']}; `manage.py token list` lists all tokens")
        tokens.revoke(token)
        self.print(f"Revoked {token}")
