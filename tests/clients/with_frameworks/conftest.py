"""What every framework's test needs beside the common."""

import pytest


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
