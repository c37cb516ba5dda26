"""Admission of Promotions, as Kargo's webhook does it: check the Freight, copy the steps, and choose the name.

Source: Kargo's `pkg/webhook/kubernetes/promotion/webhook.go`.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Final

from demo.apiserver.errors import forbidden, invalid
from demo.apiserver.kargo_types import GROUP, VERSION
from demo.apiserver.resource_types import ResourceType
from demo.apiserver.storage import Json, Store, object_key
from receivers.kargo.stage_availability import missing_for
from receivers.kargo.stages import (
    CREATOR_ANNOTATION,
    STAGE_LABEL,
    decode_freight_status,
    decode_stage,
)

PROMOTIONS: Final = f"promotions.{GROUP}"
AUTOMATIC: Final = "demo.kargoweb/automatic"
"""Annotation with which the demo's controller creates Promotions. It is not stored."""
CREATOR: Final = "kubernetes:admin"

_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_MAX_NAME: Final = 218  # characters of the Stage's name; with the rest they fit in a name


def admit_promotion(store: Store, kind: ResourceType, content: Json) -> Json:
    """Return a new Promotion with its name, labels, annotations, owner and steps. Raises `ApiError` 403 or 422."""
    metadata, spec = content["metadata"], content.get("spec") or {}
    namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
    stage = _object(store, "stages", namespace, spec.get("stage"))
    if stage is None:
        problem = f'Invalid value: "{spec.get("stage", "")}": Stage not found in project "{namespace}"'
        raise invalid(kind, name, "spec.stage", problem)
    if not (stage["spec"].get("promotionTemplate") or {}).get("spec"):
        raise invalid(
            kind, name, "spec.stage", f'Invalid value: "{spec["stage"]}": Stage is a control flow Stage'
        )
    freight = _object(store, "freights", namespace, spec.get("freight"))
    if freight is None:
        problem = f'Invalid value: "{spec.get("freight", "")}": Freight not found'
        raise invalid(kind, name, "spec.freight", problem)
    name = f"{spec['stage'][:_MAX_NAME]}.{_ulid()}.{spec['freight'][:7]}"
    if not _is_available(store, namespace, stage, freight):
        problem = f'Invalid value: "{spec["freight"]}": Freight is not available to this Stage'
        raise invalid(kind, name, "spec.freight", problem)
    template = stage["spec"]["promotionTemplate"]["spec"]
    steps = [{"as": f"step-{number}", **step} for number, step in enumerate(template.get("steps") or (), 1)]
    variables = {"vars": template["vars"]} if template.get("vars") else {}
    annotations = dict(metadata.get("annotations") or {}) | {STAGE_LABEL: spec["stage"]}
    if not annotations.pop(AUTOMATIC, ""):
        annotations[CREATOR_ANNOTATION] = CREATOR
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Stage",
        "name": spec["stage"],
        "uid": stage["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = dict(metadata.get("labels") or {}) | {STAGE_LABEL: spec["stage"]}
    return {
        **content,
        "metadata": {
            **metadata,
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": {**spec, "steps": steps, **variables},
    }


def check_unchanged(kind: ResourceType, content: Json, old: Json) -> None:
    """Raise `ApiError` 403 if the spec of a Promotion changes."""
    if content.get("spec") != old.get("spec"):
        raise forbidden(kind, old["metadata"]["name"], "spec is immutable")


def _object(store: Store, plural: str, namespace: str, name: object) -> Json | None:
    stored = store.collection(f"{plural}.{GROUP}").objects.get(object_key(namespace, str(name or "")))
    return stored.content if stored else None


def _is_available(store: Store, namespace: str, raw_stage: Json, raw_freight: Json) -> bool:
    stage, freight = decode_stage(raw_stage), decode_freight_status(raw_freight)
    request = stage.request(freight.warehouse)
    if request is None:
        return False
    upstreams = (_object(store, "stages", namespace, name) for name in request.upstreams)
    stages = {decoded.name: decoded for raw in upstreams if raw and (decoded := decode_stage(raw))}
    return missing_for(freight, stage, request, stages, datetime.now(UTC)) is None


def _ulid() -> str:
    """Return a ULID in lower case: 48 bits of milliseconds and 80 random bits, so that names sort by their time."""
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))
