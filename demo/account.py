"""Create the admin user of the demo, with a random password that is stored in a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

USER: Final = "admin"


def sign_in_password(path: Path) -> str:
    """Migrate the database, create the user if it does not exist, and return the password, which is stored in `path`.

    If the file is deleted, the next start sets a new password. If the user is deleted, it is created again.
    """
    call_command("migrate", verbosity=0, interactive=False)
    users = get_user_model()._default_manager
    password = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    user = users.filter(username=USER).first()
    if not password:
        password = secrets.token_urlsafe(12)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{password}\n")
    elif user is not None:
        connection.close()
        return password
    user = user or get_user_model()(username=USER, is_staff=True, is_superuser=True)
    user.set_password(password)
    user.save()
    connection.close()  # child processes open their own connections
    return password
