"""Choose aliases for Freight as Kargo does: an adjective and an animal, such as `frosty-panda`."""

from __future__ import annotations

import secrets
from collections.abc import Container
from typing import Final

_ADJECTIVES: Final = (  # noqa: SIM905 - words read better without ninety pairs of quotes
    "agile amber ancient azure bold brave breezy bright brisk calm candid clever cosmic crisp curious daring dapper"
    " eager early earnest elegant fancy fearless fluffy fond frosty gentle giddy gilded glad golden graceful handsome"
    " happy hardy hasty honest humble icy jaunty jolly jovial keen kind lively loyal lucky mellow merry mighty misty"
    " modest nimble noble opal patient plucky polite proud quick quiet rapid regal rosy rustic salty serene sharp shiny"
    " silent silver sleek smart snappy solar spry steady stout sunny swift tidy tranquil trusty upbeat vivid warm wily"
    " windy wise witty zany zesty"
).split()
_ANIMALS: Final = (  # noqa: SIM905 - as above
    "albatross alpaca anteater antelope badger bat beaver bison bobcat camel capybara caribou cheetah chinchilla cod"
    " condor cougar coyote crane cricket dingo dolphin donkey eagle egret elk falcon ferret finch flamingo fox gazelle"
    " gecko gibbon giraffe gopher grouse gull hare hawk hedgehog heron hippo horse ibex ibis iguana impala jackal"
    " jaguar jay kestrel kiwi koala lark lemur leopard llama lobster lynx macaw magpie manatee marmot marten meerkat"
    " mole moose narwhal newt ocelot octopus orca osprey otter owl panda panther parrot pelican penguin pika puffin"
    " puma quail rabbit raven salmon seal sloth sparrow squid stoat stork swan tapir tern tiger toucan turtle walrus"
    " weasel wombat wren yak zebra"
).split()


def new_alias(in_use: Container[str]) -> str:
    """Return a random alias that is not `in_use`."""
    while (alias := f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_ANIMALS)}") in in_use:
        pass
    return alias
