"""A real MLflow tracking server, and the traces that autologging leaves there."""

import os
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

# Traces are there as soon as a call is over.
os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope="session")
def server(tmp_path_factory, tidegate):
    """The address of an MLflow tracking server of this run's own, where the gateway may go as well."""
    assert tidegate.local_ports, "start tidegate dev with --local-port and a port that is free"
    folder, port = tmp_path_factory.mktemp("mlflow"), tidegate.local_ports[0]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "files")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def wait(url, process, log):
    deadline = time.monotonic() + 1200
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


class Traces:
    """The traces of one test."""

    def __init__(self, experiment):
        self.experiment = experiment

    def last(self):
        """The newest one; the server may need a moment."""
        deadline = time.monotonic() + 120
        while True:
            found = mlflow.search_traces(locations=[self.experiment], return_type="list", max_results=1)
            if found or time.monotonic() > deadline:
                [trace] = found
                return trace
            time.sleep(0.1)

    def tokens(self):
        used = self.last().info.token_usage
        return None if used is None else (used["input_tokens"], used["output_tokens"])


@pytest.fixture
def traces(server):
    mlflow.set_tracking_uri(server)
    experiment = mlflow.set_experiment(f"test-{uuid.uuid4()}")
    for library in (mlflow.openai, mlflow.anthropic, mlflow.pydantic_ai):
        library.autolog()
    yield Traces(experiment.experiment_id)
    for library in (mlflow.openai, mlflow.anthropic, mlflow.pydantic_ai):
        library.autolog(disable=True)
