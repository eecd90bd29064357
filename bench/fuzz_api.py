"""Fuzzing of the recommendation API: requests generated from its OpenAPI file, and checks of every response.

    python bench/fuzz_api.py --requests 10000 --seed 1 --json out.json

The dev stage runs on the emulator with a small model. Half of the requests are valid by the OpenAPI file, and
half are not. A response fails if it is a server error, if its status, content type, headers or body are not
those of the file, or if it accepts a request that the file does not allow. The exit status is 1 after a
failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hypothesis
import requests
import schemathesis
import yaml
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bench.served_stage import served_stage

OPENAPI = Path(__file__).resolve().parents[1] / "lambdas" / "recommend" / "openapi.yaml"
CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
KNOWN_IDS = {"UserId": [f"u{n}" for n in range(20)], "ItemId": [str(n) for n in range(40)]}
TIMEOUT_S = 30
MAX_SHOWN = 20


@dataclass
class Fuzzing:
    """Responses by operation and status, strategies of the recommendations, and failed checks."""

    statuses: Counter[str] = field(default_factory=Counter)
    strategies: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def n_requests(self) -> int:
        return sum(self.statuses.values())

    def add(self, case: schemathesis.Case, response: schemathesis.Response) -> None:
        """Count a response, and check it."""
        self.statuses[f"{case.operation.label} {response.status_code}"] += 1
        if response.status_code == 200:
            body = response.json()
            for found in body.get("recommendations", [body]):
                self.strategies[found["strategy"]] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except (schemathesis.errors.SchemathesisError, AssertionError, BaseExceptionGroup) as error:
            self.failures.append(f"{case.as_curl_command()}\n{error}")


def fuzz(api_url: str, n_requests: int, seed: int) -> Fuzzing:
    """Send requests, an equal number of each operation, valid and not; equal seeds give equal requests."""
    found = Fuzzing()
    schema = schemathesis.openapi.from_dict(described_api())
    operations = [result.ok() for result in schema.get_all_operations()]
    kinds = [(each, mode) for each in operations for mode in GenerationMode]
    with requests.Session() as session:
        for number, (operation, mode) in enumerate(kinds):
            wanted = n_requests * (number + 1) // len(kinds)
            while found.n_requests < wanted:  # Hypothesis ends early if it finds no new requests
                cases = operation.as_strategy(generation_mode=mode)
                run = _run(cases, wanted - found.n_requests, found, api_url, session)
                hypothesis.seed(seed * 1_000_003 + found.n_requests)(run)()
    return found


def described_api() -> dict[str, Any]:
    """The OpenAPI file without signatures, which the emulator does not check, and with ids of the model.

    Generated texts are ids of the model too rarely to reach the recommendations of its users and items. The
    path keeps its schema: every value is text there, so that another type is no invalid one.
    """
    document = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
    del document["security"], document["components"]["securitySchemes"]
    schemas = document["components"]["schemas"]
    for name, known in KNOWN_IDS.items():
        schemas[f"Any{name}"] = schemas[name]
        schemas[name] = {"anyOf": [{"enum": known}, {"$ref": f"#/components/schemas/Any{name}"}]}
    (in_path,) = (
        each
        for each in document["paths"]["/recommendations/{user_id}"]["get"]["parameters"]
        if each["in"] == "path"
    )
    in_path["schema"] = {"$ref": "#/components/schemas/AnyUserId"}
    return document


def _run(
    cases: Any, n_requests: int, found: Fuzzing, api_url: str, session: requests.Session
) -> Callable[[], None]:
    """Test that sends so many generated requests, or fewer, and adds the responses to `found`."""

    @hypothesis.settings(
        max_examples=n_requests,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases)
    def send(case: schemathesis.Case) -> None:
        # Clients remove such path segments, so that the path is another one.
        hypothesis.assume((case.path_parameters or {}).get("user_id") not in (".", ".."))
        found.add(case, case.call(base_url=api_url, session=session, timeout=TIMEOUT_S))

    return send


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/fuzz_api.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args(argv)
    with served_stage() as served:
        began = time.perf_counter()
        found = fuzz(served.api_url, arguments.requests, arguments.seed)
        seconds = time.perf_counter() - began
    result = {
        "requests": found.n_requests,
        "seed": arguments.seed,
        "seconds": seconds,
        "statuses": dict(sorted(found.statuses.items())),
        "strategies": dict(found.strategies),
        "failures": found.failures,
    }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for failure in found.failures[:MAX_SHOWN]:
        print(failure, file=sys.stderr)
    print(f"{found.n_requests} requests in {seconds:.0f} s, {len(found.failures)} failures")
    for name, count in sorted(found.statuses.items()):
        print(f"  {name:40} {count}")
    print(f"  strategies: {dict(found.strategies)}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
