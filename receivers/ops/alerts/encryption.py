"""Encrypts the secrets of channels with the instance key, so that a copy of the database doesn't contain them.

The keys are derived from `SECRET_KEY` and, to decrypt only, from `SECRET_KEY_FALLBACKS`.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PURPOSE: Final = (
    b"kargoweb alert channels"  # keys for other purposes differ, though derived from the same secret
)


class Undecryptable(Exception):
    """A text was encrypted with a key that this process doesn't have."""


def encrypt(text: str) -> str:
    """Return `text` encrypted with the current key; empty if it is empty."""
    return _cipher().encrypt(text.encode()).decode() if text else ""


def decrypt(encrypted: str) -> str:
    """Return the text. Raises `Undecryptable` if neither the current key nor a fallback fits."""
    if not encrypted:
        return ""
    try:
        return _cipher().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecryptable("it was encrypted with another KARGOWEB_SECRET_KEY; enter it again") from None


def renewed(encrypted: str) -> str:
    """Return the same text encrypted with the current key, unchanged if it is. Raises `Undecryptable`."""
    if not encrypted:
        return ""
    try:
        _fernet(settings.SECRET_KEY).decrypt(encrypted.encode())
    except InvalidToken:
        return encrypt(decrypt(encrypted))
    return encrypted


def _cipher() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@lru_cache
def _fernet(secret: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
