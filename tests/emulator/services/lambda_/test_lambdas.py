"""Lambda functions: packages, limits, errors, logs, asynchronous invocations."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator.app import PROVIDERS, Emulator
from emulator.delivery import Backoff, RetryPolicy
from emulator.services.lambda_.provider import LambdaProvider
from tests.emulator.support import make_function, make_queue, receive, zipped
from tests.polling import eventually

POWERTOOLS = (
    "arn:aws:lambda:ap-northeast-2:017000801446:layer:AWSLambdaPowertoolsPythonV3-python311-x86_64:18"
)
PROBE = """
import importlib.util, json, os, sys, time
started = time.time()
MODULES = ("local", "ml", "torch", "aws_lambda_powertools")
def handler(event, context):
    print("event", json.dumps(event))
    if "raise" in event: raise KeyError(event["raise"])
    if "sleep" in event: time.sleep(event["sleep"])
    if "exit" in event: os._exit(event["exit"])
    if "allocate" in event:
        kept = [bytearray(2**20) for _ in range(event["allocate"])]
        time.sleep(5)
    if "set" in event: return {1, 2}
    if "identity" in event:
        import boto3
        return boto3.client("sts").get_caller_identity()["Arn"]
    return {
        "pid": os.getpid(), "started": started, "cwd": os.getcwd(), "env": dict(os.environ),
        "found": [m for m in MODULES if importlib.util.find_spec(m)],
        "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb, "stream": context.log_stream_name,
    }
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator that retries asynchronous invocations at once."""
    short_backoff = Backoff(first_s=0.01, longest_s=0.02)
    policy = RetryPolicy(max_retries=2, max_age_s=21_600, backoff=short_backoff, throttling=short_backoff)
    providers = {
        **PROVIDERS,
        "lambda": lambda wiring: LambdaProvider(wiring.host, wiring.forward, policy),
    }
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=providers).start() as running:
        yield running


@pytest.fixture(scope="module")
def probe(emulator: Emulator) -> str:
    """Function that returns its process, environment variables and context."""
    variables = {"Variables": {"COLOUR": "blue"}}
    return make_function(emulator, "probe", PROBE, Timeout=10, MemorySize=160, Environment=variables)


def invoke(emulator: Emulator, name: str, event: Any, **arguments: Any) -> tuple[Any, dict[str, Any]]:
    """Invoke a function; return (payload, response)."""
    response = emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **arguments)
    return json.loads(response["Payload"].read() or b"null"), response


def test_function_has_access_to_its_package_and_environment_only(emulator: Emulator, probe: str) -> None:
    seen, response = invoke(emulator, "probe", {})
    assert "FunctionError" not in response
    assert response["ExecutedVersion"] == "$LATEST"
    assert seen["found"] == []
    assert seen["env"]["COLOUR"] == "blue"
    assert seen["env"]["AWS_LAMBDA_FUNCTION_NAME"] == "probe"
    assert seen["cwd"] == seen["env"]["LAMBDA_TASK_ROOT"]
    assert not {"JAVA_HOME", "HOME", "VIRTUAL_ENV"} & set(seen["env"])
    assert (seen["arn"], seen["memory"]) == (probe, "160")
    assert 0 < seen["left"] <= 10_000
    identity, _ = invoke(emulator, "probe", {"identity": 1})
    assert identity == "arn:aws:sts::123456789012:assumed-role/probe-role/probe"


def test_environment_is_reused_until_code_or_configuration_changes(emulator: Emulator) -> None:
    make_function(emulator, "warm", PROBE)
    first, _ = invoke(emulator, "warm", {})
    assert invoke(emulator, "warm", {})[0]["pid"] == first["pid"]
    functions = emulator.client("lambda")
    functions.update_function_configuration(FunctionName="warm", Environment={"Variables": {"STEP": "1"}})
    second, _ = invoke(emulator, "warm", {})
    assert second["env"]["STEP"] == "1"
    assert second["pid"] != first["pid"]
    functions.update_function_code(
        FunctionName="warm", ZipFile=zipped({"app.py": "def handler(e, c): return 5"})
    )
    assert invoke(emulator, "warm", {})[0] == 5


def test_deleted_function_leaves_no_process(emulator: Emulator) -> None:
    make_function(emulator, "deleted", PROBE)
    pid = invoke(emulator, "deleted", {})[0]["pid"]
    assert psutil.pid_exists(pid)
    emulator.client("lambda").delete_function(FunctionName="deleted")
    eventually(lambda: not psutil.pid_exists(pid))
    with pytest.raises(ClientError, match="Function not found"):
        invoke(emulator, "deleted", {})


def test_name_arn_and_partial_arn_name_the_same_function(emulator: Emulator, probe: str) -> None:
    for name in ("probe", probe, f"{emulator.account_id}:function:probe", f"{probe}:$LATEST"):
        assert invoke(emulator, name, {})[1]["StatusCode"] == 200
    with pytest.raises(ClientError, match=r"ResourceNotFoundException.*Function not found"):
        invoke(emulator, "absent", {})


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"raise": "x"}, "KeyError", "'x'"),
        ({"set": 1}, "Runtime.MarshalError", "Unable to marshal response: Object of type set"),
        ({"exit": 3}, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ({"allocate": 400}, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
    ],
)
def test_function_error_has_lambda_shape(
    emulator: Emulator, probe: str, event: Any, kind: str, message: str
) -> None:
    error, response = invoke(emulator, "probe", event)
    assert (response["StatusCode"], response["FunctionError"]) == (200, "Unhandled")
    assert error["errorType"] == kind
    assert message in error["errorMessage"]
    if kind == "KeyError":
        assert "in handler" in error["stackTrace"][0]
    assert "FunctionError" not in invoke(emulator, "probe", {})[1]


def test_function_is_ended_at_its_timeout(emulator: Emulator) -> None:
    make_function(emulator, "slow", PROBE, Timeout=1)
    error, response = invoke(emulator, "slow", {"sleep": 60})
    assert response["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in error["errorMessage"]
    emulator.client("lambda").update_function_configuration(FunctionName="slow", Timeout=10)
    assert "FunctionError" not in invoke(emulator, "slow", {})[1]


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        (
            {"other.py": ""},
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'app'",
        ),
        ({"app.py": "import torch"}, "Runtime.ImportModuleError", "No module named 'torch'"),
        ({"app.py": "x ="}, "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ({"app.py": ""}, "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ({"app.py": "import os; os.environ['NO']"}, "KeyError", "'NO'"),
    ],
)
def test_init_error_names_the_cause(
    emulator: Emulator, files: dict[str, str], kind: str, message: str, request: pytest.FixtureRequest
) -> None:
    name = f"broken-{kind.rpartition('.')[2]}-{len(message)}"
    make_function(emulator, name, "")
    emulator.client("lambda").update_function_code(FunctionName=name, ZipFile=zipped(files))
    error, response = invoke(emulator, name, {})
    assert (response["FunctionError"], error["errorType"]) == ("Unhandled", kind)
    assert message in error["errorMessage"]


def test_powertools_needs_its_layer(emulator: Emulator) -> None:
    make_function(emulator, "layered", PROBE, Layers=[POWERTOOLS])
    assert invoke(emulator, "layered", {})[0]["found"] == ["aws_lambda_powertools"]
    with pytest.raises(ClientError, match="has the public layers AWSLambdaPowertoolsPythonV3 only"):
        make_function(emulator, "unknown-layer", PROBE, Layers=[POWERTOOLS.replace("Powertools", "Insights")])


def test_code_is_read_from_bucket(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": emulator.region})
    s3.put_object(
        Bucket="packages", Key="f.zip", Body=zipped({"app.py": "def handler(e, c): return e['n'] + 1"})
    )
    make_function(emulator, "stored", "")
    emulator.client("lambda").update_function_code(FunctionName="stored", S3Bucket="packages", S3Key="f.zip")
    assert invoke(emulator, "stored", {"n": 1})[0] == 2


def test_log_has_start_end_and_report_lines(emulator: Emulator, probe: str) -> None:
    seen, response = invoke(emulator, "probe", {"colour": "red"}, LogType="Tail")
    request_id = response["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(response["LogResult"]).decode().splitlines()
    assert tail[:3] == [
        f"START RequestId: {request_id} Version: $LATEST",
        'event {"colour": "red"}',
        f"END RequestId: {request_id}",
    ]
    assert "Memory Size: 160 MB" in tail[3]
    events = emulator.client("logs").get_log_events(
        logGroupName="/aws/lambda/probe", logStreamName=seen["stream"]
    )
    assert [event["message"] for event in events["events"]][-4:] == tail
    assert tail[1] in emulator.host.logs.path("/aws/lambda/probe", seen["stream"]).read_text()


def test_reserved_concurrency_throttles(emulator: Emulator) -> None:
    make_function(emulator, "narrow", PROBE, Timeout=5)
    emulator.client("lambda").put_function_concurrency(FunctionName="narrow", ReservedConcurrentExecutions=1)
    invoke(emulator, "narrow", {})
    without_retries = boto3.client(
        "lambda",
        endpoint_url=emulator.url,
        region_name=emulator.region,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(invoke, emulator, "narrow", {"sleep": 1})
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            eventually(lambda: without_retries.invoke(FunctionName="narrow") and False, 3)
        assert "FunctionError" not in slow.result()[1]


def test_payload_that_is_not_json_is_refused(emulator: Emulator, probe: str) -> None:
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        emulator.client("lambda").invoke(FunctionName="probe", Payload=b"{")


def test_failing_event_is_retried_then_dead_lettered(
    emulator: Emulator,
) -> None:
    url, queue = make_queue(emulator, "failed")
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}
    destinations = {"OnFailure": {"Destination": queue}}
    make_function(emulator, "failing", PROBE, allows=[send], DeadLetterConfig={"TargetArn": queue})
    emulator.client("lambda").put_function_event_invoke_config(
        FunctionName="failing", MaximumRetryAttempts=1, DestinationConfig=destinations
    )
    payload, response = invoke(emulator, "failing", {"raise": "x"}, InvocationType="Event")
    assert (payload, response["StatusCode"]) == (None, 202)

    letters = [receive(emulator, url), receive(emulator, url)]

    dead = next(letter for letter in letters if "MessageAttributes" in letter)
    assert json.loads(dead["Body"]) == {"raise": "x"}
    assert dead["MessageAttributes"]["RequestID"]["StringValue"] == response["ResponseMetadata"]["RequestId"]
    assert dead["MessageAttributes"]["ErrorMessage"]["StringValue"] == "'x'"
    record = json.loads(next(letter for letter in letters if letter is not dead)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"] == {"raise": "x"}
    assert record["responsePayload"]["errorType"] == "KeyError"


def test_success_is_sent_to_destination(emulator: Emulator) -> None:
    url, queue = make_queue(emulator, "done")
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}
    make_function(emulator, "fine", "def handler(e, c): return {'ok': e}", allows=[send])
    emulator.client("lambda").put_function_event_invoke_config(
        FunctionName="fine", DestinationConfig={"OnSuccess": {"Destination": queue}}
    )
    invoke(emulator, "fine", {"n": 1}, InvocationType="Event")
    record = json.loads(receive(emulator, url)["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["responsePayload"] == {"ok": {"n": 1}}


def test_update_of_the_asynchronous_configuration_keeps_what_it_leaves_out(emulator: Emulator) -> None:
    # API reference, UpdateFunctionEventInvokeConfig: it updates; PutFunctionEventInvokeConfig overwrites.
    make_function(emulator, "configured", "def handler(event, context):\n    return 1\n")
    client, name = emulator.client("lambda"), {"FunctionName": "configured"}
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.update_function_event_invoke_config(**name, MaximumRetryAttempts=1)
    client.put_function_event_invoke_config(**name, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=100)
    client.update_function_event_invoke_config(**name, MaximumRetryAttempts=2)
    found = client.get_function_event_invoke_config(**name)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (2, 100)
    client.put_function_event_invoke_config(**name, MaximumRetryAttempts=0)
    assert "MaximumEventAgeInSeconds" not in client.get_function_event_invoke_config(**name)
