"""LiteLLM's own price list comes with it: it is not to be fetched."""

import os

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

@pytest.fixture(autouse=True)
def every_call_is_charged_as_it_is_billed(request):
    """Whatever a test asks of the model that one provider serves: its calls' records say what the bill says."""
    if "only" not in request.fixturenames:
        yield
        return
    model, tidegate, simulator = (request.getfixturevalue(name) for name in ("only", "tidegate", "simulator"))
    seen = len(simulator.calls(model))
    yield
    tidegate.charged_as_billed(simulator, simulator.calls(model)[seen:])
