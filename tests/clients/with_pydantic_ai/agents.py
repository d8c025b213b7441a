"""pydantic-ai's gateway provider, of whichever version is installed, pointed at `/proxy` of a running gateway."""

import asyncio
import importlib.metadata

from pydantic_ai import Agent
from pydantic_ai.models import infer_model
from pydantic_ai.providers.gateway import gateway_provider

import tls

VERSION = int(importlib.metadata.version("pydantic-ai-slim").split(".")[0])


class Kind:
    """What an agent calls: its way through the gateway, who answers there, how makers name such models."""

    def __init__(self, upstream, provider, like):
        self.upstream, self.provider, self.like = upstream, provider, like
        # Google's and Bedrock's streams could tell the cost in the head only, before it is known.
        self.streams_tell_cost = upstream not in ("google-cloud", "bedrock")


KINDS = [
    Kind("openai", "sim-openai", "openai/gpt-5-"),
    Kind("openai-chat", "sim-openai", "openai/gpt-5-"),
    Kind("openai-responses", "sim-openai", "openai/gpt-5-"),
    Kind("anthropic", "sim-anthropic", "anthropic/claude-sonnet-4-5-"),
    Kind("google-cloud", "sim-gemini", "google/gemini-2.5-flash-"),
    Kind("groq", "sim-openai", "groq/llama-3.3-70b-versatile-"),
    Kind("bedrock", "sim-bedrock", "amazon/nova-micro-"),
]


class Gateway:
    """Agents that call through the gateway."""

    def __init__(self, tidegate, key=None, retries=None):
        self.key, self.retries = key or tidegate.virtual_key, retries
        self.gateway_url = tidegate.gateway_url
        self.base_url = f"{tidegate.gateway_url}/proxy"

    def provider(self, upstream, route=None):
        base_url = self.base_url
        if upstream == "bedrock":
            base_url = tls.in_front_of(self.gateway_url) + "/proxy"
        provider = gateway_provider(upstream, route=route, api_key=self.key, base_url=base_url)
        if self.retries is not None and hasattr(provider.client, "max_retries"):
            provider.client.max_retries = self.retries
        return provider

    def model(self, upstream, name, route=None):
        return infer_model(f"gateway/{upstream}:{name}", provider_factory=lambda _: self.provider(upstream, route))

    def run(self, upstream, name, prompt, route=None, **more):
        return asyncio.run(Agent(self.model(upstream, name, route), **more).run(prompt))

    def stream(self, upstream, name, prompt, **more):
        """The pieces that came, and what was used."""

        async def collect():
            async with Agent(self.model(upstream, name), **more).run_stream(prompt) as answer:
                pieces = [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]
                return pieces, usage(answer)

        return asyncio.run(collect())


def usage(answer):
    """Version 1 has a method where version 2 has a property."""
    return answer.usage() if VERSION == 1 else answer.usage
