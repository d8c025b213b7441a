"""LangChain's OpenAI and Anthropic models."""

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    name: str
    population: int


@tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"It is sunny in {city}."


def chat(tidegate, model, key, **more):
    return ChatOpenAI(model=model, base_url=f"{tidegate.gateway_url}/v1", api_key=key, max_retries=0, **more)


def responses(tidegate, model, key, **more):
    return chat(tidegate, model, key, use_responses_api=True, **more)


def messages(tidegate, model, key, **more):
    return ChatAnthropic(model=model, base_url=tidegate.gateway_url, api_key=key, max_retries=0, **more)


WAYS = (chat, responses, messages)


@pytest.fixture(params=WAYS, ids=[way.__name__ for way in WAYS])
def way(request):
    return request.param


@pytest.fixture
def model(way, tidegate, only):
    return way(tidegate, only.name, tidegate.virtual_key)


def billed(simulator, model):
    [line] = simulator.bill(simulator.calls(model)[-1])
    return (line["usage"]["input_tokens"], line["usage"]["output_tokens"])


def used(answer):
    return (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"])


@pytest.mark.smoke
def test_plain(model, only, simulator):
    answer = model.invoke([("system", "Be brief."), ("human", "Hello")])
    assert "Hello" in answer.text and used(answer) == billed(simulator, only)


@pytest.mark.smoke
def test_streamed(model, only, simulator):
    whole = None
    for chunk in model.stream("say 20 words"):
        whole = chunk if whole is None else whole + chunk
    assert whole.text.split() == ["word"] * 20
    assert used(whole) == billed(simulator, only)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_read(model, stream):
    bound = model.bind_tools([get_weather])

    def ask(history):
        if not stream:
            return bound.invoke(history)
        whole = None
        for chunk in bound.stream(history):
            whole = chunk if whole is None else whole + chunk
        return whole

    history = [HumanMessage("What is the weather in Paris?")]
    first = ask(history)
    [call] = first.tool_calls
    assert call["name"] == "get_weather" and "city" in call["args"]
    history += [first, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert "sunny" in ask(history).text


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(model, method):
    assert isinstance(model.with_structured_output(Place, method=method).invoke("The place of Paris"), Place)


def test_a_batch(model):
    answers = model.batch([f"say {count} words" for count in range(3, 11)])
    assert [len(answer.text.split()) for answer in answers] == list(range(3, 11))


@pytest.mark.smoke
def test_errors_have_their_classes(way, tidegate, at_openai):
    module = anthropic if way is messages else openai
    with pytest.raises(module.AuthenticationError):
        way(tidegate, at_openai.name, "wrong").invoke("x")
    with pytest.raises(module.NotFoundError):
        way(tidegate, "nobody/nothing", tidegate.virtual_key).invoke("x")
    key = tidegate.key()
    tidegate.budget(key["id"], "0.000001")
    with pytest.raises(module.APIStatusError) as error:
        way(tidegate, at_openai.name, key["key"], max_tokens=1000).invoke("x")
    assert error.value.status_code == 402


def test_embeddings(tidegate):
    # It counts tokens itself, with tables that it would fetch, unless told not to.
    embeddings = OpenAIEmbeddings(
        model=tidegate.embedding_model,
        base_url=f"{tidegate.gateway_url}/v1",
        api_key=tidegate.virtual_key,
        check_embedding_ctx_length=False,
    )
    first, second = embeddings.embed_documents(["a", "b"])
    assert first != second and first == pytest.approx(embeddings.embed_query("a"))
