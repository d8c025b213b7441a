"""The OpenAI SDK's features, to a provider of either dialect. Every answer must pass strict validation."""

import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def tool(name, **parameters):
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}", "parameters": schema}}


WEATHER, TIME = tool("get_weather", city="string"), tool("local_time", city="string", summer="boolean")


@pytest.fixture
def client(tidegate):
    return openai.OpenAI(
        base_url=f"{tidegate.gateway_url}/v1",
        api_key=tidegate.virtual_key,
        max_retries=0,
        _strict_response_validation=True,
    )


def ask(text):
    return [{"role": "user", "content": text}]


def test_plain(client, only):
    answer = client.chat.completions.create(model=only.name, messages=ask("Hello"))
    assert answer.choices[0].finish_reason == "stop" and "Hello" in answer.choices[0].message.content
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


def test_an_unguarded_loop_over_a_stream(client, only):
    stream = client.chat.completions.create(model=only.name, messages=ask("say 30 words"), stream=True)
    text, last = "", None
    for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        last = chunk
    assert text.split() == ["word"] * 30
    assert last.choices[0].finish_reason == "stop" and last.usage.completion_tokens >= 30


def test_a_stream_with_the_usage_that_was_asked_for(client, only):
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model=only.name, messages=ask("say 3 words"), stream=True, stream_options=options
    )
    chunks = list(stream)
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens >= 3
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_at_the_start_and_later(client, only, role):
    messages = [
        {"role": role, "content": "Be brief."},
        {"role": role, "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": role, "content": "Now speak French."},
        {"role": "user", "content": "Bonjour"},
    ]
    answer = client.chat.completions.create(model=only.name, messages=messages)
    assert "Bonjour" in answer.choices[0].message.content


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_output_limit(client, only, name):
    answer = client.chat.completions.create(model=only.name, messages=ask("say 50 words"), **{name: 5})
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens <= 5


@pytest.mark.parametrize("stop", ["simulated", ["never seen", "simulated"]])
@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequences(client, only, stop, stream):
    answer = client.chat.completions.create(model=only.name, messages=ask("x"), stop=stop, stream=stream)
    if stream:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason == "stop"
    else:
        text = answer.choices[0].message.content
    assert text == "This is a "


def test_parallel_tools_and_their_results(client, only):
    messages = ask("What are weather and time in Paris?")
    tools = [WEATHER, TIME]
    first = client.chat.completions.create(model=only.name, messages=messages, tools=tools).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "local_time"]
    assert json.loads(calls[1].function.arguments)["summer"] is True
    messages += [first.message]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": f"result {i}"} for i, call in enumerate(calls)]
    second = client.chat.completions.create(model=only.name, messages=messages, tools=tools)
    assert second.choices[0].message.content == "The tool said: result 1"
    # The conversation goes on, with a question after the results.
    messages += [second.choices[0].message, {"role": "user", "content": "Thank you"}]
    third = client.chat.completions.create(model=only.name, messages=messages, tools=tools)
    assert "Thank you" in third.choices[0].message.content


def test_parallel_tools_streamed(client, only):
    with client.chat.completions.stream(
        model=only.name, messages=ask("weather and time in Rome?"), tools=[WEATHER, TIME]
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "local_time"]
    assert all("city" in json.loads(call.function.arguments) for call in calls)


@pytest.mark.parametrize(
    "choice, names",
    [
        ("required", ["get_weather"]),
        ("none", []),
        ("auto", []),
        ({"type": "function", "function": {"name": "local_time"}}, ["local_time"]),
    ],
)
def test_tool_choice(client, only, choice, names):
    answer = client.chat.completions.create(
        model=only.name, messages=ask("Hello"), tools=[WEATHER, TIME], tool_choice=choice
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == names


def test_one_tool_at_a_time(client, only):
    answer = client.chat.completions.create(
        model=only.name, messages=ask("weather and time?"), tools=[WEATHER, TIME], parallel_tool_calls=False
    )
    assert len(answer.choices[0].message.tool_calls) == 1


class Place(BaseModel):
    name: str
    population: int
    kind: Literal["city", "village"]


def test_structured_output(client, only):
    answer = client.chat.completions.parse(model=only.name, messages=ask("Paris"), response_format=Place)
    assert answer.choices[0].message.parsed.name == "Paris"


def test_structured_output_streamed(client, only):
    with client.chat.completions.stream(model=only.name, messages=ask("Rome"), response_format=Place) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed.kind == "city"


def test_strict_tools(client, only):
    answer = client.chat.completions.parse(
        model=only.name, messages=ask("use place"), tools=[openai.pydantic_function_tool(Place, name="place")]
    )
    assert isinstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, Place)


