"""What the gateway refuses, in the classes in which pydantic-ai sorts errors."""

import pytest
from pydantic_ai import exceptions

from agents import VERSION, Gateway

UPSTREAMS = ("openai", "openai-chat", "anthropic", "google-cloud", "groq", "bedrock")
# Version 1 has one class, told apart by the status.
CLASSES = {401: "ModelAuthenticationError", 402: "ModelQuotaExceededError", 404: "ModelNotFoundError"}
CLASSES |= {429: "ModelRateLimitError"}


@pytest.fixture(scope="module", params=UPSTREAMS)
def upstream(request):
    return request.param


@pytest.fixture(scope="module")
def model(tidegate):
    """A model that everybody of them serves."""
    return tidegate.new_model("sim-openai", "sim-anthropic", "sim-gemini", "sim-bedrock", max_output_tokens=64_000)


def refused(status, tidegate, upstream, name, key=None):
    with pytest.raises(exceptions.ModelHTTPError) as error:
        Gateway(tidegate, key, retries=0).run(upstream, name, "x", model_settings={"max_tokens": 1000})
    assert error.value.status_code == status
    assert VERSION == 1 or isinstance(error.value, getattr(exceptions, CLASSES[status]))
    return error.value


@pytest.mark.smoke
def test_a_wrong_key_is_401(tidegate, upstream, model):
    refused(401, tidegate, upstream, model.bare, key="wrong")


def test_an_unknown_model_is_404(tidegate, upstream):
    assert "nothing-such" in str(refused(404, tidegate, upstream, "nothing-such"))


@pytest.mark.smoke
def test_a_used_up_budget_is_402_and_not_retried(tidegate, upstream, model, simulator):
    key = tidegate.key()
    budget = tidegate.budget(key["id"], "0.000001")
    before = len(simulator.calls(model))
    assert budget["name"] in str(refused(402, tidegate, upstream, model.bare, key=key["key"]))
    assert len(simulator.calls(model)) == before


def test_a_rate_limit_is_429(tidegate, upstream, model):
    key = tidegate.key(limits={"requests_per_minute": 1})["key"]
    assert Gateway(tidegate, key).run(upstream, model.bare, "x").output
    refused(429, tidegate, upstream, model.bare, key=key)


def test_a_route_that_does_not_exist_is_404(tidegate, model):
    with pytest.raises(exceptions.ModelHTTPError) as error:
        Gateway(tidegate).run("openai-chat", model.bare, "x", route="nowhere")
    assert error.value.status_code == 404 and "nowhere" in str(error.value)
