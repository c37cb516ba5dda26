"""Whether the environment turns traces on. The variables are OpenTelemetry's; its SDK reads the others itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from kargoweb.environment import Environment, text

PROTOCOL: Final = "http/protobuf"
PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def read_tracing(env: Environment) -> bool:
    """Return whether to trace. Reports to `env` what the environment requires and kargoweb doesn't have."""
    endpoints = [
        env.read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", text, secret=True),
        env.read("OTEL_EXPORTER_OTLP_ENDPOINT", "", text, secret=True),
    ]
    protocols = [
        env.read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "", _one_of(PROTOCOL)),
        env.read("OTEL_EXPORTER_OTLP_PROTOCOL", "", text),
    ]
    exporter = env.read("OTEL_TRACES_EXPORTER", "", _one_of("otlp", "none"))
    disabled = env.read("OTEL_SDK_DISABLED", "false", text)
    if disabled.lower() == "true" or exporter == "none" or not (exporter or any(endpoints)):
        return False
    if not protocols[0] and protocols[1] not in {"", PROTOCOL}:
        env.report(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocols[1]!r}; traces need {PROTOCOL}")
    if not all(map(_exists, PACKAGES)):
        env.report(
            "OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER turns traces on, but their packages are not "
            'installed; install kargoweb with its extra "otel", or set OTEL_SDK_DISABLED=true'
        )
    return True


def _exists(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # its parent isn't there
        return False


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return value

    return parse