def test_images(client, only):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    answer = client.chat.completions.create(model=only.name, messages=ask(parts))
    assert answer.usage.prompt_tokens > 500


def test_several_answers(client, at_openai, at_anthropic, tidegate):
    answer = client.chat.completions.create(model=at_openai.name, messages=ask("x"), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    chunks = client.chat.completions.create(model=at_openai.name, messages=ask("x"), n=2, stream=True)
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}
    # Where one of two providers cannot, the other one answers.
    assert len(client.chat.completions.create(model=tidegate.model, messages=ask("x"), n=2).choices) == 2
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=at_anthropic.name, messages=ask("x"), n=2)
    assert error.value.body["param"] == "n"


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_shown_where_the_provider_shows_it(client, at_anthropic, stream):
    answer = client.chat.completions.create(
        model=at_anthropic.name, messages=ask("x"), reasoning_effort="high", stream=stream
    )
    if stream:
        deltas = [chunk.choices[0].delta for chunk in answer]
        thought = "".join(getattr(delta, "reasoning", None) or "" for delta in deltas)
        said = "".join(delta.content or "" for delta in deltas)
    else:
        thought, said = answer.choices[0].message.reasoning, answer.choices[0].message.content
    assert "thought" in thought and "simulated answer" in said


def test_the_history_of_a_reasoning_answer_goes_back(client, at_anthropic):
    messages = ask("What is the weather?")
    options = {"model": at_anthropic.name, "tools": [WEATHER], "reasoning_effort": "low"}
    first = client.chat.completions.create(messages=messages, **options).choices[0].message
    messages += [first, {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "rain"}]
    assert "rain" in client.chat.completions.create(messages=messages, **options).choices[0].message.content


@pytest.mark.parametrize("text", ["日本語のテキスト", "👩‍👩‍👧‍👦 \U0001f642 e\u0301", "tab\tnewline\nquote\"back\\slash", "\u2028\u0000\x7f"])
@pytest.mark.parametrize("stream", [False, True])
def test_any_text_comes_back_as_it_was(client, only, simulator, text, stream):
    simulator.script({"when": {"model": only.upstream}, "then": {"text": text, "write_bytes": 7 if stream else None}})
    answer = client.chat.completions.create(model=only.name, messages=ask(text), stream=stream)
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in answer) == text
    else:
        assert answer.choices[0].message.content == text


def test_empty_contents(client, only, simulator):
    messages = [*ask("Hello"), {"role": "assistant", "content": ""}, *ask("Still there?")]
    assert client.chat.completions.create(model=only.name, messages=messages).choices
    simulator.script({"when": {"model": only.upstream}, "then": {"text": ""}})
    answer = client.chat.completions.create(model=only.name, messages=ask("x"))
    assert not answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    chunks = list(client.chat.completions.create(model=only.name, messages=ask("x"), stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_very_long_input(client, only):
    answer = client.chat.completions.create(model=only.name, messages=ask("many words " * 50_000))
    assert answer.usage.prompt_tokens > 90_000


def test_cached_tokens_are_told(client, at_openai, at_anthropic):
    long = "know this well " * 600
    answer = client.chat.completions.create(model=at_openai.name, messages=ask(long))
    assert answer.usage.prompt_tokens_details.cached_tokens > 0
    marked = [{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]
    for cached in (False, True):
        answer = client.chat.completions.create(model=at_anthropic.name, messages=ask(marked))
        assert (answer.usage.prompt_tokens_details.cached_tokens > 1000) is cached
        assert answer.usage.prompt_tokens > 1000


def test_a_field_of_the_gateway_stays_here(client, only, simulator):
    options = {"providerOptions": {"gateway": {"user": "u-1", "tags": ["a"]}}}
    client.chat.completions.create(model=only.name, messages=ask("x"), user="u-1", extra_body=options)
    assert all("providerOptions" not in entry["body"] for entry in simulator.requests(only))
