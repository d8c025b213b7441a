"""The OpenAI SDK: plain, streamed, tools, structured output, models, typed errors."""

import json

import openai
import pytest
from pydantic import BaseModel


@pytest.fixture
def client(tidegate):
    return openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)


def ask(text):
    return [{"role": "user", "content": text}]


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_plain(client, tidegate):
    raw = client.chat.completions.with_raw_response.create(model=tidegate.model, messages=ask("Hello"))
    answer = raw.parse()
    assert "Hello" in answer.choices[0].message.content
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert raw.headers["x-request-id"].startswith("gen_")
    assert raw.headers["x-tidegate-id"] == raw.headers["x-request-id"]
    openai.types.chat.ChatCompletion.model_validate(json.loads(raw.text), strict=False)


def test_a_stream_nobody_asked_usage_for_has_a_choice_in_every_chunk(client, tidegate):
    chunks = list(client.chat.completions.create(model=tidegate.model, messages=ask("say 20 words"), stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.split() == ["word"] * 20
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens >= 20


def test_a_stream_that_asked_for_usage_gets_the_standard_chunk(client, tidegate):
    stream = client.chat.completions.create(
        model=tidegate.model, messages=ask("say 5 words"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens >= 5


def test_a_tool_is_called_and_its_result_is_read(client, tidegate):
    messages = ask("What is the weather in Paris?")
    first = client.chat.completions.create(model=tidegate.model, messages=messages, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    second = client.chat.completions.create(model=tidegate.model, messages=messages, tools=[TOOL])
    assert "sunny" in second.choices[0].message.content


def test_streamed_tools(client, tidegate):
    stream = client.chat.completions.create(
        model=tidegate.model, messages=ask("weather in Rome?"), tools=[TOOL], stream=True
    )
    arguments = "".join(c.function.arguments or "" for chunk in stream for c in chunk.choices[0].delta.tool_calls or [])
    assert "city" in json.loads(arguments)


def test_structured_output(client, tidegate):
    class Place(BaseModel):
        name: str
        population: int

    answer = client.chat.completions.parse(model=tidegate.model, messages=ask("Paris"), response_format=Place)
    assert isinstance(answer.choices[0].message.parsed, Place)


def test_models(client, tidegate):
    assert tidegate.model in [model.id for model in client.models.list()]


def test_a_wrong_key_is_401(tidegate):
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=tidegate.model, messages=ask("x"))


def test_an_unknown_model_is_404_and_names_the_nearest(client, tidegate):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model=tidegate.model + "x", messages=ask("x"))
    assert error.value.body["type"] == "model_not_found"
    assert tidegate.model in str(error.value)


def test_a_used_up_budget_is_402(tidegate):
    key = tidegate.key()
    tidegate.budget(key["id"], "0.000001")
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=key["key"], max_retries=0)
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(model=tidegate.model, messages=ask("x"), max_tokens=1000)
    assert error.value.status_code == 402
    assert error.value.body["type"] == "quota_for_entity_exceeded"


def test_a_rate_limit_is_429_with_retry_after(tidegate):
    key = tidegate.key(limits={"requests_per_minute": 1})
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=key["key"], max_retries=0)
    client.chat.completions.create(model=tidegate.model, messages=ask("x"))
    with pytest.raises(openai.RateLimitError) as error:
        client.chat.completions.create(model=tidegate.model, messages=ask("x"))
    assert int(error.value.response.headers["retry-after"]) >= 1
    assert error.value.body["type"] == "rate_limit_exceeded"


def test_a_malformed_request_is_400_and_names_the_field(client, tidegate):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=tidegate.model, messages="no list")
    assert "messages" in str(error.value)


def test_the_call_reaches_the_usage_report(client, tidegate):
    client.chat.completions.create(model=tidegate.model, messages=ask("count me"))
    for _ in range(1200):
        rows = tidegate.admin("GET", "/usage?group_by=model")["data"]
        if sum(row["request_count"] for row in rows) > 0:
            break
        import time

        time.sleep(0.1)
    assert any(float(row["total_cost"]) > 0 for row in rows)
