"""What the gateway itself refuses, as both SDKs see it; and that their retries do no harm."""

import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import httpx2 as httpx
import openai
import pytest

SDKS = (openai, anthropic)


class Counted(httpx.HTTPTransport):
    """Notes when requests were sent."""

    def __init__(self):
        super().__init__()
        self.times = []

    def handle_request(self, request):
        self.times.append(time.monotonic())
        return super().handle_request(request)


@pytest.fixture(params=SDKS, ids=["openai", "anthropic"])
def sdk(request, tidegate):
    return Sdk(request.param, tidegate)


class Sdk:
    """One of the SDKs, asked the same way."""

    def __init__(self, module, tidegate):
        self.module, self.tidegate = module, tidegate
        self.is_openai = module is openai

    def call(self, key=None, model=None, text="x", retries=0, transport=None, **more):
        key = key or self.tidegate.virtual_key
        model = model or self.tidegate.model
        options = {"api_key": key, "max_retries": retries}
        if transport:
            options["http_client"] = httpx.Client(transport=transport)
        messages = [{"role": "user", "content": text}]
        if self.is_openai:
            client = openai.OpenAI(base_url=f"{self.tidegate.gateway_url}/v1", **options)
            return client.chat.completions.create(model=model, messages=messages, **more)
        client = anthropic.Anthropic(base_url=self.tidegate.gateway_url, **options)
        return client.messages.create(model=model, messages=messages, **{"max_tokens": 100, **more})

    def refusal(self, **how):
        with pytest.raises(self.module.APIStatusError) as error:
            self.call(**how)
        return error.value

    def text(self, answer, stream):
        """What was said, plain or streamed."""
        if self.is_openai:
            if stream:
                return "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            return answer.choices[0].message.content
        if stream:
            deltas = [event.delta for event in answer if event.type == "content_block_delta"]
            return "".join(delta.text for delta in deltas if delta.type == "text_delta")
        return "".join(block.text for block in answer.content if block.type == "text")

    def kind_of_any(self, error):
        """The type in a body that may be the provider's own."""
        return error.body["type"] if self.is_openai else error.body["error"]["type"]

    def kind(self, error):
        """The type in the body, after checking its shape."""
        if self.is_openai:
            # This SDK unwraps `error`.
            assert set(error.body) == {"message", "type", "param", "code"}
            return error.body["type"]
        assert error.body["type"] == "error" and error.body["request_id"].startswith("gen_")
        assert error.response.headers["request-id"] == error.body["request_id"]
        return error.body["error"]["type"]


@pytest.mark.parametrize("key", ["wrong", "tg_x", "tg_01M7YXYW7K8YSRD412FQ28958J_9R9dgtv80EcKjKiHEnLxSSA8b2IGL7oc_00000000"])
def test_a_wrong_key(sdk, key):
    error = sdk.refusal(key=key)
    assert isinstance(error, sdk.module.AuthenticationError) and sdk.kind(error) == "authentication_error"


def test_a_revoked_key(sdk, tidegate):
    key = tidegate.key()
    assert sdk.call(key=key["key"])
    tidegate.admin("DELETE", f"/keys/{key['id']}?wait=fleet")
    assert isinstance(sdk.refusal(key=key["key"]), sdk.module.AuthenticationError)


def test_a_model_that_is_not_allowed(sdk, tidegate, at_openai):
    allow = {"models": [tidegate.model], "providers": [], "routes": [], "ips": []}
    key = tidegate.key(allow=allow)["key"]
    assert sdk.call(key=key)
    error = sdk.refusal(key=key, model=at_openai.name)
    assert isinstance(error, sdk.module.PermissionDeniedError)
    assert sdk.kind(error) == ("forbidden" if sdk.is_openai else "permission_error")


def test_an_unknown_model(sdk, tidegate):
    error = sdk.refusal(model=tidegate.model + "x")
    assert isinstance(error, sdk.module.NotFoundError) and tidegate.model in str(error)
    assert sdk.kind(error) == ("model_not_found" if sdk.is_openai else "not_found_error")


@pytest.mark.parametrize("stream", [False, True])
def test_a_used_up_budget_is_told_in_full_and_not_retried(sdk, tidegate, stream):
    key = tidegate.key()
    budget = tidegate.budget(key["id"], "0.000001")
    transport = Counted()
    error = sdk.refusal(key=key["key"], retries=2, transport=transport, max_tokens=1000, stream=stream)
    assert error.status_code == 402 and len(transport.times) == 1
    assert sdk.kind(error) == ("quota_for_entity_exceeded" if sdk.is_openai else "billing_error")
    for word in (budget["name"], "limit 0.000001", "spent 0", "held 0", "resets 2"):
        assert word in str(error), word


