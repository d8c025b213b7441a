"""Log probabilities by OpenAI's SDK, from providers of either of its dialects and from Gemini."""

import openai
import pytest


@pytest.fixture
def client(tidegate):
    return openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)


@pytest.fixture(scope="module", params=["sim-openai", "sim-gemini"])
def model(tidegate, request):
    return tidegate.new_model(request.param)


def read(logprobs, likely):
    """The text that they belong to."""
    for token in logprobs:
        assert token.logprob <= 0 and len(token.top_logprobs) == likely
        assert bytes(token.bytes).decode() == token.token
    return "".join(token.token for token in logprobs)


def test_of_a_chat_completion(client, model):
    said = [{"role": "user", "content": "say 5 words"}]
    options = {"model": model.name, "messages": said, "logprobs": True, "top_logprobs": 3}
    choice = client.chat.completions.create(**options).choices[0]
    assert read(choice.logprobs.content, 3) == choice.message.content
    text = told = ""
    for chunk in client.chat.completions.create(stream=True, **options):
        text += chunk.choices[0].delta.content or ""
        told += read(chunk.choices[0].logprobs.content, 3) if chunk.choices[0].logprobs else ""
    assert text == told and text.split() == ["word"] * 5


def test_of_a_response(client, model):
    options = {"model": model.name, "input": "say 5 words", "top_logprobs": 3}
    options["include"] = ["message.output_text.logprobs"]
    answer = client.responses.create(**options)
    [message] = [item for item in answer.output if item.type == "message"]
    assert read(message.content[0].logprobs, 3) == answer.output_text
    events = list(client.responses.create(stream=True, **options))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert all(delta.delta == "".join(token.token for token in delta.logprobs) for delta in deltas)
    [message] = [item for item in events[-1].response.output if item.type == "message"]
    assert read(message.content[0].logprobs, 3) == message.content[0].text


def test_where_there_are_none_they_are_refused_by_name(client, tidegate):
    model = tidegate.new_model("sim-anthropic")
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=model.name, messages=[{"role": "user", "content": "x"}], logprobs=True)
    assert error.value.param == "logprobs"
