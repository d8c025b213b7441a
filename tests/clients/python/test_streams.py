"""Many streams at once, callers who leave, and both SDKs' asynchronous clients."""

import asyncio
import time
from decimal import Decimal

import anthropic
import openai
import pytest


def clients(tidegate):
    return (
        openai.AsyncOpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0),
        anthropic.AsyncAnthropic(base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0),
    )


def ask(text):
    return [{"role": "user", "content": text}]


def test_twenty_streams_at_once_do_not_mix(tidegate, only, simulator):
    simulator.script({"when": {"model": only.upstream}, "then": {"chunk_delay_ms": 5}})

    async def by_openai(client, words):
        stream = await client.chat.completions.create(
            model=only.name, messages=ask(f"say {words} words"), stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        return len(text.split())

    async def by_anthropic(client, words):
        options = {"model": only.name, "max_tokens": 500, "messages": ask(f"say {words} words")}
        async with client.messages.stream(**options) as stream:
            return len((await stream.get_final_text()).split())

    async def run():
        one, other = clients(tidegate)
        calls = [by_openai(one, 20 + i) if i % 2 else by_anthropic(other, 20 + i) for i in range(20)]
        return await asyncio.gather(*calls)

    assert asyncio.run(run()) == [20 + i for i in range(20)]


@pytest.mark.parametrize("surface", ["openai", "anthropic"])
def test_a_caller_who_leaves_is_charged_at_least_what_was_streamed(tidegate, only, simulator, surface):
    simulator.script({"when": {"model": only.upstream}, "then": {"chunk_delay_ms": 10}})
    seen = 0
    if surface == "openai":
        client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)
        raw = client.chat.completions.with_streaming_response
        options = {"model": only.name, "messages": ask("say 300 words"), "stream": True}
    else:
        client = anthropic.Anthropic(base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0)
        raw = client.messages.with_streaming_response
        options = {"model": only.name, "max_tokens": 1000, "messages": ask("say 300 words"), "stream": True}
    with raw.create(**options) as answer:
        call_id = answer.headers["x-tidegate-id"]
        for line in answer.iter_lines():
            seen += "word" in line
            if seen == 20:
                break
    # The worst provider bills the whole answer; it is read on, so that both know the same.
    deadline = time.monotonic() + 120
    while not simulator.bill(call_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    [line] = simulator.bill(call_id)
    record = tidegate.record(call_id)
    assert line["usage"]["output_tokens"] >= 300
    assert Decimal(record["cost"]) * 10**9 == line["nano_usd"], record


def test_completed_calls_cost_what_the_provider_bills(tidegate, only, simulator):
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)
    for stream in (False, True):
        raw = client.chat.completions.with_raw_response.create(
            model=only.name, messages=ask("say 40 words"), stream=stream
        )
        if stream:
            list(raw.parse())
        call_id = raw.headers["x-tidegate-id"]
        record = tidegate.record(call_id)
        [line] = simulator.bill(call_id)
        assert Decimal(record["cost"]) * 10**9 == line["nano_usd"]
        assert record["status"] == 200 and len(record["attempts"]) == 1


def test_the_answer_names_a_simulated_provider(tidegate):
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key)
    raw = client.chat.completions.with_raw_response.create(model=tidegate.model, messages=ask("x"))
    assert raw.headers["x-tidegate-simulated"] == "true"


def test_the_sdks_async_clients(tidegate, only):
    async def run():
        one, other = clients(tidegate)
        chat = await one.chat.completions.create(model=only.name, messages=ask("Hello"))
        message = await other.messages.create(model=only.name, max_tokens=50, messages=ask("Hello"))
        return chat.choices[0].message.content, message.content[0].text

    assert all("Hello" in text for text in asyncio.run(run()))
