"""What all pages share: their requests, and who may open them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRefresh
from django_htmx.middleware import HtmxDetails

from receivers.accounts.access import Access, access_of, admin_names, kubernetes_decides, kubernetes_subject
from receivers.accounts.kubernetes_access import ReviewSubject
from receivers.ops.runtime import Runtime

RETRY_AFTER: Final = "5"  # seconds; by then kargoweb retries the review

View = Callable[..., HttpResponse]


class PageRequest(HttpRequest):
    """The request of a page: what `attach_runtime`, the HTMX middleware and `page_view` add to Django's."""

    runtime: Runtime
    htmx: HtmxDetails
    access: Access


def page_view(view: View) -> View:
    """Restrict a view to signed-in users who have a role, and forbid caches to store its responses.

    Sets `request.access` to what the user may do. The view must filter lists by `request.access.projects`.
    """

    def guarded(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            # HTMX would swap the sign-in page into a fragment of the current page, so reload the whole page.
            return HttpResponseClientRefresh() if request.htmx else redirect_to_login(_return_path(request))
        request.access = access_of(request.user)
        return no_role(request) if request.access.is_empty else view(request, *args, **kwargs)

    return never_cache(wraps(view)(guarded))


def _return_path(request: HttpRequest) -> str:
    """Return the page to open after signing in: the requested one or, for a form, the page that contains the form."""
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    referrer = request.headers.get("Referer", "")
    hosts = {request.get_host()}
    if not url_has_allowed_host_and_scheme(referrer, hosts, require_https=request.is_secure()):
        return "/"
    return urlsplit(referrer)._replace(scheme="", netloc="", fragment="").geturl()


def no_role(request: HttpRequest) -> HttpResponse:
    """Render the page for a user without a role, which says whom to ask for one or why it isn't known."""
    if problem := access_of(request.user).problem:
        response = render(request, "accounts/access_undecided.html", {"problem": problem}, status=503)
        response["Retry-After"] = RETRY_AFTER
        return response
    if kubernetes_decides(request.user):
        subject = kubernetes_subject(request.user)
        context = {"subject": subject, "command": _review_command(subject)}
        return render(request, "accounts/no_kubernetes_role.html", context, status=403)
    return render(request, "accounts/no_role.html", {"admins": admin_names()}, status=403)


def _review_command(subject: ReviewSubject | None) -> str:
    """Return the command by which an administrator of the cluster sees what Kubernetes decides."""
    if subject is None:
        return ""
    names = [f"--as={subject.user}", *(f"--as-group={group}" for group in subject.groups)]
    return f"kubectl auth can-i get warehouses.kargo.akuity.io -n PROJECT {shlex.join(names)}"
