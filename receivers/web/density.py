"""The density of lists: comfortable or compact. It is stored in a cookie, as the theme is."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse

COOKIE: Final = "density"
PARAMETER: Final = "density"
COMFORTABLE: Final = "comfortable"
COMPACT: Final = "compact"
DENSITIES: Final = (COMFORTABLE, COMPACT)
YEAR: Final = 365 * 24 * 3600  # seconds


def density_of(request: HttpRequest) -> str:
    """Return the chosen density, comfortable by default."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in DENSITIES else COMFORTABLE


def store_density(request: HttpRequest, response: HttpResponse) -> None:
    """Store the density that an address chose, in the cookie."""
    chosen = request.GET.get(PARAMETER, "")
    if chosen in DENSITIES:
        response.set_cookie(
            COOKIE, chosen, max_age=YEAR, samesite="Lax", secure=request.is_secure(), httponly=True
        )
