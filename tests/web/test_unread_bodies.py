"""The bodies of requests to unknown URLs are not read, even if the URL becomes known before the response."""

from __future__ import annotations

from kargoweb.gateway import UnreadBody
from receivers.ops import runtime
from tests.clusters import until
from tests.delivery_rows import deliveries_of
from tests.worlds import image, push_body


def test_a_push_whose_url_became_known_after_its_body_was_left_is_not_taken_for_an_incomplete_one(
    admin_client, world
):
    project = world.bare_project()
    project.warehouse("warehouse-0", image("example/app"))
    project.publish("hook")
    digest = project.path().rpartition("/")[2]
    until("the URL is known", lambda: runtime.is_known_url("dockerhub", digest))
    request = {"content_type": "application/json", "wsgi.input": UnreadBody()}
    answer = admin_client.generic("POST", project.path(), push_body("example/app"), **request)
    assert answer.status_code == 503
    assert not deliveries_of(project).exists()
    assert digest in runtime.current().intake.refused.take()
