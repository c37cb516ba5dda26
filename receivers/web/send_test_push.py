"""Test-fire: a preview of what a push would do, and the test push, through the receiver URL or internally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from receivers.accounts import audit
from receivers.accounts.access import Action, PageRequest, page_view, require_permission
from receivers.accounts.client_address import client_address
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.matching import MatchResult, Verdict
from receivers.kargo.push import Push
from receivers.models import TEXT_LENGTH
from receivers.ops import runtime
from receivers.testfire import suggestions
from receivers.testfire.send import (
    TargetNotTestable,
    TestRequest,
    TestResult,
    TestTarget,
    find_target,
    send_test,
)
from receivers.web.receiver_rows import masked
from receivers.webhook.explain import explain

VERDICTS_SHOWN: Final = 50
"""Verdicts in the preview, the most relevant first; more are hard to read while typing."""

TAGS_SUGGESTED: Final = 10
DELIVERIES_READ: Final = 20  # for the tags to suggest
MEDIA_TYPES: Final = (
    ("application/vnd.oci.image.index.v1+json", "image"),
    ("application/vnd.cncf.helm.config.v1+json", "chart"),
    ("", "unknown"),
)
INVALID_TEXT: Final = f"Fields can have at most {TEXT_LENGTH} characters, all of them printable."
_AS_TYPED: Final = {
    "maxlength": TEXT_LENGTH, "autocomplete": "off", "spellcheck": "false", "autocapitalize": "none",
}  # fmt: skip


def _validate_printable(text: str) -> None:
    if not text.isprintable():
        raise ValidationError(INVALID_TEXT)


_VALIDATORS: Final[list[Callable[[str], None]]] = [
    MaxLengthValidator(TEXT_LENGTH, INVALID_TEXT),
    _validate_printable,
]


class TestPushForm(forms.Form):
    """The push to send, and how."""

    __test__ = False  # not a test class for pytest

    repository = forms.CharField(
        error_messages={"required": "Enter a repository."},
        validators=_VALIDATORS,
        widget=forms.TextInput({"list": "repositories", **_AS_TYPED}),
    )
    tag = forms.CharField(
        required=False, validators=_VALIDATORS, widget=forms.TextInput({"list": "tags", **_AS_TYPED})
    )
    media_type = forms.CharField(
        label="Type", required=False, validators=_VALIDATORS, widget=forms.Select(choices=MEDIA_TYPES)
    )
    way = forms.ChoiceField(choices=[("outside", "Receiver URL"), ("inside", "Internal")], required=False)
    dry_run = forms.BooleanField(required=False)

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data, auto_id="%s")

    @property
    def problem(self) -> str:
        """Return what is missing or invalid, empty if nothing is."""
        return next((str(errors[0]) for errors in self.errors.values()), "")

    @property
    def is_inside(self) -> bool:
        """Say whether the push skips the receiver URL."""
        return bool(self["way"].value() == "inside")

    @property
    def push(self) -> Push:
        """Return the push of a valid form."""
        return Push(*(self.cleaned_data[name] for name in ("repository", "tag", "media_type")))


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def test(request: PageRequest, name: str, receiver: str) -> HttpResponse:
    """Show the page on GET. On POST, send a test push if `do` is `fire`, otherwise update the preview."""
    require_permission(request, Action.TEST_FIRE, name)
    try:
        aim = find_target(runtime.current().cache, name, receiver)
    except LookupError:
        raise Http404 from None
    except TargetNotTestable as error:
        return render(
            request, "testfire/test_push.html", {"project": name, "receiver": receiver, "not_fireable": error}
        )
    data = request.POST if request.method == "POST" else request.GET
    form = TestPushForm(data if "repository" in data else _suggested_push(aim))
    if request.POST.get("do") == "fire" and form.is_valid():
        return _fire(request, aim, form)
    if request.method == "POST" and request.htmx:
        return render(request, "testfire/_preview.html", _preview(request, aim, form))
    return _page(request, aim, form)


def _fire(request: PageRequest, aim: TestTarget, form: TestPushForm) -> HttpResponse:
    """Send a test push, audit it, and redirect to its delivery. If it did not arrive, show why."""
    user = request.user.get_username()
    address = client_address(request.META, settings.KARGOWEB.forwarded_hops)
    push, dry_run = form.push, form.cleaned_data["dry_run"]
    shot = TestRequest(push.repository, push.tag, push.media_type, user, address, dry_run)
    fired = send_test(aim, shot, runtime.current().intake if form.is_inside else None)
    audit.record(
        request,
        Action.TEST_FIRE,
        project=aim.project,
        receiver=aim.receiver,
        delivery=fired.delivery if fired.recorded else None,
        detail=_detail(form, fired),
    )
    if not fired.recorded:
        return _page(request, aim, form, fired.problem)
    if fired.problem:
        messages.error(request, f"{fired.problem} The test push did arrive.")
    return redirect("delivery", pk=fired.delivery)


def _detail(form: TestPushForm, fired: TestResult) -> str:
    how = "dry run" if form.cleaned_data["dry_run"] else "test"
    where = "inside" if form.is_inside else "through the receiver URL"
    end = "" if fired.recorded else "; it did not arrive"
    return f"{how} of {form.push.repository}:{form.push.tag} {where}{end}"


def _page(request: PageRequest, aim: TestTarget, form: TestPushForm, problem: str = "") -> HttpResponse:
    context = {
        "project": aim.project,
        "receiver": aim.receiver,
        "masked": masked(aim.published),
        "repositories": suggestions.repositories(_scope(aim)),
        "problem": problem,
        **_preview(request, aim, form),
    }
    return render(request, "testfire/test_push.html", context)


def _preview(request: PageRequest, aim: TestTarget, form: TestPushForm) -> Mapping[str, Any]:
    """Return what each Warehouse would do, without those in projects the user may not see."""
    cache, report = runtime.current().cache, None
    if form.is_valid():
        report = explain(cache, form.push, aim.project, everything=True, most=VERDICTS_SHOWN)
    verdicts = [verdict for verdict in report.verdicts if _is_visible(request, verdict)] if report else []
    return {
        "form": form,
        "report": report,
        "why": next(
            (verdict.reason for verdict in verdicts if verdict.result is not MatchResult.OTHER_REPOSITORY), ""
        ),
        "verdicts": verdicts,
        "with_project": not aim.project,
        "tags": _tags(aim, form.cleaned_data.get("repository", "")),
    }


def _is_visible(request: PageRequest, verdict: Verdict) -> bool:
    projects = request.access.projects
    return verdict.result is not MatchResult.OUT_OF_SCOPE or projects is None or verdict.project in projects


def _suggested_push(aim: TestTarget) -> Mapping[str, str]:
    """Return the fields of a push that would refresh a Warehouse."""
    repository = next(iter(suggestions.repositories(_scope(aim))), "")
    tag = next(iter(_tags(aim, repository)), "")
    return {"repository": repository, "tag": tag, "media_type": MEDIA_TYPES[0][0]}


def _tags(aim: TestTarget, repository: str) -> list[str]:
    """Return the tags pushed to the receiver most recently, and some that its Warehouses select."""
    if not repository:
        return []
    pushed = DeliveryFilter(project=aim.project, receiver=aim.receiver, repository=repository)
    newest = [row.tag for row in delivery_log().page(pushed, size=DELIVERIES_READ, each_push_once=True).rows]
    selected = suggestions.tags(repository, _scope(aim))
    return [tag for tag in dict.fromkeys([*newest, *selected]) if tag][:TAGS_SUGGESTED]


def _scope(aim: TestTarget) -> Any:
    return runtime.current().cache.warehouses(aim.project or None)
