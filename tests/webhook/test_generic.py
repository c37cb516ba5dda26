"""A generic receiver, over HTTP."""

from __future__ import annotations

import json

from receivers.deliveries.redelivery import redeliver
from receivers.kargo.resources import PROJECT_CONFIGS
from receivers.models import Outcome
from tests.api.programs import Program
from tests.clusters import until
from tests.delivery_rows import wait_for_result
from tests.users import create_session, create_user
from tests.web.html import visible_text
from tests.web.http_browser import HttpBrowser
from tests.worlds import image


def published(product, world, *actions):
    """Return a project with two Warehouses and a generic receiver with these actions, once it is known."""
    project = world.bare_project()
    for name in ("app", "web"):
        project.warehouse(name, image(f"example/{name}"))
    project.publish("hook", kind="generic")
    receiver = {"name": "hook", "generic": {"secretRef": {"name": "hook"}, "actions": list(actions)}}
    world.cluster.patch(
        PROJECT_CONFIGS, project.name, project.name, {"spec": {"webhookReceivers": [receiver]}}
    )
    path = project.path("hook", kind="generic")

    def known():
        response = product.post(path, b"{}")
        return response.status != 404 and json.loads(response.data).get("results")

    until("the actions are known", known)
    return project, path


def action(**fields):
    criteria = [{"kind": "Warehouse", "name": "${{ request.body.name }}"}]
    return {"action": "Refresh", "targetSelectionCriteria": criteria, **fields}


def delivery_of(response):
    return wait_for_result(response.headers["X-Kargoweb-Delivery"])


def test_an_action_refreshes_the_warehouse_that_its_expression_names(product, world):
    project, path = published(
        product, world, action(whenExpression="request.header('Authorization') == 'Bearer t0ken'")
    )
    response = product.post(path, b'{"name": "web"}', {"Authorization": "Bearer t0ken"})
    assert response.status == 200
    (result,) = json.loads(response.data)["results"]
    assert result["selectedTargets"] == [{"namespace": project.name, "name": "web", "success": True}]
    assert project.token("web")
    assert not project.token("app")
    delivery = delivery_of(response)
    assert delivery.warehouses == 1
    assert "t0ken" not in json.dumps([delivery.headers, delivery.reason])


def test_a_condition_that_is_false_refreshes_nothing_and_says_so(product, world):
    project, path = published(product, world, action(whenExpression="request.params('env') == 'prod'"))
    response = product.post(f"{path}?env=test", b'{"name": "web"}')
    assert response.status == 200
    assert json.loads(response.data)["results"][0]["result"] == "NotApplicable"
    delivery = delivery_of(response)
    assert delivery.outcome == Outcome.IGNORED
    assert delivery.reason == "action 1: whenExpression is false"
    assert not project.token("web")


def test_an_action_that_cannot_be_evaluated_is_answered_as_in_kargo_with_a_reason(product, world):
    _, path = published(product, world, action(whenExpression="now().Format('2006') == '2024'"))
    response = product.post(path, b"{}")
    assert response.status == 500
    assert json.loads(response.data)["results"][0]["summary"] == "Error evaluating whenExpression"
    delivery = delivery_of(response)
    assert delivery.outcome == Outcome.ACTION_FAILED
    assert "cannot be evaluated by kargoweb" in delivery.reason


def test_an_action_that_fails_is_shown_beside_one_that_refreshes(product, world):
    project, path = published(product, world, action(whenExpression="request.body.a.b"), action())
    response = product.post(path, b'{"name": "web"}')
    assert response.status == 500
    assert project.token("web")
    delivery = delivery_of(response)
    problem = 'action 1: whenExpression fails: nothing (nil) has no field "b"'
    assert (delivery.outcome, delivery.warehouses, delivery.reason) == (Outcome.REFRESHED, 1, problem)
    details = Program(product, "admin").get(f"deliveries/{delivery.pk}")
    first, second = details["actions"]
    assert (first["result"], first["failed"], first["targets"]) == ("Error", True, [])
    assert f"action 1: {first['problem']}" == problem
    assert (second["result"], second["failed"]) == ("Success", False)
    target = {"kind": "Warehouse", "project": project.name, "name": "web", "success": True}
    assert second["targets"] == [target]


def test_the_page_of_a_delivery_has_its_actions(product, world):
    _, path = published(product, world, action(whenExpression="request.body.a.b"), action())
    row = delivery_of(product.post(path, b'{"name": "web"}'))
    browser = HttpBrowser(product)
    browser.resume_session(create_session(create_user("viewer")))
    page = visible_text(browser.open(f"/deliveries/{row.pk}").partition('id="actions-title"')[2])
    assert "1: Refresh Failed whenExpression fails" in page
    assert "2: Refresh Refreshed Warehouse web" in page


def test_a_redelivery_has_actions_of_its_own(product, world):
    _, path = published(product, world, action(whenExpression="request.body.fails.b"), action())
    row = delivery_of(product.post(path, b'{"name": "web"}'))
    again = redeliver(row, "ada")
    assert again.details == {}
    assert len(wait_for_result(str(again.pk)).details["actions"]) == 2


def test_a_body_that_is_no_json_is_refused(product, world):
    _, path = published(product, world, action())
    response = product.post(path, b"{'name': 1}")
    assert response.status == 400
    assert json.loads(response.data)["error"].startswith("invalid request body: invalid character '\\''")
    assert delivery_of(response).outcome == Outcome.INVALID_BODY
