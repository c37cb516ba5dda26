"""The kind `generic` beyond the vectors: the bytes of its answers, reasons for people, and hostile requests."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receivers.kargo.golang.goquery import parse_query
from receivers.kargo.kinds import Headers, Refused, WebhookRequest
from receivers.kargo.kinds.events import TargetsUnknown
from receivers.kargo.kinds.generic import read
from receivers.kargo.label_selectors import InvalidLabelSelector, LabelRequirement
from receivers.kargo.promotion_targets import PromotionTarget
from receivers.kargo.resources import decode_warehouse


def warehouse(name, project="shop", repository="https://git.example.com/acme/app", **labels):
    metadata = {"namespace": project, "name": name, "labels": labels}
    subscriptions = [{"git": {"repoURL": repository}}]
    return decode_warehouse({"metadata": metadata, "spec": {"subscriptions": subscriptions}})


WAREHOUSES = [warehouse("b", tier="web"), warehouse("a", env="<prod>"), warehouse("a", "team")]
SELECT_ALL = {"kind": "Warehouse"}


def action(*criteria, **fields):
    return {"action": "Refresh", "targetSelectionCriteria": list(criteria), **fields}


def request_of(*actions, body=b"{}", headers=(), query=""):
    return WebhookRequest(body, Headers(headers), {"actions": list(actions)}, query)


def answer(*actions, failed=(), promotions=(), **request):
    """Return the keys of the selected targets, and the response."""
    selection = read(request_of(*actions, **request))
    targets = selection.targets(WAREHOUSES, lambda: promotions)
    return targets, selection.response(failed, ())


def test_the_fields_of_an_answer_are_in_the_order_of_kargo():
    criteria = {
        "indexSelector": {
            "matchIndices": [
                {
                    "value": "https://git.example.com/acme/app",
                    "operator": "Equals",
                    "key": "subscribedURLs",
                }
            ]
        },
        "labelSelector": {
            "matchExpressions": [{"values": ["web"], "operator": "In", "key": "tier"}],
            "matchLabels": {"tier": "web"},
        },
        "name": "b",
        "kind": "Warehouse",
    }
    targets, response = answer(action(criteria, parameters={"z": "1", "a": "<&>"}, whenExpression="1 < 2"))
    assert targets == ([("shop", "b")], [])
    assert response.status == 200
    assert response.body == (
        b'{"results":[{"action":"Refresh","whenExpression":"1 \\u003c 2",'
        b'"parameters":{"a":"\\u003c\\u0026\\u003e","z":"1"},'
        b'"targetSelectionCriteria":[{"kind":"Warehouse","name":"b","labelSelector":{"matchLabels":{"tier":"web"},'
        b'"matchExpressions":[{"key":"tier","operator":"In","values":["web"]}]},"indexSelector":{"matchIndices":'
        b'[{"key":"subscribedURLs","operator":"Equals","value":"https://git.example.com/acme/app"}]}}],'
        b'"matchedWhenExpression":true,"selectedTargets":[{"namespace":"shop","name":"b","success":true}],'
        b'"result":"Success","summary":"Refreshed 1 of 1 selected resources"}]}\n'
    )


@pytest.mark.parametrize(
    ("failed", "result", "summary"),
    [
        ([], "Success", "Refreshed 3 of 3 selected resources"),
        ([("shop", "a")], "PartialSuccess", "Refreshed 2 of 3 selected resources"),
        ([each.key for each in WAREHOUSES], "Failure", "Refreshed 0 of 3 selected resources"),
    ],
)
def test_failed_refreshes_are_reported_and_answered_with_500(failed, result, summary):
    _, response = answer(action(SELECT_ALL), failed=failed)
    entry = json.loads(response.body)["results"][0]
    assert response.status == (500 if failed else 200)
    assert (entry["result"], entry["summary"]) == (result, summary)
    assert [target["success"] for target in entry["selectedTargets"]] == [
        (target["namespace"], target["name"]) not in failed for target in entry["selectedTargets"]
    ]


def test_an_action_that_fails_does_not_stop_the_others():
    targets, response = answer(
        action(SELECT_ALL, whenExpression="1 +"),
        action({"kind": "Warehouse", "name": "${{ 42 }}"}),
        action({"kind": "Warehouse", "name": "a"}),
    )
    assert targets == ([("shop", "a"), ("team", "a")], [])
    assert response.status == 500
    assert [entry["result"] for entry in json.loads(response.body)["results"]] == [
        "Error",
        "Error",
        "Success",
    ]


def test_of_a_promotion_and_a_warehouse_with_one_name_the_first_is_refreshed():
    promotions = [PromotionTarget("shop", "a"), PromotionTarget("shop", "b")]
    criteria = [{"kind": "Promotion", "name": "a"}, {"kind": "Warehouse", "name": "a"}]
    targets, _ = answer(action(*criteria), promotions=promotions)
    assert targets == ([("team", "a")], [("shop", "a")])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"whenExpression": "false"},
            "action 1: whenExpression is false",
        ),
        (
            {"whenExpression": "request.body.a.b"},
            'action 1: whenExpression fails: nothing (nil) has no field "b"',
        ),
        (
            {"whenExpression": "now().Format('2006') == '2024'"},
            "action 1: whenExpression cannot be evaluated by kargoweb: the method Format",
        ),
        (
            {"targetSelectionCriteria": [{"kind": "Stage"}]},
            'action 1: targetSelectionCriteria fails: "Stage" isn\'t a kind of target',
        ),
        (
            {"action": "Promote"},
            'action 1: Kargo has no action "Promote"',
        ),
        ({}, ""),
    ],
)
def test_the_reason_says_what_became_of_the_actions(fields, reason):
    selection = read(request_of({**action(SELECT_ALL), **fields}))
    [report] = selection.actions((), ())
    assert (report.sentence if report.problem else "") == reason


def test_promotions_are_listed_only_for_actions_that_select_them():
    def listed():
        raise TargetsUnknown("Promotions can't be listed: forbidden")

    selection = read(request_of(action(SELECT_ALL), action({"kind": "Promotion", "name": "a"})))
    warehouses, promotions = selection.targets(WAREHOUSES, listed)
    assert (len(warehouses), promotions) == (3, [])
    first, second = selection.actions((), ())
    assert (first.result, first.failed, len(first.targets)) == ("Success", False, 3)
    assert (second.result, second.failed) == ("Error", True)
    assert second.sentence == "action 2: Promotions can't be listed: forbidden"
    results = json.loads(selection.response((), ()).body)["results"]
    assert [result["result"] for result in results] == ["Success", "Error"]


def test_an_action_fails_by_its_promotions_but_not_by_warehouses_which_are_retried():
    promotions = [PromotionTarget("shop", "p")]
    selection = read(request_of(action(SELECT_ALL), action({"kind": "Promotion", "name": "p"})))
    selection.targets(WAREHOUSES, lambda: promotions)
    first, second = selection.actions([("shop", "a")], [("shop", "p")])
    assert (first.result, first.failed, first.problem) == ("PartialSuccess", False, "")
    assert (second.result, second.failed, second.problem) == ("Failure", True, 'not refreshed: "shop/p"')
    assert first.targets[0] == ("Warehouse", ("shop", "a"), False)


def test_a_reason_contains_no_value_of_the_request():
    selection = read(
        request_of(
            action(SELECT_ALL, whenExpression="request.header('Authorization') + 1 == ''"),
            headers=[("Authorization", "Bearer t0ken")],
        )
    )
    [report] = selection.actions((), ())
    assert report.failed
    assert report.problem
    assert "t0ken" not in report.problem


def evaluates(expression, **request):
    """Return the result of an action with this condition."""
    _, response = answer(action(whenExpression=expression), **request)
    return json.loads(response.body)["results"][0]["result"]


@pytest.mark.parametrize(
    ("expression", "request_"),
    [
        ("request.header('x-event') == 'push'", {"headers": [("X-Event", " push ")]}),
        ("request.headers('X-Event') == ['a', 'b']", {"headers": [("X-Event", "a"), ("x-event", "b")]}),
        ("request.header('Host') == ''", {"headers": [("Host", "hooks.example.com")]}),
        ("request.header(nil) == ''", {}),
        ("request.params('a') == 'x y'", {"query": "a=x+y&a=z"}),
        ("request.params('b') == ''", {"query": "b=%zz&c=1;2"}),
        ("request.body == nil", {"body": b""}),
        ("request.body.a == 2", {"body": b'{"a": 1, "a": 2}'}),
        ("request.body == '\ufffd'", {"body": b'"\xff"'}),
        ("request.body == '\ufffd'", {"body": b'"\\ud800"'}),
        ("normalizeImage('docker.io/library/nginx:1') == 'nginx'", {}),
        ("normalizeGit(nil) == ''", {}),
    ],
)
def test_expressions_see_the_request_as_in_kargo(expression, request_):
    assert evaluates(expression, **request_) == "Success"


@pytest.mark.parametrize(
    ("expression", "request_"),
    [
        ("request.header('X-Event') == 'ä'", {"headers": [("X-Event", "Ã¤")]}),
        ("request.params('a') == 'x'", {"query": "a=%ff"}),
        ("request.body.a == 1", {"body": b"[" * 5000 + b"]" * 5000}),
        ("len(request.body) == 5", {"body": b"[" * 5000 + b"]" * 5000}),
        ("any(request.body, # == 1)", {"body": b"[" + b"0," * 900_000 + b"0]"}),
    ],
)
def test_what_is_not_seen_as_in_kargo_fails_the_action(expression, request_):
    assert evaluates(expression, **request_) == "Error"


def test_an_action_that_does_not_look_at_a_deep_body_runs():
    assert evaluates("true", body=b"[" * 9000 + b"]" * 9000) == "Success"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b" ", "unexpected end of JSON input"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b'"\n"', "invalid character '\\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1e", "invalid character ' ' in exponent of numeric literal"),
        (b"nule", "invalid character 'e' in literal null (expecting 'l')"),
        (b"\x00", "invalid character '\\x00' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b"[" * 10_001, "invalid character '[' exceeded max depth"),
        (b'{"a":-1e999}', "json: cannot unmarshal number -1e999 into Go value of type float64"),
    ],
)
def test_a_body_that_is_no_json_is_refused_with_the_message_of_go(body, message):
    with pytest.raises(Refused) as caught:
        read(request_of(action(SELECT_ALL), body=body))
    assert caught.value.response.status == 400
    assert json.loads(caught.value.response.body) == {"error": f"invalid request body: {message}"}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,\\u0123456789eE+-.ntrfals ', max_size=40).map(str.encode))
def test_any_body_is_decoded_or_refused(body):
    request = request_of(action({"kind": "Warehouse", "name": "${{ request.body }}"}), body=body)
    if body and not is_json(body):
        with pytest.raises(Refused, match="the body isn't JSON"):
            read(request)
    else:
        selection = read(request)
        selection.targets(WAREHOUSES, tuple)
        json.loads(selection.response((), ()).body)


def is_json(body):
    """Say whether Python's decoder takes a body, apart from its extensions of JSON and from numbers beyond floats."""
    try:
        document = json.loads(body.decode("utf-8", "replace"), parse_constant=float.fromhex, parse_int=float)
        return json.dumps(document, allow_nan=False) != ""
    except ValueError:
        return False


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "action",
        "whenExpression",
        "parameters",
        "targetSelectionCriteria",
        "kind",
        "name",
        "labelSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "indexSelector",
        "matchIndices",
    ]
)
ACTIONS = st.recursive(
    VALUES,
    lambda inner: st.dictionaries(FIELDS, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(ACTIONS)
def test_any_configuration_has_an_answer(actions):
    selection = read(WebhookRequest(b"{}", Headers(), {"actions": actions}))
    selection.targets(WAREHOUSES, tuple)
    response = selection.response((), ())
    assert response.status in {200, 500}
    assert isinstance(json.loads(response.body)["results"], list)


@pytest.mark.parametrize(
    ("requirement", "labels", "matches"),
    [
        (LabelRequirement("a", "In", ("x", "y")), {"a": "y"}, True),
        (LabelRequirement("a", "In", ("x",)), {}, False),
        (LabelRequirement("a", "NotIn", ("x",)), {}, True),
        (LabelRequirement("a", "NotIn", ("x",)), {"a": "x"}, False),
        (LabelRequirement("a", "Exists"), {"a": ""}, True),
        (LabelRequirement("example.com/a", "DoesNotExist"), {"a": ""}, True),
        (LabelRequirement("a", "In", ("",)), {"a": ""}, True),
    ],
)
def test_a_requirement_selects_labels_as_in_kubernetes(requirement, labels, matches):
    requirement.check()
    assert requirement.matches(labels) is matches


@pytest.mark.parametrize(
    "requirement",
    [
        LabelRequirement("a", "in", ("x",)),
        LabelRequirement("a", "In"),
        LabelRequirement("a", "Exists", ("x",)),
        LabelRequirement("", "Exists"),
        LabelRequirement("-a", "Exists"),
        LabelRequirement("a" * 64, "Exists"),
        LabelRequirement("Example.com/a", "Exists"),
        LabelRequirement("/a", "Exists"),
        LabelRequirement("example.com/", "Exists"),
        LabelRequirement("a", "In", ("x y",)),
        LabelRequirement("a", "In", ("x_",)),
    ],
)
def test_a_requirement_that_kubernetes_refuses_is_refused(requirement):
    with pytest.raises(InvalidLabelSelector):
        requirement.check()


def test_a_query_is_read_as_in_go():
    assert parse_query("a=1&b=%2B+&a=2&&c&=d&e=%zz&f=1;g=2&h=%ff") == {
        "a": [b"1", b"2"],
        "b": [b"+ "],
        "c": [b""],
        "": [b"d"],
        "h": [b"\xff"],
    }