def test_what_fits_under_a_budget_is_served_up_to_its_limit(sdk, tidegate):
    key = tidegate.key()
    tidegate.budget(key["id"], "0.001")
    served = 0
    with pytest.raises(sdk.module.APIStatusError) as error:
        while served < 100:
            sdk.call(key=key["key"], text="say 60 words", max_tokens=100)
            served += 1
    assert error.value.status_code == 402 and 2 <= served <= 8
    spent = sum(float(row["total_cost"]) for row in tidegate.admin("GET", f"/usage?key_id={key['id']}")["data"])
    assert spent <= 0.001


def test_a_rate_limit_is_waited_for_as_told(sdk, tidegate):
    # A request more every three seconds.
    key = tidegate.key(limits={"requests_per_minute": 20})["key"]

    def one(_):
        try:
            sdk.call(key=key)
        except sdk.module.RateLimitError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        errors = [error for error in pool.map(one, range(30)) if error]
    assert errors, "the limit was never met"
    waits = [int(error.response.headers["retry-after"]) for error in errors]
    assert all(1 <= wait <= 3 for wait in waits), waits
    assert sdk.kind(errors[0]) == ("rate_limit_exceeded" if sdk.is_openai else "rate_limit_error")
    # As most programs have it: the SDK's own retries, which wait as they are told.
    transport = Counted()
    sdk.call(key=key, retries=2, transport=transport)
    gaps = [later - earlier for earlier, later in zip(transport.times, transport.times[1:])]
    assert len(transport.times) <= 3 and all(gap >= 0.9 for gap in gaps), gaps


def test_a_limit_of_calls_at_once(sdk, tidegate, simulator, at_openai):
    simulator.script({"when": {"model": at_openai.upstream}, "then": {"chunk_delay_ms": 200}})
    key = tidegate.key(limits={"concurrency": 1})["key"]
    stream = sdk.call(key=key, model=at_openai.name, text="say 20 words", stream=True)
    next(iter(stream))
    error = sdk.refusal(key=key)
    assert error.status_code == 429 and int(error.response.headers["retry-after"]) >= 1
    stream.close()


def test_a_body_that_is_too_large(sdk):
    error = sdk.refusal(text="x" * (33 << 20))
    assert error.status_code == 413 and sdk.kind(error) == "request_too_large"


def test_a_field_of_the_wrong_type(sdk):
    error = sdk.refusal(stream="yes")
    assert isinstance(error, sdk.module.BadRequestError) and "stream" in str(error)


def test_the_same_key_twice_is_told(sdk, tidegate):
    if sdk.is_openai:
        path, headers = "/v1/chat/completions", {"authorization": f"Bearer {tidegate.virtual_key}"}
    else:
        path, headers = "/v1/messages", {"x-api-key": tidegate.virtual_key}
    body = '{"model": "a", "model": "b", "max_tokens": 5, "messages": []}'
    answer = httpx.post(tidegate.gateway_url + path, content=body, headers=headers)
    assert answer.status_code == 400 and "more than once" in answer.text


def test_rates_are_told_with_every_answer(sdk, tidegate):
    key = tidegate.key(limits={"requests_per_minute": 50, "tokens_per_minute": 100_000})["key"]
    options = {"api_key": key, "max_retries": 0}
    messages = [{"role": "user", "content": "x"}]
    if sdk.is_openai:
        client = openai.OpenAI(base_url=f"{tidegate.gateway_url}/v1", **options)
        headers = client.chat.completions.with_raw_response.create(model=tidegate.model, messages=messages).headers
        assert int(headers["x-ratelimit-limit-requests"]) == 50
        assert int(headers["x-ratelimit-remaining-requests"]) < 50
    else:
        client = anthropic.Anthropic(base_url=tidegate.gateway_url, **options)
        raw = client.messages.with_raw_response
        headers = raw.create(model=tidegate.model, max_tokens=50, messages=messages).headers
        assert int(headers["anthropic-ratelimit-requests-limit"]) == 50
        assert int(headers["anthropic-ratelimit-requests-remaining"]) < 50


def test_the_suites_validation_is_strict():
    """A positive control: an answer of the wrong shape does not pass."""
    bad = {"id": 1, "object": "chat.completion", "choices": "none", "created": "x", "model": None}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=bad))
    client = openai.OpenAI(
        base_url="http://sim.invalid/v1",
        api_key="x",
        http_client=httpx.Client(transport=transport),
        _strict_response_validation=True,
    )
    with pytest.raises(openai.APIResponseValidationError):
        client.chat.completions.create(model="x", messages=[])
