"""Where requests go."""

from django.contrib.auth import views as auth_views
from django.urls import path, re_path

from receivers import probes, webhook
from receivers.pages import (
    attention_list,
    audit_list,
    errors,
    firing,
    project,
    projects,
    sign_in,
    status,
    theme,
)

urlpatterns = [
    # First, for most requests are pushes. Under any prefix: an Ingress may or may not strip its base path.
    re_path(
        r"^(?:.*/)?(?P<kind>[a-z0-9]+)/(?P<digest>[0-9a-f]{64})/?$", webhook.Webhook.as_view(), name="webhook"
    ),
    path("healthz", probes.health, name="health"),
    path("readyz", probes.readiness, name="readiness"),
    path("", projects.projects, name="home"),
    path("projects/<str:name>", project.project, name="project"),
    path("projects/<str:name>/receivers/<str:receiver>", project.receiver, name="receiver"),
    path("projects/<str:name>/receivers/<str:receiver>/test", firing.test, name="test"),
    path("projects/<str:name>/receivers/<str:receiver>/test/<uuid:pk>", firing.result, name="test-result"),
    path("cluster", project.project, {"name": ""}, name="cluster"),
    path("cluster/receivers/<str:receiver>", project.receiver, {"name": ""}, name="cluster-receiver"),
    path("cluster/receivers/<str:receiver>/test", firing.test, {"name": ""}, name="cluster-test"),
    path(
        "cluster/receivers/<str:receiver>/test/<uuid:pk>",
        firing.result,
        {"name": ""},
        name="cluster-test-result",
    ),
    path("attention", attention_list.needs_attention, name="attention"),
    path("attention/<str:key>", attention_list.finding, name="finding"),
    path("status", status.status, name="status"),
    path("audit", audit_list.audit, name="audit"),
    path("sign-in", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-out", auth_views.LogoutView.as_view(), name="sign-out"),
    path("theme", theme.choose, name="theme"),
]

handler500 = errors.server_error
