"""Providers that fail in every class, as both SDKs see it, with one provider and with two."""

from decimal import Decimal

import pytest
from test_refusals import SDKS, Sdk


@pytest.fixture(params=SDKS, ids=["openai", "anthropic"])
def sdk(request, tidegate):
    return Sdk(request.param, tidegate)


@pytest.fixture(params=["sim-openai", "sim-anthropic"])
def alone(request, tidegate):
    """A model at one provider only."""
    return tidegate.new_model(request.param)


@pytest.fixture
def twice(tidegate):
    """A model at two providers."""
    return tidegate.new_model("sim-openai", "sim-anthropic")


# What the provider does, and the status that the caller gets.
CLASSES = {
    "bad request": ({"status": 400}, 400),
    "our credential": ({"status": 401}, 502),
    "no permission": ({"status": 403}, 502),
    "not found": ({"status": 404}, 404),
    "rate limit": ({"status": 429, "headers": {"retry-after": "7"}}, 429),
    "broken": ({"status": 500}, 500),
    "gateway": ({"status": 502}, 502),
    "overloaded": ({"status": 529}, 529),
    "closed before the head": ({"cut_after_bytes": 0, "ending": "close"}, 502),
    "reset before the head": ({"cut_after_bytes": 0, "ending": "reset"}, 502),
    "closed in the midst": ({"cut_after_bytes": 60, "ending": "close"}, 502),
    "reset in the midst": ({"cut_after_bytes": 60, "ending": "reset"}, 502),
}
FAULTS = {name: fault for name, (fault, _) in CLASSES.items()}


@pytest.mark.parametrize("name", CLASSES)
def test_a_failing_provider_alone(sdk, alone, simulator, name):
    fault, status = CLASSES[name]
    simulator.script({"when": {"model": alone.upstream}, "then": fault})
    error = sdk.refusal(model=alone.name)
    assert error.status_code == status
    assert sdk.kind_of_any(error)
    assert error.response.headers["x-tidegate-id"].startswith("gen_")
    if name == "rate limit":
        assert isinstance(error, sdk.module.RateLimitError) and error.response.headers["retry-after"] == "7"
    if name == "overloaded" and not sdk.is_openai:
        assert error.body["error"]["type"] == "overloaded_error"
    # The words about our sign-in are not the caller's business.
    assert "API key" not in str(error)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("bad request", "not found")])
def test_the_other_provider_answers(sdk, twice, simulator, name, stream):
    if name.endswith("in the midst") and stream:
        pytest.skip("after the first event there is no way back")
    first = {"when": {"model": twice.upstream}, "times": 1, "then": FAULTS[name]}
    simulator.script(first)
    answer = sdk.call(model=twice.name, text="Hello", stream=stream)
    assert "Hello" in sdk.text(answer, stream)
    assert {entry["provider"] for entry in simulator.requests(twice)} == {"sim-openai", "sim-anthropic"}


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_request_at_fault_is_not_tried_elsewhere(sdk, twice, simulator, status):
    simulator.script({"when": {"model": twice.upstream}, "then": {"status": status}})
    assert sdk.refusal(model=twice.name).status_code == status
    assert len(simulator.requests(twice)) == 1


def test_when_all_fail_each_is_asked_at_most_once_more(sdk, twice, simulator):
    simulator.script({"when": {"model": twice.upstream}, "then": {"status": 500}})
    assert sdk.refusal(model=twice.name).status_code == 500
    assert 2 <= len(simulator.requests(twice)) <= 3


@pytest.mark.parametrize("ending", ["close", "reset", "error_event", "garbage"])
def test_a_stream_that_breaks_off_is_never_shown_as_complete(sdk, alone, simulator, ending):
    fault = {"cut_after_bytes": 2500, "ending": ending}
    simulator.script({"when": {"model": alone.upstream}, "then": fault})
    seen = []
    with pytest.raises(sdk.module.APIError):
        for event in sdk.call(model=alone.name, text="say 200 words", stream=True):
            seen.append(event)
    assert seen, "something came before"
    if sdk.is_openai:
        assert all(chunk.choices[0].finish_reason is None for chunk in seen)
    else:
        assert all(event.type not in ("message_delta", "message_stop") for event in seen)


def test_an_error_as_first_event_goes_to_the_other_provider(sdk, twice, simulator):
    fault = {"cut_after_bytes": 0, "ending": "error_event"}
    simulator.script({"when": {"model": twice.upstream}, "times": 1, "then": fault})
    assert "Hello" in sdk.text(sdk.call(model=twice.name, text="Hello", stream=True), True)


def test_a_provider_that_stalls_is_left_for_the_other_one(sdk, twice, simulator, tidegate):
    fault = {"cut_after_bytes": 0, "ending": "stall"}
    simulator.script({"when": {"model": twice.upstream}, "times": 1, "then": fault})
    route = f"route-{twice.upstream}"
    targets = [{"model": twice.name, "weight": 1}]
    body = {"name": route, "targets": targets, "attempt_timeout_ms": 3000}
    tidegate.admin("POST", "/routes?wait=fleet", body)
    assert "Hello" in sdk.text(sdk.call(model=route, text="Hello"), False)


def test_a_stalled_provider_and_an_impatient_caller(sdk, alone, simulator):
    simulator.script({"when": {"model": alone.upstream}, "then": {"cut_after_bytes": 0, "ending": "stall"}})
    with pytest.raises(sdk.module.APITimeoutError):
        sdk.call(model=alone.name, timeout=0.5)


@pytest.mark.parametrize("stream", [False, True])
def test_missing_usage_is_estimated_not_forgotten(sdk, alone, simulator, tidegate, stream):
    simulator.script({"when": {"model": alone.upstream}, "then": {"omit_usage": True, "hidden_reasoning": False}})
    assert "word" in sdk.text(sdk.call(model=alone.name, text="say 50 words", stream=stream), stream)
    call_id = simulator.requests(alone)[-1]["call_id"]
    [line] = simulator.bill(call_id)
    assert Decimal(tidegate.record(call_id)["cost"]) * 10**9 >= line["nano_usd"] > 0


def test_the_sdks_own_retries_end_well(sdk, alone, simulator):
    simulator.script({"when": {"model": alone.upstream}, "times": 3, "then": {"status": 429}})
    # Three refusals: three calls of the SDK, whose third one meets the fourth answer.
    assert sdk.call(model=alone.name, text="Hello", retries=3)
