"""Saved views: filters of a list that a person keeps under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from receivers.deliveries.form_fields import form_errors
from receivers.models import SavedView
from receivers.web.filter_form import FilterForm
from receivers.web.page_view import PageRequest, page_view
from receivers.web.time_zone import zone_of

PAGES: Final = ("pushes", "deliveries")
MOST_VIEWS: Final = 20
"""Of one person in one list: more than fit above it."""

NAME_LENGTH: Final = 40  # as in the database; a tab has room for about that
QUERY_LENGTH: Final = 2_000  # characters; all fields filled have less


class SavedViewForm(forms.Form):
    """A name for the filter in a query, and the list that it belongs to."""

    name = forms.CharField(
        max_length=NAME_LENGTH,
        error_messages={
            "required": "is missing",
            "max_length": f"can have at most {NAME_LENGTH} characters",
        },
    )
    page = forms.ChoiceField(choices=[(page, page) for page in PAGES])
    query = forms.CharField(max_length=QUERY_LENGTH, required=False)


@dataclass(frozen=True, slots=True)
class ViewTab:
    """A saved view as a tab above its list."""

    id: int
    name: str
    query: str
    current: bool


def view_tabs(request: PageRequest, page: str, query: str) -> list[ViewTab]:
    """Return the user's saved views of a list, in the order in which they were saved. One query."""
    views = SavedView.objects.filter(user_id=_owner(request), page=page).order_by("pk")[:MOST_VIEWS]
    return [ViewTab(view.pk, view.name, view.query, view.query == query) for view in views]


@page_view
@require_POST
def save_view(request: PageRequest) -> HttpResponse:
    """Save the filter of a list under a name, and return to the list. The same name replaces the former filter."""
    form = SavedViewForm(request.POST)
    page = request.POST.get("page", "")
    if page not in PAGES:
        return redirect("home")
    query = FilterForm(QueryDict(request.POST.get("query", "")[:QUERY_LENGTH]), zone_of(request)).query
    if not form.is_valid():
        messages.error(request, f"The view wasn't saved: {form_errors(form)[0]}.")
    else:
        problem = _save(_owner(request), page, form.cleaned_data["name"], query)
        if problem:
            messages.error(request, problem)
    return _list(page, query)


@page_view
@require_POST
def remove_view(request: PageRequest, pk: int) -> HttpResponse:
    """Remove a view of the user, and return to its list without a filter. A view of another user stays."""
    view = SavedView.objects.filter(pk=pk, user_id=_owner(request)).first()
    if view is None:
        return redirect("home")
    view.delete()
    return _list(view.page, "")


def _owner(request: PageRequest) -> int:
    return int(request.user.pk or 0)  # `page_view` lets only users with a key in


def _save(user_id: int, page: str, name: str, query: str) -> str:
    """Save a view; return why that is impossible, empty if it isn't."""
    own = SavedView.objects.filter(user_id=user_id, page=page)
    if own.filter(name=name).update(query=query):
        return ""
    if own.count() >= MOST_VIEWS:
        return f"You have {MOST_VIEWS} views. Remove one first."
    try:
        with transaction.atomic():
            SavedView.objects.create(user_id=user_id, page=page, name=name, query=query)
    except IntegrityError:  # saved in another window meanwhile
        own.filter(name=name).update(query=query)
    return ""


def _list(page: str, query: str) -> HttpResponse:
    return redirect(f"{reverse(page)}{'?' if query else ''}{query}")


def current_view(tabs: Sequence[ViewTab]) -> ViewTab | None:
    """Return the saved view that the list shows."""
    return next((tab for tab in tabs if tab.current), None)
