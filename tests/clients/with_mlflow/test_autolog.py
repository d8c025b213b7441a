"""What MLflow traces of calls through the gateway: with token counts, as the provider billed them.

Streams of the Anthropic SDK are left out: MLflow does not read them, wherever they come from.
"""

import asyncio

import anthropic
import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.gateway import gateway_provider


@pytest.fixture
def client(tidegate, traces):
    return openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)


@pytest.fixture
def messages(tidegate, traces):
    return anthropic.Anthropic(base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0).messages


def ask(text):
    return [{"role": "user", "content": text}]


def billed(simulator, model):
    [line] = simulator.bill(simulator.calls(model)[-1])
    return (line["usage"]["input_tokens"], line["usage"]["output_tokens"])


@pytest.mark.smoke
def test_chat(client, only, simulator, traces):
    answer = client.chat.completions.create(model=only.name, messages=ask("Hello"))
    assert "Hello" in answer.choices[0].message.content
    assert traces.tokens() == billed(simulator, only)
    assert "Completions" in [span.name for span in traces.last().data.spans]


@pytest.mark.smoke
def test_a_stream_that_asked_for_no_usage(client, only, simulator, traces):
    text = ""
    for chunk in client.chat.completions.create(model=only.name, messages=ask("say 20 words"), stream=True):
        # As in every vendor's examples: a chunk without choices would break this loop.
        text += chunk.choices[0].delta.content or ""
    assert text.split() == ["word"] * 20
    assert traces.tokens() == billed(simulator, only)


def test_a_stream_that_asked_for_usage(client, only, simulator, traces):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for _ in client.chat.completions.create(model=only.name, messages=ask("say 20 words"), **options):
        pass
    assert traces.tokens() == billed(simulator, only)


@pytest.mark.parametrize("stream", [False, True])
def test_responses(client, only, simulator, traces, stream):
    answer = client.responses.create(model=only.name, input="say 20 words", stream=stream)
    if stream:
        list(answer)
    assert traces.tokens() == billed(simulator, only)


@pytest.mark.smoke
def test_messages(messages, only, simulator, traces):
    answer = messages.create(model=only.name, max_tokens=200, messages=ask("Hello"))
    assert "Hello" in answer.content[0].text
    assert traces.tokens() == billed(simulator, only)


def test_embeddings_are_traced(client, tidegate, traces):
    assert client.embeddings.create(model=tidegate.embedding_model, input="a").data[0].embedding
    assert [span.name for span in traces.last().data.spans] == ["Embeddings"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
def test_agents(tidegate, simulator, traces, upstream, stream):
    model = tidegate.new_model(f"sim-{upstream}", max_output_tokens=64_000)
    provider = gateway_provider(upstream, api_key=tidegate.virtual_key, base_url=f"{tidegate.gateway_url}/proxy")
    kind = OpenAIChatModel if upstream == "openai" else AnthropicModel
    agent = Agent(kind(model.bare, provider=provider))

    async def run():
        if not stream:
            return (await agent.run("say 20 words")).output
        async with agent.run_stream("say 20 words") as answer:
            return await answer.get_output()

    assert asyncio.run(run()).split() == ["word"] * 20
    assert traces.tokens() == billed(simulator, model)


def test_a_refusal_leaves_a_trace_of_the_error(client, traces):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody/nothing", messages=ask("x"))
    assert traces.last().info.state == "ERROR"
