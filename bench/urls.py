"""The product's URLs and `/noop`, a DRF view as lean as the webhook's that responds immediately."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.views import APIView

from kargoweb.urls import urlpatterns as product_urls
from receivers.webhook.views import AnyAccept

BODY = b'{"msg":"refreshed 0 warehouse(s)"}\n'


class Noop(APIView):
    """Ignore the request."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = ()
    content_negotiation_class = AnyAccept

    def post(self, request: Request) -> HttpResponse:
        """Return a fixed response."""
        response = HttpResponse(BODY, content_type="application/json")
        response["Content-Length"] = str(len(BODY))
        return response


urlpatterns = [path("noop", Noop.as_view()), *product_urls]
