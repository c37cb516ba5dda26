"""The outcome of a refresh: discovered artifacts, conditions and Freight."""

from __future__ import annotations

import re

import pytest

from receivers.cluster.errors import NotFound
from receivers.kargo.resources import EVENTS, FREIGHTS
from tests.clusters import until
from tests.demo.kargo import Kargo, image

SUCCEEDED = {
    "Healthy": "True/ReconciliationSucceeded",
    "Ready": "True/ArtifactsDiscovered",
    "FreightCreationCriteriaSatisfied": "True/CriteriaSatisfied",
}


def test_a_refresh_discovers_the_tag_and_creates_freight(kargo: Kargo) -> None:
    warehouse = kargo.warehouse().settled()
    digest = warehouse.push("1.0.0")
    status = warehouse.refresh().status
    assert warehouse.conditions == SUCCEEDED | {"FreightCreated": "True/NewFreight"}
    assert status["observedGeneration"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["discoveredArtifacts"]["discoveredAt"])
    [freight] = warehouse.freight
    assert freight["images"] == [{"repoURL": warehouse.repository, "tag": "1.0.0", "digest": digest}]
    assert freight["origin"] == {"kind": "Warehouse", "name": "main"}
    assert freight["metadata"]["labels"]["kargo.akuity.io/alias"] == freight["alias"]
    assert status["lastFreightID"] == freight["metadata"]["name"]


def test_new_freight_has_an_event(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    [event] = next(kargo.cluster.list_pages(EVENTS, warehouse.project)).items
    assert event["reason"] == "FreightCreated"
    assert event["involvedObject"]["name"] == warehouse.freight[0]["metadata"]["name"]


def test_each_new_tag_creates_freight(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    for tag in ("1.0.0", "1.1.0"):
        warehouse.push(tag)
        warehouse.settled().refresh()
    assert warehouse.tags == ["1.1.0", "1.0.0"]
    assert sorted(freight["images"][0]["tag"] for freight in warehouse.freight) == ["1.0.0", "1.1.0"]


def test_unchanged_artifacts_create_no_second_freight(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    warehouse.push("1.0.0", same_content=True)
    warehouse.refresh()
    assert warehouse.conditions == SUCCEEDED | {"FreightCreated": "False/AlreadyExists"}
    assert len(warehouse.freight) == 1
    # As in Kargo, which computes this name before the Freight has an origin.
    with pytest.raises(NotFound):
        kargo.cluster.get(FREIGHTS, warehouse.status["lastFreightID"], warehouse.project)


def test_the_manual_policy_discovers_but_creates_no_freight(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(freightCreationPolicy="Manual")
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    assert warehouse.tags == ["1.0.0"]
    assert warehouse.conditions == {"Healthy": SUCCEEDED["Healthy"], "Ready": SUCCEEDED["Ready"]}
    assert warehouse.freight == []


def test_unsatisfied_criteria_create_no_freight(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(freightCreationCriteria={"expression": "false"})
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    assert warehouse.conditions["FreightCreationCriteriaSatisfied"] == "False/CriteriaNotSatisfied"
    assert warehouse.freight == []


def test_invalid_criteria_are_reported(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(freightCreationCriteria={"expression": "what?"})
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    assert warehouse.conditions["Ready"] == "False/CriteriaEvaluationFailed"


def test_a_subscription_without_a_tag_is_reported(kargo: Kargo) -> None:
    warehouse = kargo.warehouse().settled()
    assert warehouse.conditions["Ready"] == "False/MissingImageReferences"
    message = f'No references discovered for image repository "{warehouse.repository}"'
    assert message in [condition["message"] for condition in warehouse.status["conditions"]]


def test_git_and_image_subscriptions_create_freight_together(kargo: Kargo) -> None:
    kargo.registry.put("demo/mixed", "1.0.0")
    git = {"git": {"repoURL": "https://github.com/demo/config.git"}}
    [freight] = kargo.warehouse(image("demo/mixed"), git).settled().freight
    assert freight["images"][0]["tag"] == "1.0.0"
    assert freight["commits"][0]["repoURL"] == "https://github.com/demo/config.git"


def test_a_handled_token_has_no_effect(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    version = warehouse.raw["metadata"]["resourceVersion"]
    warehouse.push("1.1.0")
    warehouse.annotate(**{"kargo.akuity.io/refresh": warehouse.handled_token})
    assert warehouse.raw["metadata"]["resourceVersion"] == version  # so there was no watch event
    assert warehouse.tags == ["1.0.0"]


def test_a_changed_spec_causes_a_discovery_without_a_refresh(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    for tag in ("1.0.0", "2.0.0"):
        warehouse.push(tag)
    warehouse.settled().refresh()
    spec = {"subscriptions": [image(warehouse.repository, constraint="^1.0.0")]}
    kargo.api_server.api.patch(
        f"/apis/kargo.akuity.io/v1alpha1/namespaces/{warehouse.project}/warehouses/main", {"spec": spec}
    )
    until("only the old tag is left", lambda: warehouse.tags == ["1.0.0"])
    until("the generation is observed", lambda: warehouse.status["observedGeneration"] == 2)
