"""The Anthropic SDK's features, to a provider of either dialect. Every answer must pass strict validation."""

import json

import anthropic
import pytest

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def tool(name, **parameters):
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": f"Does {name}", "input_schema": schema}


WEATHER, TIME = tool("get_weather", city="string"), tool("local_time", city="string", summer="boolean")


@pytest.fixture
def client(tidegate):
    return anthropic.Anthropic(
        base_url=tidegate.gateway_url,
        api_key=tidegate.virtual_key,
        max_retries=0,
        _strict_response_validation=True,
    )


def ask(content):
    return [{"role": "user", "content": content}]


def create(client, model, content, **more):
    return client.messages.create(model=model.name, messages=ask(content), **{"max_tokens": 2000, **more})


def said(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def test_plain(client, only):
    answer = create(client, only, "Hello")
    assert answer.stop_reason == "end_turn" and "Hello" in said(answer)
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def test_streamed(client, only):
    with client.messages.stream(model=only.name, max_tokens=500, messages=ask("say 30 words")) as stream:
        assert "".join(stream.text_stream).split() == ["word"] * 30
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn" and final.usage.output_tokens >= 30 and final.usage.input_tokens > 0


def test_raw_events_come_in_order(client, only):
    kinds = [event.type for event in create(client, only, "say 3 words", stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


@pytest.mark.parametrize(
    "system", ["Be brief.", [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]]
)
def test_system_prompts(client, only, system, simulator):
    create(client, only, "Hello", system=system)
    assert "Be brief." in json.dumps(simulator.requests(only)[-1]["body"])


def test_instructions_in_the_midst(client, only):
    messages = [*ask("Hello"), {"role": "assistant", "content": "Hi."}, *ask("Bonjour"), {"role": "system", "content": "French!"}]
    answer = client.messages.create(model=only.name, max_tokens=100, messages=messages)
    assert answer.content


@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequences(client, only, stream):
    if stream:
        with client.messages.stream(
            model=only.name, max_tokens=100, messages=ask("x"), stop_sequences=["simulated"]
        ) as events:
            answer = events.get_final_message()
    else:
        answer = create(client, only, "x", stop_sequences=["simulated"])
    assert said(answer) == "This is a "
    if only.provider == "sim-anthropic":
        assert answer.stop_reason == "stop_sequence" and answer.stop_sequence == "simulated"
    else:
        # OpenAI's dialect does not tell which.
        assert answer.stop_reason == "end_turn"


def test_parallel_tools_and_their_results(client, only):
    messages = ask("What are weather and time in Paris?")
    options = {"model": only.name, "max_tokens": 500, "tools": [WEATHER, TIME]}
    first = client.messages.create(messages=messages, **options)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "local_time"] and calls[1].input["summer"] is True
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"result {i}"} for i, call in enumerate(calls)]
    results[1]["content"] = [{"type": "text", "text": "it broke"}]
    results[1]["is_error"] = True
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = client.messages.create(messages=messages, **options)
    assert "it broke" in said(second)
    messages += [{"role": "assistant", "content": second.content}, *ask("Thank you")]
    assert "Thank you" in said(client.messages.create(messages=messages, **options))


def test_a_result_and_a_question_in_one_message(client, only):
    messages = ask("What is the weather?")
    first = client.messages.create(model=only.name, max_tokens=500, messages=messages, tools=[WEATHER])
    result = {"type": "tool_result", "tool_use_id": first.content[-1].id}
    question = {"type": "text", "text": "And tomorrow?"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result, question]}]
    assert client.messages.create(model=only.name, max_tokens=500, messages=messages, tools=[WEATHER]).content


def test_parallel_tools_streamed(client, only):
    with client.messages.stream(
        model=only.name, max_tokens=500, messages=ask("weather and time in Rome?"), tools=[WEATHER, TIME]
    ) as stream:
        partial = "".join(event.partial_json for event in stream if event.type == "input_json")
        final = stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "local_time"] and "city" in partial
    assert calls[0].input["city"] and final.stop_reason == "tool_use"


