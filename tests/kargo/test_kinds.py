"""The table of the kinds of receiver."""

from receivers.kargo.kinds import KARGO_KINDS, KINDS


def test_docker_hub_is_spoken():
    assert KINDS["dockerhub"].title == "Docker Hub"
    assert KINDS["dockerhub"].secret_key == "secret"


def test_kinds_are_found_under_their_names():
    assert all(kind.name == name for name, kind in KINDS.items())


def test_every_kind_that_is_spoken_is_one_of_kargos():
    assert set(KINDS) <= set(KARGO_KINDS)
    assert len(set(KARGO_KINDS)) == 10
