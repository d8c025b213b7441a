"""LiteLLM's SDK by each of its roads to a gateway: Vercel's, OpenAI's, its own proxy's, Anthropic's."""

import json

import litellm
import pytest

litellm.suppress_debug_info = True
litellm.telemetry = False

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
# The prefix of the model's name, and what the base URL ends with.
ROADS = {"vercel_ai_gateway": "/v1", "openai": "/v1", "litellm_proxy": "", "anthropic": ""}


def ask(text):
    return [{"role": "user", "content": text}]


class Road:
    def __init__(self, prefix, tidegate):
        self.prefix, self.tidegate = prefix, tidegate

    def complete(self, model, messages, key=None, **more):
        return litellm.completion(
            f"{self.prefix}/{model}",
            messages,
            api_base=self.tidegate.gateway_url + ROADS[self.prefix],
            api_key=key or self.tidegate.virtual_key,
            max_retries=0,
            **more,
        )


@pytest.fixture(params=ROADS)
def road(request, tidegate):
    return Road(request.param, tidegate)


@pytest.fixture
def vercel(tidegate):
    return Road("vercel_ai_gateway", tidegate)


def usage_of(answer):
    return (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def billed(simulator, model):
    [line] = simulator.bill(simulator.calls(model)[-1])
    return (line["usage"]["input_tokens"], line["usage"]["output_tokens"])


@pytest.mark.smoke
def test_plain(road, only, simulator):
    answer = road.complete(only.name, ask("Hello"))
    assert "Hello" in answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert usage_of(answer) == billed(simulator, only)


@pytest.mark.smoke
def test_streamed(road, only, simulator):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(road.complete(only.name, ask("say 20 words"), **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.split() == ["word"] * 20
    assert usage_of(litellm.stream_chunk_builder(chunks)) == billed(simulator, only)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_read(road, only, stream):
    def call(messages):
        answer = road.complete(only.name, messages, tools=[TOOL], stream=stream)
        return litellm.stream_chunk_builder(list(answer)) if stream else answer

    messages = ask("What is the weather in Paris?")
    message = call(messages).choices[0].message
    [asked] = message.tool_calls
    assert asked.function.name == "get_weather" and "city" in json.loads(asked.function.arguments)
    messages += [message.model_dump(), {"role": "tool", "tool_call_id": asked.id, "content": "sunny"}]
    assert "sunny" in call(messages).choices[0].message.content


def test_structured_output(road, only):
    form = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
    answer = road.complete(only.name, ask("Paris"), response_format=form)
    assert "name" in json.loads(answer.choices[0].message.content)


@pytest.mark.smoke
def test_errors_have_their_classes(road, tidegate, at_openai):
    with pytest.raises(litellm.AuthenticationError):
        road.complete(at_openai.name, ask("x"), key="wrong")
    with pytest.raises(litellm.NotFoundError):
        road.complete("nobody/nothing", ask("x"))


def test_a_used_up_budget_is_402(road, tidegate, at_openai):
    key = tidegate.key()
    budget = tidegate.budget(key["id"], "0.000001")
    kinds = (litellm.APIError, litellm.exceptions.PaymentRequiredError)
    with pytest.raises(kinds) as error:
        road.complete(at_openai.name, ask("x"), key=key["key"], max_tokens=1000)
    assert error.value.status_code == 402 and budget["name"] in str(error.value)


def test_a_rate_limit_is_429(road, tidegate, at_openai):
    key = tidegate.key(limits={"requests_per_minute": 1})["key"]
    road.complete(at_openai.name, ask("x"), key=key)
    with pytest.raises(litellm.RateLimitError):
        road.complete(at_openai.name, ask("x"), key=key)


def test_options_of_the_gateway_stay_here(vercel, only, simulator):
    options = {"gateway": {"order": [only.provider], "tags": ["x"]}}
    for more in ({"providerOptions": options}, {"extra_body": {"providerOptions": options}}):
        assert vercel.complete(only.name, ask("x"), **more).choices
    assert all("providerOptions" not in entry["body"] for entry in simulator.requests(only))


@pytest.mark.smoke
@pytest.mark.parametrize("prefix", ["vercel_ai_gateway", "openai"])
def test_embeddings(prefix, tidegate):
    answer = litellm.embedding(
        f"{prefix}/{tidegate.embedding_model}",
        ["a", "b"],
        api_base=f"{tidegate.gateway_url}/v1",
        api_key=tidegate.virtual_key,
    )
    first, second = (row["embedding"] for row in answer.data)
    assert first != second and all(isinstance(value, float) for value in first)
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_responses_by_way_of_chat(tidegate, only, stream):
    options = {"api_base": f"{tidegate.gateway_url}/v1", "api_key": tidegate.virtual_key}
    answer = litellm.responses(model=f"vercel_ai_gateway/{only.name}", input="say 5 words", stream=stream, **options)
    if stream:
        text = "".join(event.delta for event in answer if event.type == "response.output_text.delta")
    else:
        text = answer.output[0].content[0].text
    assert text.split() == ["word"] * 5


def test_messages_by_way_of_chat(tidegate, only):
    options = {"api_base": f"{tidegate.gateway_url}/v1", "api_key": tidegate.virtual_key}
    answer = litellm.anthropic.messages.create(
        model=f"vercel_ai_gateway/{only.name}", max_tokens=100, messages=ask("say 5 words"), **options
    )
    assert answer["content"][0]["text"].split() == ["word"] * 5 and answer["usage"]["output_tokens"] >= 5


def test_the_models_are_listed(tidegate):
    from litellm.llms.vercel_ai_gateway.chat.transformation import VercelAIGatewayConfig

    names = VercelAIGatewayConfig().get_models(api_key=tidegate.virtual_key, api_base=f"{tidegate.gateway_url}/v1")
    assert any(tidegate.model in name for name in names)
