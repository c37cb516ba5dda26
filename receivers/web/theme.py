"""How pages look: the theme (light, dark or the system's) and the density, stored in cookies.

So pages render in the right colors at once.
"""

from __future__ import annotations

from typing import Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

CHOICES: Final = {
    "theme": ("system", "light", "dark"),
    "density": ("comfortable", "compact"),
}
"""What can be chosen: the name of a cookie, and its values. The first is the default."""

YEAR: Final = 365 * 24 * 3600  # seconds


class LookForm(forms.Form):
    """The choice of a theme or a density, and the page to return to."""

    theme = forms.ChoiceField(choices=[(value, value) for value in CHOICES["theme"]], required=False)
    density = forms.ChoiceField(choices=[(value, value) for value in CHOICES["density"]], required=False)
    next = forms.CharField(required=False)


def look_of(request: HttpRequest) -> dict[str, str]:
    """Return what was chosen, by name; the default where nothing valid was."""
    return {
        name: chosen if (chosen := request.COOKIES.get(name, "")) in values else values[0]
        for name, values in CHOICES.items()
    }


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Store the choice and redirect back. For browsers without JavaScript; `kargoweb.js` needs no request."""
    form = LookForm(request.POST)
    if not form.is_valid():
        return redirect("home")
    back = form.cleaned_data["next"]
    inside = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()})
    response = redirect(back if inside else "home")
    for name in CHOICES:
        if value := form.cleaned_data[name]:
            # Not HttpOnly: kargoweb.js reads and writes it, too.
            response.set_cookie(name, value, max_age=YEAR, samesite="Lax", secure=request.is_secure())
    return response
