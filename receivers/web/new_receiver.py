"""New receiver: what to apply, as YAML and as commands, or applied by kargoweb; then the wait for the first push."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import yaml
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Action, require_permission
from receivers.cluster.errors import ClusterError
from receivers.controller.receiver_setup import (
    GENERIC,
    NewReceiver,
    ReceiverExists,
    SecretExists,
    create_receiver,
    may_create,
    random_secret,
    read_config,
    receivers_of,
)
from receivers.deliveries import statistics
from receivers.deliveries.form_fields import AS_TYPED, ShortTextField, SubdomainField
from receivers.health.provider_pages import PROVIDERS
from receivers.kargo.coverage import DOCKER_HUB
from receivers.kargo.expressions import EvaluationFailed
from receivers.kargo.expressions.parser import parse
from receivers.kargo.kinds import KINDS
from receivers.kargo.scopes import CLUSTER_SCOPE, CLUSTER_SCOPE_NAME, parse_scope, scope_name
from receivers.models import NAME_LENGTH
from receivers.web import live_fragments
from receivers.web.links import registration_url
from receivers.web.page_view import PageRequest, page_view
from receivers.web.receiver_rows import receiver_rows
from receivers.web.registrations import checklists

REGISTRATION: Final = "registration"
DEFAULT_EXPRESSION: Final = "normalizeImage(request.body.repository.url)"
END_OF_EXPRESSION: Final = "}}"  # even in a string of the expression
SUFFIX: Final = "-webhook"  # of the Secret's name


def _validate_expression(text: str) -> None:
    if END_OF_EXPRESSION in text:
        raise ValidationError(f"can't contain {END_OF_EXPRESSION}")
    try:
        parse(text)
    except EvaluationFailed as error:
        raise ValidationError(f"isn't a valid expression: {error}") from None


class NewReceiverForm(forms.Form):
    """A receiver to create. `do` is the button: `apply`, or anything else to show what to apply."""

    project = forms.ChoiceField(
        label="Project", error_messages={"invalid_choice": "doesn't exist, or you can't add a receiver to it"}
    )
    kind = forms.ChoiceField(
        label="Provider",
        choices=[(name, kind.title) for name, kind in KINDS.items()],
        widget=forms.RadioSelect,
        initial=DOCKER_HUB,
        required=False,
    )
    name = SubdomainField(label="Name", required=False)
    secret = SubdomainField(label="Secret", required=False)
    repository = ShortTextField(
        label="Repository",
        required=False,
        widget=forms.TextInput({"placeholder": DEFAULT_EXPRESSION, **AS_TYPED}),
    )
    do = forms.CharField(required=False)

    def __init__(
        self, request: PageRequest, data: Mapping[str, Any] | None, initial: Mapping[str, Any]
    ) -> None:
        super().__init__(data, initial=dict(initial), auto_id="new-%s")
        names = sorted({project.name for project in request.runtime.cache.projects()})
        choices = [(name, name) for name in names if request.access.may(Action.TEST_FIRE, name)]
        if request.access.may(Action.TEST_FIRE, CLUSTER_SCOPE):
            choices.append((CLUSTER_SCOPE_NAME, "Cluster (all projects)"))
        self.fields["project"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField

    def clean_repository(self) -> str:
        """Return the expression for the repository; empty for kinds that have none. Raises `ValidationError`."""
        text = str(self.cleaned_data["repository"]) if self.cleaned_data.get("kind") == GENERIC else ""
        if text:
            _validate_expression(text)
        return text

    @property
    def new_receiver(self) -> NewReceiver:
        """Return the receiver of a valid form."""
        project = parse_scope(self.cleaned_data["project"])
        kind = self.cleaned_data["kind"] or DOCKER_HUB
        name = self.cleaned_data["name"] or kind
        return NewReceiver(
            project,
            name,
            self.cleaned_data["secret"] or f"{name[: NAME_LENGTH - len(SUFFIX)]}{SUFFIX}",
            project or settings.KARGOWEB.system_namespace,
            kind,
            self.cleaned_data["repository"] or (DEFAULT_EXPRESSION if kind == GENERIC else ""),
        )


@dataclass(frozen=True, slots=True)
class Manifests:
    """What to apply. `before` and `after` enclose what is `added` to the configuration; `secret` is a Secret."""

    secret: str
    before: str
    added: str
    after: str
    commands: str
    note: str = ""

    @property
    def yaml(self) -> str:
        """Return the complete YAML."""
        return f"{self.secret}---\n{self.before}{self.added}{self.after}"


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def new_receiver(request: PageRequest) -> HttpResponse:
    """Show the form. On POST, show what to apply for it, or apply it and redirect to the wait for its first push.

    Raise `PermissionDenied` if the user can't add receivers to any project.
    """
    if request.access.projects_with(Action.TEST_FIRE) == frozenset():
        raise PermissionDenied
    initial = {"project": request.GET.get("project", "")}
    form = NewReceiverForm(request, request.POST if request.method == "POST" else None, initial)
    context: dict[str, Any] = {"form": form, "scope": _scope(form)}
    if request.method != "POST" or not form.is_valid():
        return render(request, "receivers/new.html", context)
    new = form.new_receiver
    require_permission(request, Action.TEST_FIRE, new.project)
    allowed = settings.KARGOWEB.create_receivers and request.access.may(Action.CREATE_RECEIVER, new.project)
    if form.cleaned_data["do"] == "apply":
        require_permission(request, Action.CREATE_RECEIVER, new.project)
        if allowed and _apply(request, new, form):
            return redirect(registration_url(new.project, new.name))
    context["new"], context["provider"] = new, PROVIDERS[new.kind]
    context["manifests"], existing = _manifests(request, new)
    if existing:
        form.add_error("name", "already exists")
    context["may_apply"] = allowed and _is_permitted(request, new)
    context["switched_off"] = not settings.KARGOWEB.create_receivers
    context["registration_url"] = registration_url(new.project, new.name)
    return render(request, "receivers/new.html", context)


def _scope(form: NewReceiverForm) -> str | None:
    """Return the project that is selected ("" for the cluster), None if it is none of the choices."""
    selected = form["project"].value()
    choices = {value for value, _ in form.fields["project"].choices}  # type: ignore[attr-defined]  # a ChoiceField
    return parse_scope(selected) if selected in choices else None


def _apply(request: PageRequest, new: NewReceiver, form: NewReceiverForm) -> bool:
    """Create the receiver and return True, or add the reason to the form."""
    where = f"ProjectConfig {new.project}" if new.project else "the ClusterConfig"
    try:
        create_receiver(request.runtime.cache.cluster(), new)
    except ReceiverExists:
        form.add_error("name", f"already exists in {where}")
    except SecretExists:
        form.add_error(
            "secret",
            f"already exists in namespace {new.secret_namespace}; choose another name, so that nothing is overwritten",
        )
    except ClusterError as error:
        form.add_error(
            None,
            f"The receiver could not be created: {error}. Nothing that existed was changed. If Secret {new.secret} was"
            " created, delete it or choose another name for the next attempt.",
        )
    else:
        audit.record(
            request,
            Action.CREATE_RECEIVER,
            project=new.project,
            receiver=new.name,
            detail=f"Secret {new.secret}",
        )
        messages.success(request, f"Created receiver {new.name} and Secret {new.secret}.")
        return True
    return False


def _is_permitted(request: PageRequest, new: NewReceiver) -> bool:
    try:
        return may_create(request.runtime.cache.cluster(), new)
    except ClusterError:
        return False


def _manifests(request: PageRequest, new: NewReceiver) -> tuple[Manifests, bool]:
    """Return what to apply, with a new random secret, and whether the receiver exists."""
    note, config = "", None
    try:
        config = read_config(request.runtime.cache.cluster(), new)
    except ClusterError as error:
        note = f"The existing configuration could not be read ({error}), so its other receivers are missing here."
    existing = receivers_of(config)
    spec = dict((config or {}).get("spec") or {})
    spec.pop("webhookReceivers", None)
    head = (
        _yaml(new.config_object(spec)) if spec else _yaml(new.config_object({})).replace("spec: {}", "spec:")
    )
    if not spec and "spec:" not in head:
        head += "spec:\n"
    listed = "".join(_indented(_yaml([entry])) for entry in existing)
    return Manifests(
        secret=_yaml(new.secret_object(random_secret())),
        before=f"{head}  webhookReceivers:\n{listed}",
        added=_indented(_yaml([new.entry])),
        after="",
        commands=_commands(new, exists=config is not None, has_receivers=bool(existing)),
        note=note,
    ), any(isinstance(entry, Mapping) and entry.get("name") == new.name for entry in existing)


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, width=1000, allow_unicode=True))


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _commands(new: NewReceiver, *, exists: bool, has_receivers: bool) -> str:
    """Return the kubectl commands that create the receiver. They add to the list without replacing it."""
    secret, namespace = shlex.quote(new.secret), shlex.quote(new.secret_namespace)
    key = KINDS[new.kind].secret_key
    lines = [
        f"kubectl create secret generic {secret} -n {namespace} \\",
        f"  --from-literal={key}=\"$(openssl rand -base64 48 | tr -d '=+/\\n' | head -c 32)\"",
        f"kubectl label secret {secret} -n {namespace} kargo.akuity.io/cred-type=generic",
    ]
    scope = f" -n {shlex.quote(new.project)}" if new.project else ""
    if exists:
        path, value = ("/-", new.entry) if has_receivers else ("", [new.entry])
        operation = [{"op": "add", "path": f"/spec/webhookReceivers{path}", "value": value}]
        patch = shlex.quote(orjson.dumps(operation).decode())
        lines.append(f"kubectl patch {new.resource.plural} {new.config_name}{scope} --type=json -p {patch}")
    else:
        body = _yaml(new.config_object({"webhookReceivers": [new.entry]}))
        lines.append(f"kubectl create -f - <<'EOF'\n{body}EOF")
    return "\n".join(lines)


@page_view
@require_safe
def registration(request: PageRequest, name: str, receiver: str) -> HttpResponse:
    """Show the URL of a new receiver and the repositories to register it in, until pushes arrive."""
    require_permission(request, Action.SEE, name)
    cache = request.runtime.cache
    config = cache.config(name)
    existing = [(name, each.name) for each in config.receivers] if config else []
    last = statistics.last_deliveries([name], existing, pushes=True) if existing else {}
    rows = receiver_rows(config, last, upstream=request.runtime.intake.upstream)
    row = next((each for each in rows if each.name == receiver), None)
    if row is not None:
        lists = checklists(name, [receiver], cache.warehouses(name or None))
        row = replace(row, checklist=lists.get(receiver))
    context = {
        "name": name,
        "provider": PROVIDERS.get(row.kind if row else DOCKER_HUB),
        "scope": scope_name(name),
        "receiver_name": receiver,
        "receiver": row,
        "may_reveal": request.access.may(Action.REVEAL_URL, name),
        "may_fire": request.access.may(Action.TEST_FIRE, name),
    }
    part = live_fragments.render_fragment(request, "receivers/_registration.html", context)
    if request.htmx.target == REGISTRATION:
        return live_fragments.respond(request, part)
    return render(request, "receivers/registration.html", context | {"part": part})
