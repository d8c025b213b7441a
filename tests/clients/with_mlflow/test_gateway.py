"""Clients of MLflow's AI Gateway: its unified paths, its passthrough, its errors."""

import json
import urllib.error
import urllib.request

import anthropic
import openai
import pytest

PATHS = ("mlflow", "openai")


def ask(text):
    return [{"role": "user", "content": text}]


def connect(tidegate, path, key=None):
    base_url = f"{tidegate.gateway_url}/gateway/{path}/v1"
    return openai.OpenAI(base_url=base_url, api_key=key or tidegate.virtual_key, max_retries=0)


@pytest.fixture(params=PATHS)
def path(request):
    return request.param


@pytest.fixture
def client(path, tidegate):
    return connect(tidegate, path)


@pytest.mark.smoke
def test_plain(client, only):
    answer = client.chat.completions.create(model=only.name, messages=ask("Hello"))
    assert "Hello" in answer.choices[0].message.content and answer.usage.completion_tokens > 0


@pytest.mark.smoke
def test_streamed(client, only):
    chunks = client.chat.completions.create(model=only.name, messages=ask("say 20 words"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).split() == ["word"] * 20


def test_the_models_are_listed(tidegate):
    assert tidegate.model in [model.id for model in connect(tidegate, "mlflow").models.list()]


def test_passthrough_of_responses_and_embeddings(tidegate, at_openai):
    client = connect(tidegate, "openai")
    assert client.responses.create(model=at_openai.name, input="say 3 words").output_text.split() == ["word"] * 3
    assert client.embeddings.create(model=tidegate.embedding_model, input="a").data[0].embedding


def test_passthrough_of_messages(tidegate, only):
    base_url = f"{tidegate.gateway_url}/gateway/anthropic"
    client = anthropic.Anthropic(base_url=base_url, api_key=tidegate.virtual_key, max_retries=0)
    answer = client.messages.create(model=only.name, max_tokens=100, messages=ask("Hello"))
    assert "Hello" in answer.content[0].text


def post(url, key, body):
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())


@pytest.mark.smoke
def test_invocations_name_the_model_in_the_path(tidegate, only):
    # The name of an endpoint is one segment of the path.
    url = f"{tidegate.gateway_url}/gateway/{only.bare}/mlflow/invocations"
    answer = post(url, tidegate.virtual_key, {"messages": ask("Hello")})
    assert "Hello" in answer["choices"][0]["message"]["content"]
    with pytest.raises(urllib.error.HTTPError) as error:
        post(url.replace(only.bare, "nothing-such"), tidegate.virtual_key, {"messages": ask("Hello")})
    assert error.value.code == 404 and "nothing-such" in str(json.loads(error.value.read())["detail"])


@pytest.mark.smoke
def test_errors_tell_their_detail(tidegate, path, at_openai):
    with pytest.raises(openai.AuthenticationError):
        connect(tidegate, path, "wrong").chat.completions.create(model=at_openai.name, messages=ask("x"))
    with pytest.raises(openai.NotFoundError) as error:
        connect(tidegate, path).chat.completions.create(model="nobody/nothing", messages=ask("x"))
    assert "nobody/nothing" in str(error.value.body)
    key = tidegate.key()
    budget = tidegate.budget(key["id"], "0.000001")
    with pytest.raises(openai.APIStatusError) as error:
        client = connect(tidegate, path, key["key"])
        client.chat.completions.create(model=at_openai.name, messages=ask("x"), max_tokens=1000)
    assert error.value.status_code == 402 and budget["name"] in str(error.value.body)
