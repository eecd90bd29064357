"""Creators of Lambda functions, their permissions and their asynchronous invocation settings."""

from __future__ import annotations

from typing import Any

import pulumi

from components.packing import zip_bytes
from local.deploy.context import Context, Creator
from local.deploy.errors import CreateError
from local.deploy.inputs import Inputs
from local.deploy.values import archive_entries, asset_bytes

MAX_FUNCTION_NAME = 64  # Lambda API, CreateFunction


def function(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("lambda")
    sent = {
        "FunctionName": context.name_of(inputs, name, max_length=MAX_FUNCTION_NAME),
        **inputs.pick(
            {
                "handler": "Handler",
                "runtime": "Runtime",
                "role": "Role",
                "description": "Description",
                "timeout": "Timeout",
                "memorySize": "MemorySize",
                "architectures": "Architectures",
                "layers": "Layers",
                "kmsKeyArn": "KMSKeyArn",
            }
        ),
        **_blocks(inputs),
    }
    tags = inputs.plain("tags", {})
    client.create_function(Code={"ZipFile": package(context, inputs["code"])}, Tags=tags, **sent)
    client.get_waiter("function_active_v2").wait(
        FunctionName=sent["FunctionName"], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    read = client.get_function(FunctionName=sent["FunctionName"])
    layers = [layer["Arn"] for layer in read["Configuration"].get("Layers", [])]
    inputs.compare(
        {**sent, "Tags": tags}, {**read["Configuration"], "Layers": layers, "Tags": read.get("Tags", {})}
    )
    _reserve(client, sent["FunctionName"], inputs)
    return sent["FunctionName"], _outputs(context, read["Configuration"])


def _blocks(inputs: Inputs) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    if environment := inputs.block("environment"):
        sent["Environment"] = {"Variables": environment.plain("variables", {})}
    if tracing := inputs.block("tracingConfig"):
        sent["TracingConfig"] = tracing.pick({"mode": "Mode"})
    if logging := inputs.block("loggingConfig"):
        sent["LoggingConfig"] = logging.pick({"logFormat": "LogFormat", "logGroup": "LogGroup"})
    if dead_letters := inputs.block("deadLetterConfig"):
        sent["DeadLetterConfig"] = dead_letters.pick({"targetArn": "TargetArn"})
    return sent


def _reserve(client: Any, function_name: str, inputs: Inputs) -> None:
    reserved = inputs.get("reservedConcurrentExecutions")
    if reserved is None or reserved < 0:  # -1 of the provider: unreserved concurrency
        return
    sent = {"ReservedConcurrentExecutions": reserved}
    client.put_function_concurrency(FunctionName=function_name, **sent)
    inputs.compare(sent, client.get_function_concurrency(FunctionName=function_name))


def _outputs(context: Context, configuration: dict[str, Any]) -> dict[str, Any]:
    arn = configuration["FunctionArn"]
    return {
        "arn": arn,
        "name": configuration["FunctionName"],
        "qualifiedArn": f"{arn}:{configuration['Version']}",
        "invokeArn": (
            f"arn:aws:apigateway:{context.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
        ),
        "version": configuration["Version"],
        "codeSha256": configuration["CodeSha256"],
        "sourceCodeSize": configuration["CodeSize"],
        "lastModified": configuration["LastModified"],
    }


def package(context: Context, code: pulumi.Archive | pulumi.Asset) -> bytes:
    """Deployment package: a zip file unchanged, or a zip of the archive's files."""
    if isinstance(code, pulumi.Asset):
        return asset_bytes(code, context.root)
    if isinstance(code, pulumi.FileArchive) and (context.root / code.path).is_file():
        return (context.root / code.path).read_bytes()
    return zip_bytes(archive_entries(code, context.root))


def permission(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("lambda")
    sent = {
        "FunctionName": inputs["function"],
        "StatementId": context.name_of(inputs, name, key="statementId", max_length=100),
        **inputs.pick(
            {
                "action": "Action",
                "principal": "Principal",
                "sourceArn": "SourceArn",
                "sourceAccount": "SourceAccount",
            }
        ),
    }
    client.add_permission(**sent)
    if sent["StatementId"] not in client.get_policy(FunctionName=sent["FunctionName"])["Policy"]:
        raise CreateError("the policy of the function does not contain the permission")
    return sent["StatementId"], {"statementId": sent["StatementId"]}


def event_invoke_config(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("lambda")
    function_name = inputs["functionName"]
    sent: dict[str, Any] = inputs.pick(
        {
            "maximumRetryAttempts": "MaximumRetryAttempts",
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
        }
    )
    if destinations := inputs.block("destinationConfig"):
        sent["DestinationConfig"] = {
            target: block.pick({"destination": "Destination"})
            for key, target in {"onFailure": "OnFailure", "onSuccess": "OnSuccess"}.items()
            if (block := destinations.block(key))
        }
    client.put_function_event_invoke_config(FunctionName=function_name, **sent)
    inputs.compare(sent, client.get_function_event_invoke_config(FunctionName=function_name))
    return function_name, {}


CREATORS: dict[str, Creator] = {
    "aws:lambda/function:Function": function,
    "aws:lambda/permission:Permission": permission,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": event_invoke_config,
}
