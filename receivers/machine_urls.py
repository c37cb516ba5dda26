"""The URLs that machines call: Docker Hub, Kubernetes and Prometheus."""

from django.conf import settings
from django.urls import path, re_path

from receivers.ops import probes, runtime
from receivers.webhook.views import RECEIVER_URL, Webhook, not_served_here

receives = settings.KARGOWEB.role != "dashboard"

urlpatterns = [
    # First, because most requests are pushes.
    re_path(
        RECEIVER_URL, Webhook.as_view(take=runtime.take) if receives else not_served_here, name="webhook"
    ),
    path("healthz", probes.health, name="health"),
    path("readyz", probes.readiness, name="readiness"),
    path("metrics", probes.metrics, name="metrics"),
]
