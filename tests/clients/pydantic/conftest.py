"""pydantic-ai's gateway provider, of whichever version is installed, pointed at `/proxy` of a running gateway."""

import asyncio
import importlib.metadata

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.models import infer_model
from pydantic_ai.providers.gateway import gateway_provider

VERSION = int(importlib.metadata.version("pydantic-ai-slim").split(".")[0])


class Kind:
    """What an agent calls: its way through the gateway, who answers there, how the makers' models are named."""

    def __init__(self, upstream, provider, like):
        self.upstream, self.provider, self.like = upstream, provider, like


KINDS = [
    Kind("openai", "sim-openai", "openai/gpt-5-"),
    Kind("openai-chat", "sim-openai", "openai/gpt-5-"),
    Kind("openai-responses", "sim-openai", "openai/gpt-5-"),
    Kind("anthropic", "sim-anthropic", "anthropic/claude-sonnet-4-5-"),
    Kind("google-cloud", "sim-gemini", "google/gemini-2.5-flash-"),
    Kind("groq", "sim-openai", "groq/llama-3.3-70b-versatile-"),
]


class Gateway:
    """Agents that call through the gateway."""

    def __init__(self, tidegate, key=None):
        self.tidegate, self.key = tidegate, key or tidegate.virtual_key
        self.base_url = f"{tidegate.gateway_url}/proxy"

    def model(self, upstream, name, route=None):
        def provider(_):
            return gateway_provider(upstream, route=route, api_key=self.key, base_url=self.base_url)

        return infer_model(f"gateway/{upstream}:{name}", provider_factory=provider)

    def run(self, upstream, name, prompt, route=None, **more):
        return asyncio.run(Agent(self.model(upstream, name, route), **more).run(prompt))

    def stream(self, upstream, name, prompt, **more):
        async def collect():
            async with Agent(self.model(upstream, name), **more).run_stream(prompt) as answer:
                pieces = [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]
                return pieces, usage(answer)

        return asyncio.run(collect())


def usage(answer):
    """Version 1 has a method where version 2 has a property."""
    return answer.usage() if VERSION == 1 else answer.usage


@pytest.fixture
def gateway(tidegate):
    return Gateway(tidegate)


@pytest.fixture(scope="module", params=KINDS, ids=[kind.upstream for kind in KINDS])
def kind(request, tidegate):
    kind = request.param
    kind.model = tidegate.new_model(kind.provider, like=kind.like, max_output_tokens=64_000)
    return kind
