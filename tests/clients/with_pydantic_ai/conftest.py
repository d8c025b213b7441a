"""What every agent's test needs."""

import pytest

from agents import KINDS, Gateway


@pytest.fixture
def gateway(tidegate):
    return Gateway(tidegate)


def name(kind):
    return kind.upstream


def prepared(kind, tidegate):
    kind.model = tidegate.new_model(kind.provider, like=kind.like, max_output_tokens=64_000)
    return kind


@pytest.fixture(scope="module", params=KINDS, ids=name)
def kind(request, tidegate):
    """One way through the gateway, with a model of its own there."""
    return prepared(request.param, tidegate)


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind.streams_tell_cost], ids=name)
def kind_with_costs(request, tidegate):
    """One whose streams have a place for the cost."""
    return prepared(request.param, tidegate)
