"""Names that differ by a typing error or two are found."""

import random

import pytest

from receivers.kargo.similar_names import COMPARED, similar_names

KNOWN = "acme/payments-api"


@pytest.mark.parametrize(
    "name",
    [
        "acme/payment-api",
        "acme/payments-apis",
        "acme/payments_api",
        "acme/pyaments-api",
        "amce/payments-api",
        "acme/payment-apii",
    ],
)
def test_a_typing_error_is_similar(name):
    assert similar_names(name, ("acme/web", KNOWN, "other/payments")) == (KNOWN,)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (KNOWN, KNOWN),
        ("acme/orders-api", KNOWN),
        ("acme/pay-api", KNOWN),
        ("api", "ape-x"),
        ("x/y", "x"),
        ("a", "b"),
        ("", "a"),
        ("x" * 256, "x" * 255),
    ],
)
def test_other_names_are_not(name, known):
    assert similar_names(name, (known,)) == ()


def test_only_the_closest_names_are_returned():
    assert similar_names("acme/app-one", ("acme/app-two", "acme/app-on", "acme/app-ones")) == (
        "acme/app-on",
        "acme/app-ones",
    )


def test_only_so_many_names_are_compared():
    others = [f"acme/{number:08}" for number in range(COMPARED)]
    assert similar_names("acme/payment-api", (*others, KNOWN)) == ()


@pytest.mark.parametrize("run", range(20))
def test_two_edits_at_any_place_are_found(run):
    letters = list(KNOWN)
    for _ in range(2):
        at = random.randrange(len(letters))
        random.choice([lambda at=at: letters.insert(at, "x"), lambda at=at: letters.pop(at)])()
    name = "".join(letters)
    assert name == KNOWN or similar_names(name, (KNOWN,)) == (KNOWN,)
