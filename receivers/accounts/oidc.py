"""Sign in with an OpenID Connect provider: discovery, the check of ID tokens, users and their roles.

mozilla-django-oidc does the authorization code flow with state, nonce and PKCE. Added here is what it leaves out:
discovery, the audience and issuer of ID tokens, identity by the provider's subject, and roles by groups.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt
import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.utils import import_from_settings

from receivers.accounts.external_users import NameTaken, NoName, external_user, set_roles

log = logging.getLogger(__name__)

DISCOVERY: Final = "/.well-known/openid-configuration"
DISCOVERY_SECONDS: Final = 3600.0  # for which the discovery document and the keys are kept
FAILURE_SECONDS: Final = (
    10.0  # for which a failure to read it is kept, so that few wait for a provider that hangs
)
WAIT_SECONDS: Final = 1.0  # for another thread that reads it
LEEWAY: Final = 60  # seconds by which the clocks may differ
# Only with public keys: anyone who knows a shared secret could sign tokens.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ENDPOINTS: Final = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "authorization_endpoint",
    "OIDC_OP_TOKEN_ENDPOINT": "token_endpoint",
    "OIDC_OP_USER_ENDPOINT": "userinfo_endpoint",
    "OIDC_OP_JWKS_ENDPOINT": "jwks_uri",
}
"""Settings of mozilla-django-oidc, and the fields of the discovery document that they stand for."""


NO_RESPONSE: Final = "The provider does not respond. Try again in a few minutes."


class SignInFailed(Exception):
    """The sign-in failed at the provider, or kargoweb can't accept it. The text tells the user why."""


