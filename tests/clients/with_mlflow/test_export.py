"""Traces that the gateway itself brings to a real MLflow server: tokens, cost, attempts, and no content."""

import time
import uuid

import mlflow
import openai
import pytest

CANARY = "canary-4f1b9c"


@pytest.fixture
def exported(tidegate, server):
    """The traces that the gateway exports into an experiment of the test's own."""
    mlflow.set_tracking_uri(server)
    experiment = mlflow.set_experiment(f"export-{uuid.uuid4()}").experiment_id
    headers = {"x-mlflow-experiment-id": experiment}
    body = {"name": f"mlflow-{experiment}", "url": f"{server}/v1/traces", "headers": headers}
    exporter = tidegate.admin("POST", "/exporters", body)
    yield Exported(tidegate, exporter["id"], experiment)
    tidegate.admin("DELETE", f"/exporters/{exporter['id']}")


class Exported:
    def __init__(self, tidegate, exporter, experiment):
        self.tidegate, self.id, self.experiment = tidegate, exporter, experiment

    def of(self, call_id):
        """The trace with the span of this call; it comes after the call."""
        deadline = time.monotonic() + 120
        while True:
            for trace in mlflow.search_traces(locations=[self.experiment], return_type="list"):
                if any(span.attributes.get("tidegate.call_id") == call_id for span in trace.data.spans):
                    return trace
            assert time.monotonic() < deadline, str(self.tidegate.admin("GET", f"/exporters/{self.id}"))
            time.sleep(0.3)


def call(tidegate, model, headers=None):
    """The id of a call."""
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)
    question = [{"role": "user", "content": f"Hello {CANARY}"}]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=question, extra_headers=headers)
    return raw.headers["x-tidegate-id"]


@pytest.mark.smoke
def test_tokens_and_cost_of_a_call_are_there_as_it_was_charged_and_nothing_of_what_was_said(
    tidegate, only, exported
):
    call_id = call(tidegate, only.name)
    trace, record = exported.of(call_id), tidegate.record(call_id)
    used = trace.info.token_usage
    assert (used["input_tokens"], used["output_tokens"]) == (record["input_tokens"], record["output_tokens"])
    assert used["input_tokens"] > 0 and used["output_tokens"] > 0
    assert trace.info.cost["total_cost"] == pytest.approx(float(record["cost"])) and float(record["cost"]) > 0
    assert trace.info.state == "OK"
    [whole, attempt] = sorted(trace.data.spans, key=lambda span: span.parent_id is not None)
    assert whole.name == f"chat {only.name}" and whole.span_type == "CHAT_MODEL"
    assert attempt.parent_id == whole.span_id and attempt.attributes["tidegate.provider"] == only.provider
    assert whole.attributes["tidegate.cost_usd"] == record["cost"]
    assert CANARY not in trace.to_json() and "Hello" not in trace.to_json()
    shown = tidegate.admin("GET", f"/exporters/{exported.id}")
    assert shown["sent"] >= 1 and shown["dropped"] == 0 and shown["last_error"] is None


@pytest.mark.smoke
def test_a_call_is_below_the_span_of_its_caller(tidegate, at_openai, exported):
    with mlflow.start_span("the caller's own") as span:
        trace, parent = mlflow.get_current_active_span().trace_id, span.span_id
        parent_of = f"00-{trace.removeprefix('tr-')}-{parent}-01"
        call_id = call(tidegate, at_openai.name, {"traceparent": parent_of})
    assert tidegate.record(call_id)["trace"] == parent_of
    found = exported.of(call_id)
    [own] = [span for span in found.data.spans if span.attributes.get("tidegate.call_id") == call_id]
    assert (found.info.trace_id, own.parent_id) == (trace, parent)
    assert "the caller's own" in [span.name for span in found.data.spans]


@pytest.mark.smoke
def test_a_failed_call_is_a_failed_span(tidegate, simulator, exported):
    model = tidegate.new_model("sim-openai")
    simulator.script({"when": {"model": model.upstream}, "then": {"status": 400}})
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=model.name, messages=[{"role": "user", "content": CANARY}])
    trace = exported.of(error.value.response.headers["x-tidegate-id"])
    assert trace.info.state == "ERROR"
    assert "400" in [span.attributes.get("error.type") for span in trace.data.spans]
    assert CANARY not in trace.to_json()