@pytest.mark.parametrize(
    "choice, names",
    [
        ({"type": "any"}, ["get_weather"]),
        ({"type": "none"}, []),
        ({"type": "auto"}, []),
        ({"type": "tool", "name": "local_time"}, ["local_time"]),
    ],
)
def test_tool_choice(client, only, choice, names):
    answer = create(client, only, "Hello", tools=[WEATHER, TIME], tool_choice=choice)
    assert [block.name for block in answer.content if block.type == "tool_use"] == names


def test_one_tool_at_a_time(client, only):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    answer = create(client, only, "weather and time?", tools=[WEATHER, TIME], tool_choice=choice)
    assert [block.type for block in answer.content].count("tool_use") == 1


def test_structured_output(client, only):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "population": {"type": "integer"}},
        "required": ["name", "population"],
        "additionalProperties": False,
    }
    config = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    place = json.loads(said(create(client, only, "Paris", extra_body=config)))
    assert place == {"name": "Paris", "population": 7}


def test_images(client, only):
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    answer = create(client, only, [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}])
    assert answer.usage.input_tokens > 500


@pytest.mark.parametrize("thinking", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}])
def test_thinking(client, at_anthropic, thinking):
    more = {"extra_body": {"thinking": thinking}}
    answer = create(client, at_anthropic, "x", **more)
    assert answer.content[0].type == "thinking" and answer.content[0].signature
    with client.messages.stream(model=at_anthropic.name, max_tokens=2000, messages=ask("x"), **more) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].thinking == answer.content[0].thinking
    assert "simulated answer" in said(streamed)
    # Thoughts go back with the history, signed.
    messages = [*ask("x"), {"role": "assistant", "content": answer.content}, *ask("and?")]
    assert client.messages.create(model=at_anthropic.name, max_tokens=2000, messages=messages, **more).content


def test_thinking_at_a_provider_that_hides_it(client, at_openai, simulator):
    answer = create(client, at_openai, "x", extra_body={"thinking": {"type": "enabled", "budget_tokens": 1500}})
    assert "simulated answer" in said(answer)
    assert simulator.requests(at_openai)[-1]["body"]["reasoning_effort"]


def test_cache_control(client, at_anthropic, at_openai):
    system = [{"type": "text", "text": "you know this well " * 600, "cache_control": {"type": "ephemeral"}}]
    first = create(client, at_anthropic, "x", system=system).usage
    second = create(client, at_anthropic, "x", system=system).usage
    assert first.cache_creation_input_tokens > 1000 and second.cache_read_input_tokens > 1000
    assert first.input_tokens == second.input_tokens < 100
    assert create(client, at_openai, "x", system=system).usage.cache_read_input_tokens > 0


@pytest.mark.parametrize("text", ["日本語のテキスト", "👩‍👩‍👧‍👦 \U0001f642 e\u0301", "tab\tnewline\nquote\"back\\slash", "\u2028\x7f"])
@pytest.mark.parametrize("stream", [False, True])
def test_any_text_comes_back_as_it_was(client, only, simulator, text, stream):
    simulator.script({"when": {"model": only.upstream}, "then": {"text": text, "write_bytes": 7 if stream else None}})
    if stream:
        with client.messages.stream(model=only.name, max_tokens=500, messages=ask(text)) as events:
            assert "".join(events.text_stream) == text
    else:
        assert said(create(client, only, text)) == text


def test_an_empty_answer(client, only, simulator):
    simulator.script({"when": {"model": only.upstream}, "then": {"text": ""}})
    assert said(create(client, only, "x")) == ""
    with client.messages.stream(model=only.name, max_tokens=50, messages=ask("x")) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"


def test_a_begun_answer_is_continued(client, only):
    messages = [*ask("Hello"), {"role": "assistant", "content": "The answer is"}]
    assert client.messages.create(model=only.name, max_tokens=50, messages=messages).content


def test_a_very_long_input(client, only):
    assert create(client, only, "many words " * 50_000).usage.input_tokens > 40_000


def test_the_end_user_is_carried(client, only, simulator):
    create(client, only, "x", metadata={"user_id": "u-1"})
    body = simulator.requests(only)[-1]["body"]
    assert "u-1" in (body.get("metadata", {}).get("user_id"), body.get("user"), body.get("safety_identifier"))
