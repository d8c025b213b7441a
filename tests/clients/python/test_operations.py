"""Everything but conversations by both SDKs: vectors, pictures, speech, transcripts, lists of models, counts of tokens."""

import base64
import json
import struct
from decimal import Decimal

import anthropic
import openai
import pytest


@pytest.fixture
def client(tidegate):
    return openai.OpenAI(
        base_url=f"{tidegate.gateway_url}/v1",
        api_key=tidegate.virtual_key,
        max_retries=0,
    )


def costs_what_was_billed(tidegate, simulator, call_id):
    [line] = simulator.bill(call_id)
    assert Decimal(tidegate.record(call_id)["cost"]) * 10**9 == line["nano_usd"] > 0
    return line["usage"]


def test_embeddings_come_as_base64_unless_asked_otherwise(client, tidegate, simulator):
    options = {"model": tidegate.embedding_model, "input": ["a", "b"]}
    raw = client.embeddings.with_raw_response.create(**options)
    usage = costs_what_was_billed(tidegate, simulator, raw.headers["x-tidegate-id"])
    body = json.loads(raw.text)
    assert body["usage"]["prompt_tokens"] == usage["input_tokens"] > 0
    floats = client.embeddings.create(encoding_format="float", **options).data
    for packed, decoded, number in zip(body["data"], client.embeddings.create(**options).data, floats, strict=True):
        values = struct.unpack(f"<{len(number.embedding)}f", base64.b64decode(packed["embedding"]))
        assert list(values) == pytest.approx(number.embedding, abs=1e-6)
        assert decoded.embedding == pytest.approx(number.embedding, abs=1e-6)


@pytest.mark.parametrize("upstream, most", [("amazon.titan-embed-text-v2:0-", 1), ("us.cohere.embed-v4:0-", 96)])
def test_embeddings_of_bedrock(client, tidegate, simulator, upstream, most):
    model = tidegate.new_model("sim-bedrock", kind="embedding", upstream=upstream)
    inputs = ["the tide", "the gate"][:most]
    raw = client.embeddings.with_raw_response.create(model=model.name, input=inputs, dimensions=256)
    usage = costs_what_was_billed(tidegate, simulator, raw.headers["x-tidegate-id"])
    answer = raw.parse()
    assert [len(row.embedding) for row in answer.data] == [256] * len(inputs)
    assert answer.usage.prompt_tokens == usage["input_tokens"] > 0


@pytest.mark.parametrize("form", ["url", "b64_json"])
def test_a_picture_is_drawn(client, tidegate, simulator, form):
    options = {"model": tidegate.image_model, "prompt": "a harbour", "n": 2, "response_format": form}
    raw = client.images.with_raw_response.generate(**options)
    pictures = raw.parse().data
    assert len(pictures) == 2 and all(getattr(picture, form) for picture in pictures)
    assert costs_what_was_billed(tidegate, simulator, raw.headers["x-tidegate-id"])["images"] == 2


def test_speech_is_spoken_and_written_down_again(client, tidegate, simulator):
    raw = client.audio.speech.with_raw_response.create(
        model=tidegate.speech_model, voice="alloy", input="ten letters", response_format="wav"
    )
    sound = raw.content
    assert len(sound) > 44
    assert costs_what_was_billed(tidegate, simulator, raw.headers["x-tidegate-id"])["characters"] == 11
    raw = client.audio.transcriptions.with_raw_response.create(
        model=tidegate.transcription_model, file=("speech.wav", sound, "audio/wav")
    )
    assert raw.parse().text
    assert costs_what_was_billed(tidegate, simulator, raw.headers["x-tidegate-id"])["audio_seconds"] > 0


def test_models_are_listed_and_found(client, tidegate):
    names = [model.id for model in client.models.list()]
    for name in (tidegate.model, tidegate.embedding_model, tidegate.image_model):
        assert name in names
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/nothing")


def test_a_model_of_another_kind_is_refused(client, tidegate):
    with pytest.raises(openai.APIStatusError) as error:
        client.embeddings.create(model=tidegate.model, input="a")
    assert 400 <= error.value.status_code < 500
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(model=tidegate.embedding_model, messages=[{"role": "user", "content": "x"}])
    assert 400 <= error.value.status_code < 500


def test_a_used_up_budget_stops_every_operation(tidegate):
    key = tidegate.key()
    tidegate.budget(key["id"], "0.00000001")
    client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=key["key"], max_retries=0)
    calls = (
        lambda: client.embeddings.create(model=tidegate.embedding_model, input="word " * 200),
        lambda: client.images.generate(model=tidegate.image_model, prompt="x"),
        lambda: client.audio.speech.create(model=tidegate.speech_model, voice="alloy", input="hello"),
    )
    for call in calls:
        with pytest.raises(openai.APIStatusError) as error:
            call()
        assert error.value.status_code == 402


@pytest.mark.parametrize("provider", ["sim-anthropic", "sim-gemini"])
def test_tokens_of_a_prompt_are_counted_for_nothing(tidegate, simulator, provider):
    model = tidegate.new_model(provider)
    client = anthropic.Anthropic(base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0)
    messages = [{"role": "user", "content": "say 5 words"}]
    counted = client.messages.count_tokens(model=model.name, messages=messages)
    answer = client.messages.create(model=model.name, messages=messages, max_tokens=100)
    assert counted.input_tokens == answer.usage.input_tokens
    assert len(simulator.billed(model)) == 1