class Provider:
    """What the provider publishes about itself, read when it is needed and kept for an hour. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metadata: Mapping[str, Any] = {}
        self._keys: jwt.PyJWKClient | None = None
        self._read_at = 0.0
        self._failed_at = -FAILURE_SECONDS
        self._failure = ""

    def metadata(self) -> Mapping[str, Any]:
        """Return the discovery document. Raises `SignInFailed` if the provider doesn't respond or is another one.

        An outdated document is better than none. Only one thread at a time waits for the provider.
        """
        if self._metadata and time.monotonic() - self._read_at <= DISCOVERY_SECONDS:
            return self._metadata
        if self._lock.acquire(timeout=0 if self._metadata else WAIT_SECONDS):
            try:
                self._refresh()
            finally:
                self._lock.release()
        if not self._metadata:
            raise SignInFailed(self._failure or NO_RESPONSE)
        return self._metadata

    def _refresh(self) -> None:
        """Read the document unless another thread just has, or just failed to."""
        now = time.monotonic()
        outdated = not self._metadata or now - self._read_at > DISCOVERY_SECONDS
        if not outdated or now - self._failed_at < FAILURE_SECONDS:
            return
        try:
            self._metadata, self._keys = self._read(), None
            self._read_at, self._failure = time.monotonic(), ""
        except SignInFailed as error:
            self._failed_at, self._failure = time.monotonic(), str(error)

    def signing_key(self, token: str) -> jwt.PyJWK:
        """Return the public key that a token names, or the only one if it names none (OpenID Connect Core, 10.1).

        Raises `SignInFailed`, or `jwt.PyJWTError` for an unknown key.
        """
        uri = self.endpoint("jwks_uri")
        keys = self._keys = self._keys or jwt.PyJWKClient(uri, timeout=settings.OIDC_TIMEOUT)
        if jwt.get_unverified_header(token).get("kid") is not None:
            return keys.get_signing_key_from_jwt(token)
        known = keys.get_signing_keys()
        if len(known) != 1:
            raise SignInFailed("The provider's token doesn't say which key signed it.")
        return known[0]

    def endpoint(self, field: str) -> str:
        """Return an address in the discovery document. Raises `SignInFailed` if there is none."""
        address = self.metadata().get(field)
        if not isinstance(address, str):
            raise SignInFailed(f"The discovery document of the provider has no {field}.")
        return address

    def _read(self) -> Mapping[str, Any]:
        issuer = settings.KARGOWEB.oidc.issuer
        try:
            response = requests.get(issuer.rstrip("/") + DISCOVERY, timeout=settings.OIDC_TIMEOUT)
            response.raise_for_status()
            document = response.json()
        except (requests.RequestException, ValueError) as error:
            log.warning("Cannot read the discovery document of %s: %s", issuer, error)
            raise SignInFailed(NO_RESPONSE) from error
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            published = document.get("issuer") if isinstance(document, dict) else None
            log.error("KARGOWEB_OIDC_ISSUER is %s, but the provider calls itself %s", issuer, published)
            raise SignInFailed("The provider isn't the configured one. Ask an administrator of kargoweb.")
        return document


provider: Final = Provider()


def provider_setting(name: str, *default: Any) -> Any:
    """Return a setting of mozilla-django-oidc; addresses of the provider come from its discovery document."""
    if name in ENDPOINTS:
        return provider.endpoint(ENDPOINTS[name])
    return import_from_settings(name, *default)


class ProviderBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # has no types
    """Authenticates users by ID tokens of the provider."""

    def __init__(self) -> None:
        # Not the parent's, which asks the provider: Django creates a backend for every request of a signed-in user.
        self.UserModel = get_user_model()
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID
        self.OIDC_RP_CLIENT_SECRET = settings.OIDC_RP_CLIENT_SECRET

    @property
    def OIDC_OP_TOKEN_ENDPOINT(self) -> str:
        """The address that exchanges a code for tokens."""
        return provider.endpoint("token_endpoint")

    @property
    def OIDC_OP_USER_ENDPOINT(self) -> str:
        """The address that has the claims of a user."""
        return provider.endpoint("userinfo_endpoint")

    def get_token(self, payload: dict[str, Any]) -> Any:
        """Exchange the code for tokens. A public client has no secret."""
        if not payload.get("client_secret"):
            payload.pop("client_secret", None)
        return super().get_token(payload)

    def verify_token(self, token: str, **kwargs: Any) -> Mapping[str, Any]:
        """Return the claims of an ID token. Raises `SignInFailed` if it isn't one for this sign-in."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                provider.signing_key(token),
                algorithms=list(ALGORITHMS),
                audience=settings.OIDC_RP_CLIENT_ID,
                issuer=settings.KARGOWEB.oidc.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "aud", "iss", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise SignInFailed(f"The provider's token is not valid: {error}.") from error
        if claims.get("nonce") != kwargs.get("nonce"):
            raise SignInFailed("The provider's token belongs to another sign-in.")
        return claims

    def get_or_create_user(self, access_token: str, id_token: str, payload: Mapping[str, Any]) -> User:
        """Return the user of an ID token, with the roles that its groups grant now. Raises `SignInFailed`."""
        claims = dict(payload)
        configuration = settings.KARGOWEB.oidc
        if not {configuration.groups_claim, configuration.username_claim} <= claims.keys():
            userinfo = self.get_userinfo(access_token, id_token, payload)
            if userinfo.get("sub") != claims["sub"]:
                raise SignInFailed("The provider's claims belong to another user.")
            claims = {**userinfo, **claims}
        with transaction.atomic():
            user = _user_of(claims)
            set_roles(user, roles_of(claims))
        return user


def roles_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the roles, as names of Django groups, that the groups in these claims grant."""
    roles = settings.KARGOWEB.oidc.roles
    return frozenset(role for group in groups_of(claims) for role in roles.get(group, ()))


def groups_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the groups in these claims, which some providers send as a single text."""
    groups = claims.get(settings.KARGOWEB.oidc.groups_claim) or ()
    names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else ()
    return tuple(map(str, names))


def _user_of(claims: Mapping[str, Any]) -> User:
    """Return the user with the identity in these claims; create it at the first sign-in. Raises `SignInFailed`."""
    configuration = settings.KARGOWEB.oidc
    name, email = claims.get(configuration.username_claim), str(claims.get("email") or "")
    if configuration.username_claim == "email" and claims.get("email_verified") is False:
        # As kube-apiserver does: someone may have registered the address of another person.
        raise SignInFailed("The provider has not verified your e-mail address.")
    try:
        return external_user(
            configuration.issuer,
            claims["sub"],
            name if isinstance(name, str) else "",
            groups_of(claims),
            email=email,
        )
    except NoName:
        raise SignInFailed(f"The provider sent no user name ({configuration.username_claim}).") from None
    except NameTaken as error:
        raise SignInFailed(str(error)) from None
