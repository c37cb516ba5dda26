"""The root URLconf: the `receivers` app serves every address."""

from django.urls import include, path

from receivers.web.error_pages import server_error

urlpatterns = [path("", include("receivers.urls"))]

handler500 = server_error
