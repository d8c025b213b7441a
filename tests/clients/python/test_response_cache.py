"""Answers given again, as both SDKs read them: whole and streamed, from providers of either dialect."""

import uuid

import anthropic
import openai
import pytest

WISHED = {"x-tidegate-cache": "on"}


class OpenAI:
    def __init__(self, tidegate):
        self.client = openai.OpenAI(
            base_url=f"{tidegate.gateway_url}/v1", api_key=tidegate.virtual_key, max_retries=0, default_headers=WISHED
        )

    def whole(self, model, text, **headers):
        raw = self.client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": text}], extra_headers=headers
        )
        answer = raw.parse()
        said = answer.choices[0].message.content, answer.choices[0].finish_reason
        return raw.headers, said, answer.usage.completion_tokens

    def streamed(self, model, text):
        raw = self.client.chat.completions.with_raw_response.create(
            model=model,
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(raw.parse())
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        ends = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
        return raw.headers, (said, *ends), chunks[-1].usage.completion_tokens


class Anthropic:
    def __init__(self, tidegate):
        self.client = anthropic.Anthropic(
            base_url=tidegate.gateway_url, api_key=tidegate.virtual_key, max_retries=0, default_headers=WISHED
        )

    def whole(self, model, text, **headers):
        raw = self.client.messages.with_raw_response.create(
            model=model, max_tokens=500, messages=[{"role": "user", "content": text}], extra_headers=headers
        )
        answer = raw.parse()
        return raw.headers, (answer.content[0].text, answer.stop_reason), answer.usage.output_tokens

    def streamed(self, model, text):
        options = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}]}
        with self.client.messages.stream(**options) as stream:
            answer = stream.get_final_message()
            headers = stream.response.headers
        return headers, (answer.content[0].text, answer.stop_reason), answer.usage.output_tokens


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize("sdk", [OpenAI, Anthropic])
def test_an_answer_is_read_the_same_when_it_is_given_again(tidegate, simulator, only, sdk, way):
    ask = getattr(sdk(tidegate), way)
    text, seen = f"say 40 words about {uuid.uuid4()}", len(simulator.requests(only))
    first, said, tokens = ask(only.name, text)
    again, said_again, tokens_again = ask(only.name, text)
    assert (first["x-tidegate-cache"], again["x-tidegate-cache"]) == ("miss", "hit")
    assert (said, tokens) == (said_again, tokens_again) and tokens > 0
    assert len(simulator.requests(only)) == seen + 1
    made, given = first["x-tidegate-id"], again["x-tidegate-id"]
    record = tidegate.record(given)
    assert made != given and record["cached_from"] == made
    assert float(record["cost"]) == 0 and record["attempts"] == []
    assert simulator.bill(given) == []
    tidegate.charged_as_billed(simulator, [made])


def test_a_request_that_wants_it_anew_gets_it(tidegate, simulator, only):
    client = OpenAI(tidegate)
    text, seen = f"say 5 words about {uuid.uuid4()}", len(simulator.requests(only))
    asked = ({}, {}, {"cache-control": "no-cache"}, {})
    told = [client.whole(only.name, text, **headers)[0]["x-tidegate-cache"] for headers in asked]
    assert told == ["miss", "hit", "miss", "hit"]
    assert len(simulator.requests(only)) == seen + 2
