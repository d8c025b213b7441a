"""The Anthropic SDK: plain, streamed, tools, thinking, typed errors; to either provider's dialect."""

import anthropic
import pytest

TOOL = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def client(tidegate):
    return anthropic.Anthropic(base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0)


def ask(text):
    return [{"role": "user", "content": text}]


def test_plain(client, tidegate):
    raw = client.messages.with_raw_response.create(model=tidegate.model, max_tokens=100, messages=ask("Hello"))
    answer = raw.parse()
    assert "Hello" in answer.content[0].text and answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
    assert raw.headers["request-id"].startswith("gen_")


def test_the_output_limit_is_obeyed(client, tidegate):
    answer = client.messages.create(model=tidegate.model, max_tokens=3, messages=ask("say 50 words"))
    assert answer.stop_reason == "max_tokens" and answer.usage.output_tokens <= 3


def test_streamed(client, tidegate):
    with client.messages.stream(model=tidegate.model, max_tokens=100, messages=ask("say 10 words")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text.split() == ["word"] * 10
    assert final.stop_reason == "end_turn" and final.usage.output_tokens >= 10


def test_a_tool_is_called_and_its_result_is_read(client, tidegate):
    messages = ask("What is the weather in Paris?")
    first = client.messages.create(model=tidegate.model, max_tokens=200, messages=messages, tools=[TOOL])
    call = next(block for block in first.content if block.type == "tool_use")
    assert call.name == "get_weather" and "city" in call.input
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=tidegate.model, max_tokens=200, messages=messages, tools=[TOOL])
    assert "sunny" in second.content[0].text


def test_all_ways_to_sign_in(tidegate):
    key = tidegate.virtual_key
    # Old SDKs send `x-api-key`, new ones a bearer token; the same key in both is one key.
    for options in (
        {"api_key": key},
        {"api_key": None, "auth_token": key},
        {"api_key": key, "default_headers": {"x-api-key": key, "authorization": f"Bearer {key}"}},
    ):
        client = anthropic.Anthropic(base_url=tidegate.gateway_url, max_retries=0, **options)
        assert client.messages.create(model=tidegate.model, max_tokens=10, messages=ask("x")).content


def test_two_different_keys_are_refused(tidegate):
    headers = {"x-api-key": tidegate.virtual_key, "authorization": "Bearer other"}
    client = anthropic.Anthropic(
        base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0, default_headers=headers
    )
    with pytest.raises(anthropic.AuthenticationError, match="two different"):
        client.messages.create(model=tidegate.model, max_tokens=10, messages=ask("x"))


def test_a_wrong_key_is_401(tidegate):
    client = anthropic.Anthropic(base_url=tidegate.gateway_url, api_key="wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model=tidegate.model, max_tokens=10, messages=ask("x"))


def test_an_unknown_model_is_404(client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nobody/nothing", max_tokens=10, messages=ask("x"))


def test_a_used_up_budget_is_402(tidegate):
    key = tidegate.key()
    tidegate.budget(key["id"], "0.000001")
    client = anthropic.Anthropic(base_url=tidegate.gateway_url, api_key=key["key"], max_retries=0)
    with pytest.raises(anthropic.APIStatusError) as error:
        client.messages.create(model=tidegate.model, max_tokens=1000, messages=ask("x"))
    assert error.value.status_code == 402 and error.value.body["error"]["type"] == "billing_error"


def test_a_rate_limit_is_429_with_retry_after(tidegate):
    key = tidegate.key(limits={"requests_per_minute": 1})
    client = anthropic.Anthropic(base_url=tidegate.gateway_url, api_key=key["key"], max_retries=0)
    client.messages.create(model=tidegate.model, max_tokens=10, messages=ask("x"))
    with pytest.raises(anthropic.RateLimitError) as error:
        client.messages.create(model=tidegate.model, max_tokens=10, messages=ask("x"))
    assert int(error.value.response.headers["retry-after"]) >= 1
