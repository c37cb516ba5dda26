"""`manage.py promote kargo-demo prod`: promote Freight to a Stage of the running demo."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.paths import DemoPaths
from receivers.cluster.client import KubernetesClient, connect
from receivers.cluster.errors import ClusterError, NotFound, Rejected
from receivers.kargo.resources import FREIGHTS
from receivers.kargo.stage_availability import missing_for
from receivers.kargo.stage_progress import newest_first
from receivers.kargo.stages import (
    PROMOTIONS,
    STAGES,
    FreightStatus,
    Stage,
    decode_freight_status,
    decode_stage,
)


class Command(BaseCommand):
    """Create a Promotion, as the button in Kargo's UI does."""

    requires_system_checks = ()  # they would load the application
    help = "Promote Freight to a Stage of the demo: create a Promotion, as the button in Kargo's UI does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="for example kargo-demo")
        parser.add_argument("stage", help="for example prod")
        parser.add_argument(
            "freight",
            nargs="?",
            default="",
            help="alias, name (or its beginning) or tag (default: the newest that is available)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        paths = DemoPaths(settings.KARGOWEB.data_dir.resolve() / "demo")
        project, stage = options["project"], options["stage"]
        try:
            with closing(connect(str(paths.kubeconfig))) as cluster:
                freight = _choose(cluster, project, stage, options["freight"])
                body = {
                    "apiVersion": PROMOTIONS.api_version,
                    "kind": PROMOTIONS.kind,
                    "metadata": {"generateName": "promo-"},
                    "spec": {"stage": stage, "freight": freight.name},
                }
                created = cluster.create(PROMOTIONS, body, project)
        except NotFound as error:
            raise CommandError(f"{project} has no Stage {stage}") from error
        except Rejected as error:
            raise CommandError(str(error)) from error
        except ClusterError as error:
            raise CommandError(f"The demo is not running (start it with `make run`): {error}") from error
        name = freight.known_as
        self.stdout.write(f"Promoting {name.alias or name.label} ({name.tag or 'no tag'}) to {stage}:")
        self.stdout.write(f"  {created['metadata']['name']}")


def _choose(cluster: KubernetesClient, project: str, stage_name: str, wanted: str) -> FreightStatus:
    """Return the Freight that is meant. Raises CommandError if there is none."""
    stages = {
        stage.name: stage
        for page in cluster.list_pages(STAGES, project, item=decode_stage)
        for stage in page.items
    }
    stage = stages.get(stage_name) or decode_stage(cluster.get(STAGES, stage_name, project))
    freight = [
        freight
        for page in cluster.list_pages(FREIGHTS, project, item=decode_freight_status)
        for freight in page.items
        if stage.request(freight.warehouse) is not None
    ]
    matching = [
        candidate
        for candidate in freight
        if (_is_meant(candidate, wanted) if wanted else _is_available(candidate, stage, stages))
    ]
    if not matching:
        what = f"no Freight {wanted}" if wanted else "no available Freight"
        raise CommandError(f"{project} has {what} for Stage {stage_name}")
    return max(matching, key=newest_first)


def _is_meant(freight: FreightStatus, wanted: str) -> bool:
    if freight.alias == wanted or freight.name.startswith(wanted):
        return True
    return any(artifact.tag == wanted for artifact in freight.artifacts)


def _is_available(freight: FreightStatus, stage: Stage, stages: dict[str, Stage]) -> bool:
    request = stage.request(freight.warehouse)
    return request is not None and missing_for(freight, stage, request, stages, datetime.now(UTC)) is None
