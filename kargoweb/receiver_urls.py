"""The root URLconf of a process with `KARGOWEB_ROLE=receiver`: receiver URLs and probes; plain text for the rest."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

urlpatterns = [path("", include("receivers.machine_urls"))]


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response to a request for anything else."""
    return HttpResponse("not found\n", status=404, content_type="text/plain; charset=utf-8")


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the response to a request that failed."""
    return HttpResponse("internal error\n", status=500, content_type="text/plain; charset=utf-8")


handler404 = not_found
handler500 = server_error
