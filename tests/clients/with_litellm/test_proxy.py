"""A real LiteLLM Proxy in front of the gateway, as a team has one before it moves."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import openai
import pytest


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def entry(name, model, tidegate, base, key):
    settings = {"model": model, "api_base": tidegate.gateway_url + base, "api_key": key, "max_retries": 0}
    lines = [f"  - model_name: {name}", "    litellm_params:"]
    return lines + [f"      {field}: {value}" for field, value in settings.items()]


@pytest.fixture(scope="module")
def broke(tidegate):
    key = tidegate.key()
    tidegate.budget(key["id"], "0.000001")
    return key["key"]


@pytest.fixture(scope="module")
def proxy(tidegate, at_openai, at_anthropic, broke, tmp_path_factory):
    """The proxy's address and master key."""
    folder, key, port = tmp_path_factory.mktemp("litellm"), f"sk-{secrets.token_hex(12)}", free_port()
    lines = ["model_list:"]
    lines += entry("vercel", f"vercel_ai_gateway/{at_openai.name}", tidegate, "/v1", tidegate.virtual_key)
    lines += entry("claude", f"anthropic/{at_anthropic.name}", tidegate, "", tidegate.virtual_key)
    lines += entry("unknown", "vercel_ai_gateway/nobody/nothing", tidegate, "/v1", tidegate.virtual_key)
    lines += entry("broke", f"vercel_ai_gateway/{at_openai.name}", tidegate, "/v1", broke)
    lines += ["litellm_settings:", "  num_retries: 0", "  telemetry: false", "general_settings:", f"  master_key: {key}"]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(folder / "config.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            wait(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
            yield f"http://127.0.0.1:{port}", key
        finally:
            process.terminate()
            process.wait(30)


def wait(url, process, log):
    deadline = time.monotonic() + 300
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


@pytest.fixture
def client(proxy):
    url, key = proxy
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


@pytest.fixture
def charged(model, tidegate, at_openai, at_anthropic, simulator):
    """What the test's calls cost is what the providers bill."""
    asked = at_openai if model == "vercel" else at_anthropic
    seen = len(simulator.calls(asked))
    yield
    tidegate.charged_as_billed(simulator, simulator.calls(asked)[seen:])


def ask(text):
    return [{"role": "user", "content": text}]


@pytest.mark.smoke
@pytest.mark.parametrize("model", ["vercel", "claude"])
def test_plain(client, model, charged):
    answer = client.chat.completions.create(model=model, messages=ask("Hello"))
    assert "Hello" in answer.choices[0].message.content and answer.usage.completion_tokens > 0


@pytest.mark.smoke
@pytest.mark.parametrize("model", ["vercel", "claude"])
def test_streamed(client, model, charged):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=model, messages=ask("say 20 words"), **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.split() == ["word"] * 20 and chunks[-1].usage.completion_tokens >= 20


def test_its_own_list_of_models(client):
    assert {model.id for model in client.models.list()} == {"vercel", "claude", "unknown", "broke"}


@pytest.mark.smoke
def test_our_errors_pass_through_it(client):
    with pytest.raises(openai.NotFoundError, match="nobody/nothing"):
        client.chat.completions.create(model="unknown", messages=ask("x"))
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(model="broke", messages=ask("x"), max_tokens=1000)
    assert error.value.status_code == 402


def test_its_health_check_is_an_ordinary_call(proxy):
    url, key = proxy
    request = urllib.request.Request(f"{url}/health?model=vercel", headers={"authorization": f"Bearer {key}"})
    assert b'"healthy_count":1' in urllib.request.urlopen(request, timeout=120).read()
