"""The theme: light, dark or the system's. It is stored in a cookie, so pages render in the right colors at once."""

from __future__ import annotations

from typing import Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

COOKIE: Final = "theme"
THEMES: Final = ("system", "light", "dark")
YEAR: Final = 365 * 24 * 3600  # seconds


class ThemeForm(forms.Form):
    """The choice of a theme, and the page to return to."""

    theme = forms.ChoiceField(choices=[(theme, theme) for theme in THEMES])
    next = forms.CharField(required=False)


def theme_of(request: HttpRequest) -> str:
    """Return the chosen theme, `system` by default."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in THEMES else THEMES[0]


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Store the chosen theme and redirect back. For browsers without JavaScript; `kargoweb.js` needs no request."""
    form = ThemeForm(request.POST)
    if not form.is_valid():
        return redirect("home")
    back = form.cleaned_data["next"]
    inside = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    response = redirect(back if inside else "home")
    # Not HttpOnly: kargoweb.js reads and writes it, too.
    response.set_cookie(
        COOKIE, form.cleaned_data["theme"], max_age=YEAR, samesite="Lax", secure=request.is_secure()
    )
    return response
