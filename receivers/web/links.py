"""Addresses of pages, for views and templates alike."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Refresh


def project_url(name: str) -> str:
    """Return the address of a project's page, or of the cluster receivers' page if the name is empty."""
    return reverse("project", args=[name]) if name else reverse("cluster")


def receiver_page_url(project: str, receiver: str) -> str:
    """Return the address of a receiver in kargoweb's pages. It is not the receiver URL."""
    if not receiver:
        return project_url(project)  # of a request of the API
    if project:
        return reverse("receiver", args=[project, receiver])
    return reverse("cluster-receiver", args=[receiver])


def test_url(project: str, receiver: str) -> str:
    """Return the address of a receiver's Test-fire page."""
    if project:
        return reverse("test", args=[project, receiver])
    return reverse("cluster-test", args=[receiver])


def registration_url(project: str, receiver: str) -> str:
    """Return the address of the page that waits for a receiver's first push."""
    if project:
        return reverse("registration", args=[project, receiver])
    return reverse("cluster-registration", args=[receiver])


def deliveries_url(**filters: Any) -> str:
    """Return the address of the filtered delivery list; an empty `project` means the cluster receivers."""
    if "project" in filters:
        filters["project"] = scope_name(filters["project"])
    query = urlencode({name: str(value) for name, value in filters.items() if value})
    return f"{reverse('deliveries')}?{query}"


def pushes_url(**filters: Any) -> str:
    """Return the address of the filtered list of pushes; an empty `project` means the cluster receivers."""
    if "project" in filters:
        filters["project"] = scope_name(filters["project"])
    query = urlencode({name: str(value) for name, value in filters.items() if value})
    return f"{reverse('pushes')}?{query}"


def push_url(push_id: UUID) -> str:
    """Return the address of a push's page."""
    return reverse("push", args=[push_id])


def same_push_url(delivery: Delivery) -> str:
    """Return the address of the list of deliveries of the same push."""
    names = ("project", "receiver", "repository", "tag")
    return deliveries_url(**{name: getattr(delivery, name) for name in names}, push=delivery.push_id)


def warehouse_url(refresh: Refresh) -> str:
    """Return the address of the list of deliveries that refreshed the same Warehouse."""
    return deliveries_url(warehouse=f"{refresh.project}/{refresh.warehouse}")
