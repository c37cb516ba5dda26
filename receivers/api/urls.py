"""The URLs of the API, below `/api/`."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from receivers.api.base import NotFoundView, not_stored
from receivers.api.delivery_views import (
    BulkRedeliveryView,
    DeliveryDetailView,
    DeliveryListView,
    RedeliveryView,
)
from receivers.api.operations_views import (
    AccessView,
    AuditView,
    FindingListView,
    FindingView,
    MuteView,
    StatisticsView,
)
from receivers.api.project_views import (
    ProjectDetailView,
    ProjectListView,
    ReceiverListView,
    ReceiverUrlView,
    TestPushView,
    WarehouseListView,
)
from receivers.api.push_views import ExplainView, PushDetailView, PushListView
from receivers.api.refresh_view import RefreshView
from receivers.api.schema import CachedGenerator
from receivers.api.wait_view import WaitView

v1 = [
    path("projects", ProjectListView.as_view(), name="api-projects"),
    path("projects/<name:project>", ProjectDetailView.as_view(), name="api-project"),
    path("projects/<name:project>/receivers", ReceiverListView.as_view(), name="api-receivers"),
    path(
        "projects/<name:project>/receivers/<name:receiver>/reveal-url",
        ReceiverUrlView.as_view(),
        name="api-reveal-url",
    ),
    path(
        "projects/<name:project>/receivers/<name:receiver>/test-pushes",
        TestPushView.as_view(),
        name="api-test-push",
    ),
    path("projects/<name:project>/warehouses", WarehouseListView.as_view(), name="api-warehouses"),
    path("pushes", PushListView.as_view(), name="api-pushes"),
    path("pushes/wait", WaitView.as_view(), name="api-wait"),
    path("pushes/<uuid:push_id>", PushDetailView.as_view(), name="api-push"),
    path("explain", ExplainView.as_view(), name="api-explain"),
    path("refresh", RefreshView.as_view(), name="api-refresh"),
    path("deliveries", DeliveryListView.as_view(), name="api-deliveries"),
    path("deliveries/redeliver", BulkRedeliveryView.as_view(), name="api-redeliver-many"),
    path("deliveries/<uuid:pk>", DeliveryDetailView.as_view(), name="api-delivery"),
    path("deliveries/<uuid:pk>/redeliver", RedeliveryView.as_view(), name="api-redeliver"),
    path("findings", FindingListView.as_view(), name="api-findings"),
    path("findings/<str:key>", FindingView.as_view(), name="api-finding"),
    path("findings/<str:key>/mute", MuteView.as_view(), name="api-mute"),
    path("statistics", StatisticsView.as_view(), name="api-statistics"),
    path("audit", AuditView.as_view(), name="api-audit"),
    path("access", AccessView.as_view(), name="api-access"),
    path(
        "schema", not_stored(SpectacularAPIView).as_view(generator_class=CachedGenerator), name="api-schema"
    ),
]

urlpatterns = [
    path("v1/", include(v1)),
    re_path("", NotFoundView.as_view(), name="api-nothing"),
]
