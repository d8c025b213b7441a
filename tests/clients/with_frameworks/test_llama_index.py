"""LlamaIndex's model for whatever is like OpenAI."""

import openai
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    name: str
    population: int


def connect(tidegate, model, key=None, **more):
    return OpenAILike(
        model=model,
        api_base=f"{tidegate.gateway_url}/v1",
        api_key=key or tidegate.virtual_key,
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=128_000,
        max_retries=0,
        **more,
    )


@pytest.fixture
def model(tidegate, only):
    return connect(tidegate, only.name)


def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"It is sunny in {city}."


WEATHER = FunctionTool.from_defaults(get_weather)


@pytest.mark.smoke
def test_plain(model, only, simulator):
    answer = model.chat([ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Hello")])
    assert "Hello" in answer.message.content
    [line] = simulator.bill(simulator.calls(only)[-1])
    assert answer.raw.usage.completion_tokens == line["usage"]["output_tokens"]


@pytest.mark.smoke
def test_streamed(model):
    pieces = [piece.delta for piece in model.stream_chat([ChatMessage(role="user", content="say 20 words")])]
    assert "".join(pieces).split() == ["word"] * 20 and len(pieces) > 1


def test_streamed_with_usage(tidegate, only, simulator):
    model = connect(tidegate, only.name, additional_kwargs={"stream_options": {"include_usage": True}})
    last = list(model.stream_chat([ChatMessage(role="user", content="say 20 words")]))[-1]
    [line] = simulator.bill(simulator.calls(only)[-1])
    assert last.raw.usage.completion_tokens == line["usage"]["output_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_read(model, stream):
    def ask(history):
        if stream:
            return list(model.stream_chat_with_tools([WEATHER], chat_history=history))[-1]
        return model.chat_with_tools([WEATHER], chat_history=history)

    history = [ChatMessage(role="user", content="What is the weather in Paris?")]
    first = ask(history)
    [call] = model.get_tool_calls_from_response(first)
    assert call.tool_name == "get_weather" and "city" in call.tool_kwargs
    result = WEATHER.call(**call.tool_kwargs)
    told = {"tool_call_id": call.tool_id, "name": call.tool_name}
    history += [first.message, ChatMessage(role="tool", content=str(result), additional_kwargs=told)]
    assert "sunny" in ask(history).message.content


def test_structured_output(model):
    assert isinstance(model.as_structured_llm(Place).complete("The place of Paris").raw, Place)


@pytest.mark.smoke
def test_errors_have_their_classes(tidegate, at_openai):
    with pytest.raises(openai.AuthenticationError):
        connect(tidegate, at_openai.name, key="wrong").complete("x")
    with pytest.raises(openai.NotFoundError):
        connect(tidegate, "nobody/nothing").complete("x")
