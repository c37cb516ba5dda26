"""The receiver kinds."""

from kargoweb import upstream_settings
from receivers.kargo.kinds import KINDS


def test_docker_hub_is_supported():
    assert KINDS["dockerhub"].title == "Docker Hub"
    assert KINDS["dockerhub"].secret_key == "secret"


def test_kinds_are_keyed_by_name():
    assert all(kind.name == name for name, kind in KINDS.items())


def test_the_configuration_knows_the_same_kinds():
    assert upstream_settings.KINDS - {"all"} == set(KINDS)
