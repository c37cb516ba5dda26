"""Where requests go."""

from django.contrib.auth import views as auth_views
from django.urls import path, re_path

from receivers import pages, probes, webhook

urlpatterns = [
    # First, for most requests are pushes. Under any prefix: an Ingress may or may not strip its base path.
    re_path(
        r"^(?:.*/)?(?P<kind>[a-z0-9]+)/(?P<digest>[0-9a-f]{64})/?$", webhook.Webhook.as_view(), name="webhook"
    ),
    path("healthz", probes.health, name="health"),
    path("readyz", probes.readiness, name="readiness"),
    path("", pages.home, name="home"),
    path("sign-in", auth_views.LoginView.as_view(template_name="sign_in.html"), name="sign-in"),
    path("sign-out", auth_views.LogoutView.as_view(), name="sign-out"),
]
