"""A replay of watches that were recorded on a real Kargo (main of 2026-08-21), in `stages-watch.jsonl`.

Each line is an event with the scene that it belongs to. The order between kinds is that of their arrival from four
separate watches. What equals the last event of an object was replaced by `(unchanged)`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from receivers.kargo.resources import decode_config
from receivers.kargo.stage_progress import Pipeline, assess_journey
from receivers.kargo.stage_states import StageJourney
from receivers.kargo.stages import decode_freight_status, decode_promotion, decode_stage

RECORDED = Path(__file__).with_name("stages-watch.jsonl")
UNCHANGED = "(unchanged)"


class Replay:
    """The objects after each event."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        self.now = datetime.min

    def scenes(self, *wanted: str) -> Iterator[tuple[str, str]]:
        """Apply the events up to the last wanted scene; yield scene and project after each event of those."""
        for line in RECORDED.read_text().splitlines():
            event = json.loads(line)
            if event["scene"] not in wanted and _number(event["scene"]) > max(map(_number, wanted)):
                return
            self._apply(event)
            if event["scene"] in wanted:
                yield event["scene"], event["namespace"]

    def _apply(self, event: dict[str, Any]) -> None:
        key, known = (event["namespace"], event["name"]), self.objects[event["kind"]]
        raw, before = event["object"], known.get(key, {})
        raw["metadata"] |= {"namespace": key[0], "name": key[1]}
        for holder, old in ((raw, before), (raw.get("status", {}), before.get("status", {}))):
            holder |= {field: old.get(field) for field, value in holder.items() if value == UNCHANGED}
        known[key] = raw
        self.now = datetime.fromisoformat(event["at"])

    def pipeline(self, project: str) -> Pipeline:
        """Return what is known of a project now."""
        promotions: dict[str, list[Any]] = defaultdict(list)
        for raw in self._of("Promotion", project):
            promotion = decode_promotion(raw)
            promotions[promotion.stage].append(promotion)
        configs = [decode_config(raw) for raw in self._of("ProjectConfig", project)]
        return Pipeline(
            stages={raw["metadata"]["name"]: decode_stage(raw) for raw in self._of("Stage", project)},
            freight={
                raw["metadata"]["name"]: decode_freight_status(raw) for raw in self._of("Freight", project)
            },
            promotions={
                stage: sorted(theirs, key=lambda promotion: promotion.name)
                for stage, theirs in promotions.items()
            },
            policies=configs[0].promotion_policies if configs else (),
            now=self.now,
        )

    def journey(self, project: str, tag: str) -> StageJourney | None:
        """Return how far the Freight with a tag is, or None if there is none yet."""
        pipeline = self.pipeline(project)
        freight = [item for item in pipeline.freight.values() if item.known_as.tag == tag]
        return assess_journey(pipeline, freight[0]) if freight else None

    def _of(self, kind: str, project: str) -> list[dict[str, Any]]:
        return [raw for (namespace, _), raw in self.objects[kind].items() if namespace == project]


def _number(scene: str) -> tuple[int, str]:
    digits = scene.rstrip("abcd")
    return int(digits), scene[len(digits) :]
