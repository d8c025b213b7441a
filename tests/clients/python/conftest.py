"""What the suites need: the running installation, and keys with limits of their own."""

import json
import os
import urllib.request
import uuid
from pathlib import Path

import pytest


class Installation:
    """A running `tidegate dev`, described by its dev.json."""

    def __init__(self, values):
        self.__dict__.update(values)

    def admin(self, method, path, body=None):
        """Calls the management API as the organization's owner."""
        request = urllib.request.Request(
            f"{self.control_url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self.admin_token}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

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


@pytest.fixture(scope="session")
def tidegate():
    return Installation(json.loads(Path(os.environ["TIDEGATE_DEV_JSON"]).read_text()))
