"""What the suites need: the running installation, its simulated providers, keys and models of their own."""

import json
import os
import urllib.request
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

# As the simulator bills models that it was not told a price of: USD per token.
PRICES = {"input_token": "0.0000005", "output_token": "0.000002", "cached_input_token": "0.00000025"}
PROVIDERS = ("sim-openai", "sim-anthropic")


def fetch(method, url, body=None, token=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read() or b"null")


class Model:
    """A model of a test's own: what callers ask for, and what the providers call it."""

    def __init__(self, name, upstream):
        self.name, self.upstream = name, upstream
        self.bare = name.split("/")[-1]


class Installation:
    """A running `tidegate dev`, described by its dev.json."""

    def __init__(self, values):
        self.__dict__.update(values)

    def admin(self, method, path, body=None):
        """Calls the management API as the organization's owner and platform administrator."""
        return fetch(method, f"{self.control_url}/api/v1{path}", body, self.admin_token)

    def team(self):
        return self.admin("GET", "/teams")["data"][0]["id"]

    def key(self, **fields):
        """A fresh virtual key; waits until every node knows it."""
        body = {"team_id": self.team(), "name": f"test-{uuid.uuid4()}", **fields}
        return self.admin("POST", "/keys?wait=fleet", body)

    def budget(self, key_id, limit):
        body = {
            "name": f"test-{uuid.uuid4()}",
            "limit": limit,
            "window": {"every": "month"},
            "scope": {"key": key_id},
            "enforcement": "hard",
            "mode": "strict",
        }
        return self.admin("POST", "/budgets?wait=fleet", body)

    def new_model(
        self, *providers, like="sim/", kind="language", prices=PRICES, max_output_tokens=16_384, upstream="upstream-"
    ):
        """A fresh model at these providers only, whose failures concern nobody else. Its names begin as told."""
        tag = uuid.uuid4().hex[:12]
        model = Model(f"{like}{tag}", f"{upstream}{tag}")
        can = {"tools": True, "vision": True, "reasoning": True, "structured_output": True}
        body = {"name": model.name, "kind": kind, "context_window": 128_000, "max_output_tokens": max_output_tokens}
        self.admin("POST", "/models", body | {"capabilities": can})
        tiers = [{"from_input_tokens": 0, "prices": [{"unit": u, "price": p} for u, p in prices.items()]}]
        for provider in providers:
            body = {"model": model.name, "provider": provider, "upstream_name": model.upstream}
            offering = self.admin("POST", "/offerings", body)
            price = {"offering_id": offering["id"], "tiers": tiers, "source": "simulator"}
            self.admin("POST", "/prices?wait=fleet", price)
        return model

    def charged_as_billed(self, simulator, calls):
        """These calls were charged what the simulated providers bill for them, to the nano-dollar."""
        assert calls, "no provider was asked"
        for call_id in dict.fromkeys(calls):
            billed = sum(line["nano_usd"] for line in simulator.bill(call_id))
            record = self.record(call_id)
            assert Decimal(record["cost"]) * 10**9 == billed > 0, record

    def record(self, call_id):
        """The call's record; it may take seconds until it is there."""
        import time

        deadline = time.monotonic() + 120
        while True:
            try:
                return self.admin("GET", f"/calls/{call_id}")
            except urllib.error.HTTPError as error:
                if error.code != 404 or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)


class Simulator:
    """The simulated providers."""

    def __init__(self, url):
        self.url = url

    def script(self, *rules):
        fetch("POST", f"{self.url}/script", {"rules": list(rules)})

    def bill(self, call_id):
        """The lines of the bill that belong to a call."""
        return [line for line in fetch("GET", f"{self.url}/bill")["calls"] if line["call_id"] == call_id]

    def requests(self, model):
        """The bodies that arrived for a model of a test's own, and who got them."""
        journal = fetch("GET", f"{self.url}/journal")
        return [entry for entry in journal if (entry["body"] or {}).get("model") == model.upstream]

    def calls(self, model):
        """The ids of the calls that arrived for a model of a test's own, wherever its name stands."""
        journal = fetch("GET", f"{self.url}/journal")
        return [entry["call_id"] for entry in journal if model.upstream in json.dumps(entry)]

    def billed(self, model):
        """What calls of a model of a test's own cost by the simulated providers' bill: USD, in their order."""
        return [Decimal(line["nano_usd"]) / 10**9 for call in self.calls(model) for line in self.bill(call)]


@pytest.fixture(scope="session")
def tidegate():
    return Installation(json.loads(Path(os.environ["TIDEGATE_DEV_JSON"]).read_text()))


@pytest.fixture
def simulator(tidegate):
    simulator = Simulator(tidegate.simulator_url)
    yield simulator
    simulator.script()


@pytest.fixture(scope="session", params=PROVIDERS)
def only(request, tidegate):
    """A model that only one provider serves: each surface meets each dialect."""
    model = tidegate.new_model(request.param)
    model.provider = request.param
    return model


@pytest.fixture(scope="session")
def at_openai(tidegate):
    return tidegate.new_model("sim-openai")


@pytest.fixture(scope="session")
def at_anthropic(tidegate):
    return tidegate.new_model("sim-anthropic")


@pytest.fixture
def billed_as_charged(request):
    """Whatever a test asks of the model that one provider serves: its calls' records say what the bill says."""
    if "only" not in request.fixturenames:
        yield
        return
    model, tidegate, simulator = (request.getfixturevalue(name) for name in ("only", "tidegate", "simulator"))
    seen = len(simulator.calls(model))
    yield
    tidegate.charged_as_billed(simulator, simulator.calls(model)[seen:])
