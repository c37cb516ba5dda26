"""Where requests go."""

from django.contrib.auth import views as auth_views
from django.urls import path, re_path

from receivers.api.views import Deliveries, Explanation, NothingHere, OneDelivery, Redelivery
from receivers.ops import probes
from receivers.pages import (
    attention_list,
    audit_list,
    deliveries,
    delivery,
    errors,
    export,
    firing,
    project,
    projects,
    redeliver_many,
    sign_in,
    status,
    theme,
)
from receivers.webhook.views import Webhook

urlpatterns = [
    # First, for most requests are pushes. Under any prefix: an Ingress may or may not strip its base path.
    re_path(r"^(?:.*/)?(?P<kind>[a-z0-9]+)/(?P<digest>[0-9a-f]{64})/?$", Webhook.as_view(), name="webhook"),
    path("healthz", probes.health, name="health"),
    path("readyz", probes.readiness, name="readiness"),
    path("metrics", probes.metrics, name="metrics"),
    path("", projects.projects, name="home"),
    path("projects/<str:name>", project.project, name="project"),
    path("projects/<str:name>/receivers/<str:receiver>", project.receiver, name="receiver"),
    path("projects/<str:name>/receivers/<str:receiver>/test", firing.test, name="test"),
    path("cluster", project.project, {"name": ""}, name="cluster"),
    path("cluster/receivers/<str:receiver>", project.receiver, {"name": ""}, name="cluster-receiver"),
    path("cluster/receivers/<str:receiver>/test", firing.test, {"name": ""}, name="cluster-test"),
    path("attention", attention_list.needs_attention, name="attention"),
    path("attention/<str:key>", attention_list.finding, name="finding"),
    path("status", status.status, name="status"),
    path("deliveries", deliveries.deliveries, name="deliveries"),
    path("deliveries.csv", export.export, {"kind": "csv"}, name="deliveries-csv"),
    path("deliveries.json", export.export, {"kind": "json"}, name="deliveries-json"),
    path("deliveries/redeliver", redeliver_many.redeliver_many, name="redeliver-many"),
    path("deliveries/redelivered", redeliver_many.redelivered, name="redelivered"),
    path("deliveries/<uuid:pk>", delivery.delivery, name="delivery"),
    path("deliveries/<uuid:pk>/redeliver", delivery.again, name="redeliver"),
    path("api/deliveries", Deliveries.as_view(), name="api-deliveries"),
    path("api/deliveries/<uuid:pk>", OneDelivery.as_view(), name="api-delivery"),
    path("api/deliveries/<uuid:pk>/redeliver", Redelivery.as_view(), name="api-redeliver"),
    path("api/explain", Explanation.as_view(), name="api-explain"),
    re_path(r"^api/", NothingHere.as_view(), name="api-nothing"),
    path("audit", audit_list.audit, name="audit"),
    path("sign-in", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-out", auth_views.LogoutView.as_view(), name="sign-out"),
    path("theme", theme.choose, name="theme"),
]

handler500 = errors.server_error
