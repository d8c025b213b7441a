"""Each upstream kind of pydantic-ai's gateway: plain, streamed, tools, structured output, what it costs."""

import asyncio

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, Embedder

from agents import VERSION, usage


class Place(BaseModel):
    name: str
    population: int


def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"It is sunny, says the weather of {city}."


def costs_what_was_billed(answer, kind, simulator, since):
    """Version 1 knows no costs."""
    billed = simulator.billed(kind.model)[since:]
    assert sum(billed) > 0
    if VERSION > 1:
        assert usage(answer).cost == sum(billed)


@pytest.fixture
def seen(kind, simulator):
    return len(simulator.billed(kind.model))


@pytest.mark.smoke
def test_plain(gateway, kind, simulator, seen):
    answer = gateway.run(kind.upstream, kind.model.bare, "Hello", system_prompt="Be brief.")
    assert "Hello" in answer.output
    [call] = simulator.calls(kind.model)[seen:]
    [line] = simulator.bill(call)
    assert usage(answer).input_tokens == line["usage"]["input_tokens"]
    assert usage(answer).output_tokens == line["usage"]["output_tokens"]
    costs_what_was_billed(answer, kind, simulator, seen)


@pytest.mark.smoke
def test_streamed(gateway, kind, simulator, seen):
    pieces, used = gateway.stream(kind.upstream, kind.model.bare, "say 20 words")
    assert "".join(pieces).split() == ["word"] * 20 and len(pieces) > 1
    [call] = simulator.calls(kind.model)[seen:]
    [line] = simulator.bill(call)
    told = (used.input_tokens, used.output_tokens)
    assert told == (line["usage"]["input_tokens"], line["usage"]["output_tokens"])


def test_usage_that_comes_as_groq_tells_it(gateway, kind, simulator):
    """Whichever client asks: the provider's stream has its usage where only Groq puts it."""
    if kind.provider != "sim-openai":
        pytest.skip("no stream of OpenAI's chat completions")
    simulator.script({"when": {"model": kind.model.upstream}, "then": {"usage_in_x_groq": True}})
    seen = len(simulator.calls(kind.model))
    _, used = gateway.stream(kind.upstream, kind.model.bare, "say 5 words")
    [call] = simulator.calls(kind.model)[seen:]
    [line] = simulator.bill(call)
    assert (used.input_tokens, used.output_tokens) == (line["usage"]["input_tokens"], line["usage"]["output_tokens"])


def test_a_stream_tells_its_cost(gateway, kind_with_costs, simulator):
    kind = kind_with_costs
    seen = len(simulator.billed(kind.model))
    _, used = gateway.stream(kind.upstream, kind.model.bare, "say 5 words")
    [billed] = simulator.billed(kind.model)[seen:]
    assert billed > 0
    if VERSION > 1:
        assert used.cost == billed


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_read(gateway, kind, simulator, seen, stream):
    prompt, tools = "What is the weather in Paris?", [get_weather]
    if stream:
        pieces, _ = gateway.stream(kind.upstream, kind.model.bare, prompt, tools=tools)
        text = "".join(pieces)
    else:
        answer = gateway.run(kind.upstream, kind.model.bare, prompt, tools=tools)
        text = answer.output
        assert usage(answer).requests == 2 and usage(answer).tool_calls == 1
        costs_what_was_billed(answer, kind, simulator, seen)
    assert "sunny" in text
    assert len(simulator.billed(kind.model)[seen:]) == 2


def test_structured_output(gateway, kind):
    answer = gateway.run(kind.upstream, kind.model.bare, "The final result for Paris", output_type=Place)
    assert isinstance(answer.output, Place)


def test_a_conversation_goes_on(gateway, kind):
    async def talk():
        agent = Agent(gateway.model(kind.upstream, kind.model.bare), tools=[get_weather])
        first = await agent.run("What is the weather in Paris?")
        return await agent.run("say 3 words", message_history=first.all_messages())

    assert asyncio.run(talk()).output.split() == ["word"] * 3


def test_many_agents_at_once(gateway, kind):
    async def one(agent, count):
        return len((await agent.run(f"say {count} words")).output.split())

    async def all_of_them():
        agent = Agent(gateway.model(kind.upstream, kind.model.bare))
        return await asyncio.gather(*[one(agent, count) for count in range(3, 13)])

    assert asyncio.run(all_of_them()) == list(range(3, 13))


@pytest.mark.smoke
def test_embeddings(gateway, tidegate):
    from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel

    provider = gateway.provider("openai")
    embedder = Embedder(OpenAIEmbeddingModel(tidegate.embedding_model, provider=provider))
    answer = asyncio.run(embedder.embed_documents(["a", "b"]))
    assert len(answer.embeddings) == 2 and answer.embeddings[0] != answer.embeddings[1]
    assert answer.usage.input_tokens > 0


def test_a_route_of_the_organization_leads_to_its_targets(gateway, tidegate, simulator):
    model = tidegate.new_model("sim-openai", "sim-anthropic", like="openai/gpt-5-")
    name = f"route-{model.upstream}"
    target = {"model": model.name, "providers": ["sim-anthropic"], "weight": 1}
    tidegate.admin("POST", "/routes?wait=fleet", {"name": name, "targets": [target]})
    answer = gateway.run("openai-chat", model.bare, "Hello", route=name)
    assert "Hello" in answer.output
    assert simulator.requests(model)[-1]["provider"] == "sim-anthropic"
