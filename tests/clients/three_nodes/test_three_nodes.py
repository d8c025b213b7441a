"""What only several nodes can get wrong together. Runs last: the suites before it came to the nodes in turn."""

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import pytest
from test_refusals import SDKS, Counted, Sdk

# Fewer than any node's part of the suites, and more than its readiness takes.
PART = 30
RETRIES = 2
# More than twice what a rate lets through, and less than what it would if each node counted for itself.
CALLS = 45


class InTurn(Counted):
    """Sends each request, and so each retry of an SDK, to the next node."""

    def __init__(self, urls):
        super().__init__()
        self.urls = list(urls)

    def handle_request(self, request):
        to = httpx.URL(self.urls[len(self.times) % len(self.urls)])
        request.url = request.url.copy_with(host=to.host, port=to.port)
        return super().handle_request(request)


def served(metrics_url):
    """How many calls a node has answered well."""
    with urllib.request.urlopen(f"{metrics_url}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    of_calls = [line for line in lines if line.startswith("tidegate_requests_total{") and 'status="200"' in line]
    return sum(float(line.split()[-1]) for line in of_calls)


@pytest.fixture(params=SDKS, ids=["openai", "anthropic"])
def nodes(request, tidegate):
    """One SDK at each node's own address."""
    at = [type(tidegate)({**vars(tidegate), "gateway_url": url}) for url in tidegate.gateway_urls]
    return [Sdk(request.param, one) for one in at]


def test_every_node_served_its_part_of_the_suites(tidegate):
    parts = [served(url) for url in tidegate.gateway_metrics_urls]
    assert len(parts) == 3 and all(part >= PART for part in parts), parts


def test_a_budget_used_up_over_one_node_is_used_up_at_the_others(nodes, tidegate):
    spender = SDKS.index(nodes[0].module)
    key = tidegate.key()
    budget = tidegate.budget(key["id"], "0.001")
    ask = {"key": key["key"], "text": "say 60 words", "max_tokens": 100}
    count, deadline = 0, time.monotonic() + 120
    while True:
        assert count <= 8 and time.monotonic() < deadline, "the budget is never used up"
        try:
            nodes[spender].call(**ask)
            count += 1
        except nodes[spender].module.APIStatusError as error:
            assert error.status_code == 402, error
            # What is held may come back, and then one more call fits.
            if "held 0," in str(error):
                break
            time.sleep(0.05)
    assert count >= 2
    for node in nodes[:spender] + nodes[spender + 1 :]:
        transport = Counted()
        error = node.refusal(**ask, retries=RETRIES, transport=transport)
        assert error.status_code == 402 and len(transport.times) == 1
        assert node.kind(error) == ("quota_for_entity_exceeded" if node.is_openai else "billing_error")
        assert budget["name"] in str(error) and "limit 0.001" in str(error)


def test_a_key_is_refused_and_a_model_is_unknown_at_every_node(nodes, tidegate):
    key = tidegate.key()
    for node in nodes:
        assert node.call(key=key["key"])
        unknown = node.refusal(model="nobody/nothing")
        assert isinstance(unknown, node.module.NotFoundError)
    tidegate.admin("DELETE", f"/keys/{key['id']}?wait=fleet")
    for node in nodes:
        for refused in (key["key"], "wrong"):
            error = node.refusal(key=refused)
            assert isinstance(error, node.module.AuthenticationError) and node.kind(error) == "authentication_error"


def test_a_rate_is_that_of_all_nodes_together_and_a_wait_told_by_one_holds_at_all(nodes, tidegate):
    # So many at once, then one more every three seconds.
    per_minute = 20
    key = tidegate.key(limits={"requests_per_minute": per_minute})["key"]

    def one(place):
        try:
            nodes[place % 3].call(key=key)
        except nodes[0].module.RateLimitError as error:
            return place % 3, int(error.response.headers["retry-after"])

    began = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        refusals = [refusal for refusal in pool.map(one, range(CALLS)) if refusal]
    fits = per_minute * (1 + (time.monotonic() - began) / 60) + 1
    assert CALLS - len(refusals) <= fits, "each node counts for itself"
    assert {node for node, _ in refusals} == {0, 1, 2}
    assert all(1 <= wait <= 3 for _, wait in refusals), refusals
    urls, waits = tidegate.gateway_urls, []
    for first in range(3):
        # The SDK's own retries, each at another node, which wait as the one before told them.
        transport = InTurn(urls[first:] + urls[:first])
        nodes[first].call(key=key, retries=RETRIES, transport=transport)
        waits += [later - earlier for earlier, later in zip(transport.times, transport.times[1:])]
    assert waits and all(wait >= 0.9 for wait in waits), waits
