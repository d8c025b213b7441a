"""The OpenAI SDK beyond language models: embeddings, images, speech, transcripts."""

import array
import base64
import io
import wave

import openai
import pytest


@pytest.fixture
def client(tidegate):
    return openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0)


def test_embeddings_come_as_base64_unasked_and_as_floats_when_asked(client, tidegate):
    ask = {"model": tidegate.embedding_model, "input": ["a tide", "a gate"], "dimensions": 4}
    packed = client.embeddings.with_raw_response.create(**ask)
    text = packed.http_response.json()["data"][0]["embedding"]
    floats = client.embeddings.create(**ask, encoding_format="float")
    assert array.array("f", base64.b64decode(text)).tolist() == pytest.approx(floats.data[0].embedding)
    assert packed.parse().data[1].embedding == pytest.approx(floats.data[1].embedding)
    assert floats.usage.prompt_tokens == floats.usage.total_tokens > 0
    assert packed.headers["x-request-id"].startswith("gen_")


def test_an_empty_input_is_refused_by_name(client, tidegate):
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=tidegate.embedding_model, input=[])
    assert refused.value.param == "input"


def test_a_model_of_another_kind_is_refused(client, tidegate):
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=tidegate.image_model, input="a")


def test_images(client, tidegate):
    answer = client.images.generate(model=tidegate.image_model, prompt="a gate", n=2, response_format="b64_json")
    assert [base64.b64decode(image.b64_json)[:4] for image in answer.data] == [b"\x89PNG"] * 2


def test_images_are_edited(client, tidegate):
    png = base64.b64decode(
        client.images.generate(model=tidegate.image_model, prompt="a gate", response_format="b64_json").data[0].b64_json
    )
    for image in (("a.png", png, "image/png"), [("a.png", png, "image/png"), ("b.png", png, "image/png")]):
        answer = client.images.edit(
            model=tidegate.image_model, image=image, prompt="more of it", n=2, response_format="b64_json"
        )
        assert [base64.b64decode(image.b64_json)[:4] for image in answer.data] == [b"\x89PNG"] * 2
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model=tidegate.model, image=("a.png", png, "image/png"), prompt="x")
    assert "another kind of model" in refused.value.message


def test_speech_is_heard_and_written_down_again(client, tidegate):
    speech = client.audio.speech.create(
        model=tidegate.speech_model, voice="alloy", input="hello", response_format="wav"
    )
    sound = speech.read()
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() > 0
    ask = {"model": tidegate.transcription_model, "file": ("a.wav", sound, "audio/wav")}
    plain = client.audio.transcriptions.create(**ask)
    assert plain.text == "Silence of 1 seconds." and plain.usage.seconds == 1
    verbose = client.audio.transcriptions.create(
        **ask, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert verbose.segments[0].text == plain.text and verbose.duration == 1
    assert client.audio.transcriptions.create(**ask, response_format="text") == f"{plain.text}\n"
    subtitles = client.audio.transcriptions.create(**ask, response_format="srt")
    assert subtitles.startswith("1\n00:00:00,000 --> 00:00:01,000\n")


def test_streamed_speech_arrives_whole(client, tidegate):
    ask = {"model": tidegate.speech_model, "voice": "alloy", "input": "hi"}
    with client.audio.speech.with_streaming_response.create(**ask) as answer:
        assert b"".join(answer.iter_bytes())[:2] == b"\xff\xfb"
