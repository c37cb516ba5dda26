"""Addresses of pages, for views and templates alike."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from receivers.kargo.scopes import scope_name


def project_url(name: str) -> str:
    """Return the address of a project's page, or of the cluster receivers' page if the name is empty."""
    return reverse("project", args=[name]) if name else reverse("cluster")


def receiver_page_url(project: str, receiver: str) -> str:
    """Return the address of a receiver in kargoweb's pages. It is not the receiver URL."""
    if project:
        return reverse("receiver", args=[project, receiver])
    return reverse("cluster-receiver", args=[receiver])


def test_url(project: str, receiver: str) -> str:
    """Return the address of a receiver's Test-fire page."""
    if project:
        return reverse("test", args=[project, receiver])
    return reverse("cluster-test", args=[receiver])


def deliveries_url(**filters: Any) -> str:
    """Return the address of the filtered delivery list; an empty `project` means the cluster receivers."""
    if "project" in filters:
        filters["project"] = scope_name(filters["project"])
    query = urlencode({name: str(value) for name, value in filters.items() if value})
    return f"{reverse('deliveries')}?{query}"


def same_push_url(delivery: Any) -> str:
    """Return the address of the list of deliveries of the same push. The delivery is a row or a dictionary."""
    names = ("project", "receiver", "repository", "tag", "push_id")
    project, receiver, repository, tag, push = (field_of(delivery, name) for name in names)
    return deliveries_url(project=project, receiver=receiver, repository=repository, tag=tag, push=push)


def warehouse_url(refresh: Any) -> str:
    """Return the address of the list of deliveries that refreshed the same Warehouse."""
    return deliveries_url(warehouse=f"{refresh.project}/{refresh.warehouse}")


def field_of(row: Any, name: str) -> Any:
    """Return a value of a row, which is a dictionary where a list reads only the columns it shows."""
    return row[name] if isinstance(row, dict) else getattr(row, name)
