"""Faults of the endpoint while the API is used: 200 requests under each of five faults, with 8 clients.

    python bench/endpoint_faults.py --json out.json

The dev stage runs on the emulator. The function `recommend` reaches the endpoint through a proxy
(`AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`), which delays, refuses or replaces answers; for the last fault, the
process of the model is killed. After each of the other faults the endpoint is restored, and lists have to
come from the model again. The alarm on fallbacks is evaluated on the data points that the function wrote to
its log. The exit status is 1 if a response was not 200 with a list, if the 99th percentile of the latency is
above 1.5 s, if the alarm would not go into ALARM, or if the model does not answer again.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
import requests

from bench.served_stage import N_USERS, ServedStage, served_stage
from emulator.services.sagemaker.endpoints import inference_server
from local.aws import DeployedStage
from ml import contract

N_CLIENTS = 8
REQUESTS_PER_FAULT = 200
SLOW_S = 10.0  # delay of a slow answer, above every timeout of the function
RECOVERY_S = 11.0  # the circuit breaker makes a probe after 10 s
MAX_PROBES = 5
MAX_P99_S = 1.5
FORWARDED_HEADERS = ("Content-Type", "Accept", "Authorization", "X-Amz-Date", "X-Amz-Security-Token")


class FaultyRuntime(ThreadingHTTPServer):
    """HTTP proxy in front of SageMaker Runtime that injects a fault.

    Attributes:
        fault: slow, throttled, rubbish (a body that is not JSON), refused (a closed connection), or empty.
        n_calls: invocations that reached the proxy.
    """

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = url
        self.fault = ""
        self.n_calls = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyRuntime

    def do_POST(self) -> None:
        """InvokeEndpoint."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.n_calls += 1
        match self.server.fault:
            case "refused":
                self.close_connection = True
            case "throttled":
                self._send(429, b'{"message": "Rate exceeded"}', "ThrottlingException")
            case "rubbish":
                self._send(200, bytes(range(256)))
            case fault:
                if fault == "slow":
                    time.sleep(SLOW_S)
                headers = {name: self.headers[name] for name in FORWARDED_HEADERS if name in self.headers}
                answer = requests.post(self.server.target + self.path, body, headers=headers, timeout=30)
                self._send(answer.status_code, answer.content, answer.headers.get("x-amzn-ErrorType", ""))

    def _send(self, status: int, body: bytes, error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client did not wait

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Do nothing."""


@contextmanager
def faulty_runtime(stage: DeployedStage) -> Iterator[FaultyRuntime]:
    """Send the invocations of the function `recommend` through the proxy."""
    client, name = stage.client("lambda"), stage.outputs["recommend_function"]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def configure(environment: Mapping[str, str]) -> None:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": dict(environment)})

    with FaultyRuntime(stage.url) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        configure({**variables, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": proxy.url})
        try:
            yield proxy
        finally:
            configure(variables)
            proxy.shutdown()


@dataclass(frozen=True)
class Answer:
    """A response of the API: its status, strategy and number of items, and its latency."""

    status: int
    strategy: str
    n_items: int
    seconds: float

    @property
    def is_list(self) -> bool:
        return self.status == 200 and self.n_items > 0


def ask(api_url: str, n_requests: int, n_clients: int = N_CLIENTS) -> list[Answer]:
    """Request recommendations; each client sends one request at a time."""

    def send(number: int) -> Answer:
        began = time.perf_counter()
        response = requests.get(f"{api_url}/recommendations/u{number % N_USERS}", timeout=60)
        seconds = time.perf_counter() - began
        body = response.json() if response.status_code == 200 else {}
        return Answer(response.status_code, body.get("strategy", ""), len(body.get("items", ())), seconds)

    with ThreadPoolExecutor(n_clients) as clients:
        return list(clients.map(send, range(n_requests)))


def kill_model(emulator_pid: int) -> None:
    """Kill the process of the model, a child of the emulator's process."""
    script = str(Path(inference_server.__file__))
    for child in psutil.Process(emulator_pid).children(recursive=True):
        if script in child.cmdline():
            child.kill()


def alarm_on_fallbacks(stage: DeployedStage) -> tuple[bool, int]:
    """Whether the alarm on fallbacks would go into ALARM, and the number of fallbacks.

    The alarm's own settings are applied to the metric lines of the function's log, as CloudWatch does.
    """
    (alarm,) = (
        each
        for each in stage.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if each.get("MetricName") == contract.FALLBACK_METRIC
    )
    if (alarm["Statistic"], alarm["ComparisonOperator"]) != ("Sum", "GreaterThanThreshold"):
        raise SystemExit("the alarm on fallbacks is not one on a sum above a threshold")
    expected = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    pages = stage.client("logs").get_paginator("filter_log_events")
    sums: Counter[int] = Counter()
    for page in pages.paginate(logGroupName=stage.outputs["recommend_log_group"]):
        for event in page["events"]:
            for timestamp, value in _data_points(event["message"], alarm, expected):
                sums[timestamp // (1000 * alarm["Period"])] += value
    return any(value > alarm["Threshold"] for value in sums.values()), sum(sums.values())


def _data_points(
    line: str, alarm: Mapping[str, Any], dimensions: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    """Time and value of the alarm's metric in a log line in the embedded metric format."""
    if '"CloudWatchMetrics"' not in line:
        return
    document = json.loads(line)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        names = [metric["Name"] for metric in directive["Metrics"]]
        same = all(document.get(name) == value for name, value in dimensions.items())
        if (
            directive["Namespace"] == alarm["Namespace"]
            and alarm["MetricName"] in names
            and same
            and sorted(dimensions) in [sorted(each) for each in directive["Dimensions"]]
        ):
            yield document["_aws"]["Timestamp"], int(sum(document[alarm["MetricName"]]))


def run(served: ServedStage, requests_per_fault: int, emulator_pid: int) -> dict[str, Any]:
    """Inject each fault in turn; the results per fault, of the recoveries and of the alarm."""
    faults, recovered = {}, {}
    with faulty_runtime(served.stage) as proxy:
        warm = ask(served.api_url, 10 * N_CLIENTS)
        for fault in ("slow", "throttled", "rubbish", "refused", "killed"):
            before = proxy.n_calls
            if fault == "killed":
                kill_model(emulator_pid)
            else:
                proxy.fault = fault
            answers = ask(served.api_url, requests_per_fault)
            faults[fault] = {**_summary(answers), "calls_of_the_endpoint": proxy.n_calls - before}
            proxy.fault = ""
            if fault != "killed":
                recovered[fault] = after_recovery(served.api_url)
            faults[fault]["seconds"] = [answer.seconds for answer in answers]
        alarm, n_fallbacks = alarm_on_fallbacks(served.stage)
    seconds = [each for fault in faults.values() for each in fault.pop("seconds")]
    return {
        "without_fault": _summary(warm),
        "faults": faults,
        "after_recovery": recovered,
        "requests": len(seconds),
        "not_a_list": sum(each["not_a_list"] for each in faults.values()),
        "p50_s": float(np.percentile(seconds, 50)),
        "p99_s": float(np.percentile(seconds, 99)),
        "max_s": max(seconds),
        "alarm": alarm,
        "fallbacks": n_fallbacks,
    }


def after_recovery(api_url: str) -> dict[str, int]:
    """Wait until the circuit breaker is closed; the strategies of the answers by then.

    An open circuit would keep the next fault from the endpoint. On a busy machine the first probe may fail.
    """
    strategies: dict[str, int] = {}
    for _ in range(MAX_PROBES):
        time.sleep(RECOVERY_S)
        ask(api_url, 10 * N_CLIENTS)
        strategies = _summary(ask(api_url, 5 * N_CLIENTS))["strategies"]
        if set(strategies) == {"ncf"}:
            break
    return strategies


def _summary(answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "requests": len(answers),
        "not_a_list": sum(not answer.is_list for answer in answers),
        "statuses": dict(Counter(answer.status for answer in answers)),
        "strategies": dict(Counter(answer.strategy for answer in answers)),
        "p99_s": float(np.percentile([answer.seconds for answer in answers], 99)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python bench/endpoint_faults.py", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--requests-per-fault", type=int, default=REQUESTS_PER_FAULT)
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args(argv)
    with served_stage() as served:
        result = run(served, arguments.requests_per_fault, psutil.Process().pid)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    is_recovered = all(set(each) == {"ncf"} for each in result["after_recovery"].values())
    is_fast = result["p99_s"] <= MAX_P99_S
    return 0 if not result["not_a_list"] and is_fast and result["alarm"] and is_recovered else 1


if __name__ == "__main__":
    sys.exit(main())
