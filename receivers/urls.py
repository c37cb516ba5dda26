"""The URLs of the pages and the JSON API, after those for machines."""

from django.urls import include, path, register_converter
from django.urls.converters import StringConverter

from receivers import admin
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.web import (
    alert_channels,
    api_reference,
    api_tokens,
    audit_log,
    bulk_redelivery,
    delivery_detail,
    delivery_export,
    delivery_list,
    needs_action,
    new_receiver,
    overview,
    password,
    project_detail,
    project_list,
    provider_sign_in,
    push_detail,
    push_list,
    saved_views,
    search,
    send_test_push,
    sign_in,
    system_status,
    theme,
)


class NameConverter(StringConverter):
    """Converts names, which contain no NUL: PostgreSQL rejects statements with it."""

    regex = r"[^/\x00]+"  # which is also its pattern in the OpenAPI schema


class TextConverter(StringConverter):
    """Converts any text without NUL, also with slashes: the names of repositories have some."""

    regex = r"[^\x00]+"


register_converter(NameConverter, "name")
register_converter(TextConverter, "text")

urlpatterns = [
    path("", include("receivers.machine_urls")),
    path("", overview.overview, name="home"),
    path("search", search.search, name="search"),
    path("projects", project_list.projects, name="projects"),
    path("projects/<name:name>", project_detail.project, name="project"),
    path("projects/<name:name>/receivers/<name:receiver>", project_detail.receiver, name="receiver"),
    path("projects/<name:name>/receivers/<name:receiver>/test", send_test_push.test, name="test"),
    path(
        "projects/<name:name>/receivers/<name:receiver>/registration",
        new_receiver.registration,
        name="registration",
    ),
    path("receivers/new", new_receiver.new_receiver, name="new-receiver"),
    path("cluster", project_detail.project, {"name": CLUSTER_SCOPE}, name="cluster"),
    path(
        "cluster/receivers/<name:receiver>",
        project_detail.receiver,
        {"name": CLUSTER_SCOPE},
        name="cluster-receiver",
    ),
    path(
        "cluster/receivers/<name:receiver>/test",
        send_test_push.test,
        {"name": CLUSTER_SCOPE},
        name="cluster-test",
    ),
    path(
        "cluster/receivers/<name:receiver>/registration",
        new_receiver.registration,
        {"name": CLUSTER_SCOPE},
        name="cluster-registration",
    ),
    path("attention", needs_action.needs_action, name="attention"),
    path("attention/<str:key>", needs_action.finding, name="finding"),
    path("status", system_status.status, name="status"),
    path("pushes", push_list.pushes, name="pushes"),
    path("pushes/<uuid:push_id>", push_detail.push, name="push"),
    path("r/<text:repository>/<text:tag>", push_detail.push_by_name, name="push-by-name"),
    path("views", saved_views.save_view, name="save-view"),
    path("views/<int:pk>/remove", saved_views.remove_view, name="remove-view"),
    path("deliveries", delivery_list.deliveries, name="deliveries"),
    path("deliveries.csv", delivery_export.export, {"kind": "csv"}, name="deliveries-csv"),
    path("deliveries.json", delivery_export.export, {"kind": "json"}, name="deliveries-json"),
    path("deliveries/redeliver", bulk_redelivery.redeliver_many, name="redeliver-many"),
    path("deliveries/redelivered", bulk_redelivery.redelivered, name="redelivered"),
    path("deliveries/<uuid:pk>", delivery_detail.delivery, name="delivery"),
    path("deliveries/<uuid:pk>/redeliver", delivery_detail.redeliver_one, name="redeliver"),
    path("api-reference", api_reference.reference, name="api-reference"),
    path("api/", include("receivers.api.urls")),
    path("alerts", alert_channels.alerts, name="alerts"),
    path("alerts/new", alert_channels.new_channel, name="new-alert-channel"),
    path("alerts/<uuid:pk>", alert_channels.edit_channel, name="alert-channel"),
    path("alerts/<uuid:pk>/test", alert_channels.test_channel, name="test-alert-channel"),
    path("alerts/<uuid:pk>/switch", alert_channels.switch_channel, name="switch-alert-channel"),
    path("alerts/<uuid:pk>/delete", alert_channels.delete_channel, name="delete-alert-channel"),
    path("audit", audit_log.audit, name="audit"),
    path("sign-in", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-in/provider", provider_sign_in.Begin.as_view(), name="provider-begin"),
    path("sign-in/callback", provider_sign_in.Callback.as_view(), name="provider-callback"),
    path("sign-out", provider_sign_in.SignOut.as_view(), name="sign-out"),
    path("tokens", api_tokens.api_tokens, name="api-tokens"),
    path("tokens/<uuid:pk>/revoke", api_tokens.revoke_token, name="revoke-token"),
    path("password", password.PasswordChange.as_view(), name="password"),
    path("theme", theme.choose, name="theme"),
    path("admin/", admin.site.urls),
]
