"""The health checks: their codes, and their titles on pages."""

from __future__ import annotations

from django.db import models


class Check(models.TextChoices):
    """The code of a check, which the API, the command line and addresses use, and its title as its label."""

    # Receivers
    RECEIVER_WITHOUT_URL = "receiver_without_url", "Receivers without a URL"
    URL_UNREACHABLE = "url_unreachable", "URLs that providers can't reach"
    URL_TOO_LONG = "url_too_long", "URLs too long for Docker Hub"
    URL_WITHOUT_TLS = "url_without_tls", "URLs without TLS"
    URL_SHARED = "url_shared", "URLs shared by several receivers"
    SECRET_CHANGED = "secret_changed", "Changed Secrets"
    SECRET_UNREADABLE = "secret_unreadable", "Secrets kargoweb can't read"
    WRONG_SIGNATURES = "wrong_signatures", "Wrong signatures or tokens"
    ONLY_PINGS = "only_pings", "Receivers that get only pings"
    OLD_URL_IN_USE = "old_url_in_use", "Old URLs still in use"
    HIGH_FAILURE_RATE = "high_failure_rate", "High failure rate"
    NO_RECENT_PUSH = "no_recent_push", "Receivers without recent pushes"
    NO_PUSH_YET = "no_push_yet", "Receivers waiting for their first push"
    UNSUPPORTED_KIND = "unsupported_kind", "Receivers of unsupported kinds"

    # Warehouses
    NO_CONTROLLER = "no_controller", "Warehouses without a running controller"
    DISCOVERY_FAILED = "discovery_failed", "Artifact discovery fails"
    FREIGHT_BLOCKED = "freight_blocked", "Warehouses that can't create Freight"
    INVALID_SUBSCRIPTION = "invalid_subscription", "Invalid subscriptions"
    SUBSCRIPTION_TOO_COMPLEX = "subscription_too_complex", "Subscriptions that are too complex"
    UNREAD_FIELDS = "unread_fields", "Fields Kargo doesn't read"
    NEVER_MATCHED = "never_matched", "Repository URLs that pushes never match"
    WAREHOUSE_WITHOUT_RECEIVER = "warehouse_without_receiver", "Warehouses without a receiver"
    MISSED_PUSHES = "missed_pushes", "Pushes Docker Hub never sent"
    OFFICIAL_IMAGE = "official_image", "Official images, which send no webhooks"
    INTERVAL_TOO_SHORT = "interval_too_short", "Intervals below Kargo's minimum"

    # The installation
    CLUSTER_UNREADABLE = "cluster_unreadable", "Cluster objects kargoweb can't read"
    MISROUTED_WEBHOOKS = "misrouted_webhooks", "Webhooks of unsupported kinds"
    LOCAL_INSTALLATION = "local_installation", "kargoweb runs on this machine only"
