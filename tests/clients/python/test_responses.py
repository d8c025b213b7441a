"""The OpenAI SDK's responses: passed through to a provider that speaks them, and translated for one that does not."""

import json
from decimal import Decimal

import openai
import pytest
from pydantic import BaseModel

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@pytest.fixture
def client(tidegate):
    return openai.OpenAI(
        base_url=f"{tidegate.gateway_url}/v1",
        api_key=tidegate.virtual_key,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture(scope="module", params=["sim-openai", "sim-anthropic"])
def model(tidegate, request):
    return tidegate.new_model(request.param)


def test_plain(client, model, simulator):
    raw = client.responses.with_raw_response.create(model=model.name, input="Hello", instructions="be brief")
    answer = raw.parse()
    assert answer.status == "completed" and "Hello" in answer.output_text
    assert answer.usage.input_tokens > 0 and answer.usage.total_tokens > answer.usage.input_tokens
    line = simulator.bill(raw.headers["x-tidegate-id"])[0]["usage"]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (line["input_tokens"], line["output_tokens"])


def test_the_call_is_recorded_as_it_was_billed(client, model, simulator, tidegate):
    raw = client.responses.with_raw_response.create(model=model.name, input="say 9 words")
    call_id = raw.headers["x-tidegate-id"]
    record, line = tidegate.record(call_id), simulator.bill(call_id)[0]
    assert record["surface"] == "openai_responses"
    for count in ("input_tokens", "output_tokens", "reasoning_tokens"):
        assert record[count] == line["usage"][count]
    assert Decimal(record["cost"]) * 10**9 == line["nano_usd"] > 0


def test_a_stream_has_every_event_of_the_grammar(client, model):
    events = list(client.responses.create(model=model.name, input="say 20 words", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text.split() == ["word"] * 20
    last = events[-1]
    assert last.type == "response.completed" and last.response.output_text == text
    assert last.response.usage.output_tokens >= 20


def test_the_stream_helper_gathers_the_answer(client, model):
    with client.responses.stream(model=model.name, input="say 5 words") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text.split() == ["word"] * 5


def test_the_provider_is_asked_in_its_own_words(client, model, simulator):
    client.responses.create(model=model.name, input="Hello")
    asked = simulator.requests(model)[-1]
    paths = {"sim-openai": "/openai/v1/responses", "sim-anthropic": "/anthropic/v1/messages"}
    assert asked["path"] == paths[asked["provider"]]


def test_a_limit_leaves_the_answer_incomplete(client, model):
    answer = client.responses.create(model=model.name, input="say 90 words", max_output_tokens=16)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_read_with_the_reasoning_sent_back(client, model, stream):
    def ask(items):
        more = {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}}
        answer = client.responses.create(model=model.name, input=items, tools=[TOOL], store=False, stream=stream, **more)
        return list(answer)[-1].response if stream else answer

    items = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = ask(items)
    call = next(item for item in first.output if item.type == "function_call")
    assert call.name == "get_weather" and "city" in json.loads(call.arguments)
    items += [item.model_dump(exclude_none=True, exclude={"status"}) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    assert "sunny" in ask(items).output_text


def test_structured_output(client, model):
    class Place(BaseModel):
        name: str
        population: int

    answer = client.responses.parse(model=model.name, input="Paris", text_format=Place)
    assert isinstance(answer.output_parsed, Place)


def test_what_only_one_provider_can_do_is_refused_by_name_elsewhere(client, tidegate):
    model = tidegate.new_model("sim-anthropic")
    for field, value in {"previous_response_id": "resp_1", "truncation": "auto", "background": True}.items():
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=model.name, input="x", **{field: value})
        assert caught.value.param == field


@pytest.mark.parametrize("ending", ["close", "error_event", "garbage"])
def test_a_stream_that_breaks_raises(client, model, simulator, ending):
    simulator.script({"when": {"model": model.upstream}, "then": {"cut_after_bytes": 4000, "ending": ending}})
    with pytest.raises(openai.APIError):
        for _ in client.responses.create(model=model.name, input="say 400 words", stream=True):
            pass


def test_a_conversation_moves_between_providers_with_its_reasoning(client, tidegate):
    models = [tidegate.new_model("sim-anthropic"), tidegate.new_model("sim-openai")] * 2
    items = []
    for model in models:
        items.append({"role": "user", "content": "say 3 words"})
        more = {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}}
        answer = client.responses.create(model=model.name, input=items, store=False, **more)
        assert answer.output_text == "word word word"
        items += [item.model_dump(exclude_none=True) for item in answer.output]


def test_a_conversation_is_made_shorter_where_the_provider_can(tidegate):
    # Not strict: the user's messages, which are in the answer, are not in the SDK's own types of output.
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)
    items = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    shorter = client.responses.compact(model=tidegate.new_model("sim-openai").name, input=items)
    assert shorter.object == "response.compaction"
    assert [item.type for item in shorter.output] == ["message", "compaction"]
    assert shorter.usage.total_tokens > 0
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.compact(model=tidegate.new_model("sim-anthropic").name, input=items)
    assert refused.value.param == "input"
