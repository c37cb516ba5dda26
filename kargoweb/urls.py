"""The root URLconf: the `receivers` app serves every address."""

from django.urls import include, path

from receivers.web.error_pages import bad_request, not_found, server_error

urlpatterns = [path("", include("receivers.urls"))]

handler400 = bad_request
handler404 = not_found
handler500 = server_error
