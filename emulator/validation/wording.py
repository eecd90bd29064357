"""Errors of invalid requests in the words of each service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.validation.constraints import TypeMismatchError, Violation
from emulator.wire import ServiceError

# Code of "1 validation error detected: …"; services that word it differently have functions below.
CODES: Mapping[str, str] = {
    "cloudwatch": "ValidationError",
    "codebuild": "InvalidInputException",
    "iam": "ValidationError",
    "logs": "InvalidParameterException",
    "sagemaker-runtime": "ValidationError",
    "sns": "ValidationError",
    "sts": "ValidationError",
}
DEFAULT_CODE = "ValidationException"
# Code of a request that cannot be parsed; SerializationException elsewhere.
PARSE_CODES: Mapping[str, str] = {
    "apigatewayv2": "BadRequestException",
    "ec2": "InvalidParameterValue",
    "iam": "MalformedInput",
    "s3": "MalformedXML",
    "s3control": "MalformedXML",
    "sns": "MalformedInput",
    "sts": "MalformedInput",
}
MAX_REPORTED = 10


def invalid(service: str, found: Sequence[Violation]) -> ServiceError:
    """Error for constraints of the model that a request does not satisfy."""
    if service == "ec2":
        return _ec2(found[0])
    if service in ("s3", "s3control"):
        return _s3(found[0])
    if service == "sqs" and found[0].kind == "required":
        name = found[0].path[:1].upper() + found[0].path[1:]
        return ServiceError("MissingParameter", f"The request must contain the parameter {name}.")
    if service == "apigatewayv2":
        return ServiceError("BadRequestException", f"Invalid value at {found[0].path}: {found[0].text}")
    errors = "error" if len(found) == 1 else "errors"
    texts = "; ".join(_sentence(each) for each in found[:MAX_REPORTED])
    return ServiceError(
        CODES.get(service, DEFAULT_CODE), f"{len(found)} validation {errors} detected: {texts}"
    )


def unparsable(service: str, error: TypeMismatchError) -> ServiceError:
    """Error for a value that does not have the type of its member."""
    code = PARSE_CODES.get(service, "SerializationException")
    return ServiceError(code, f"{error} ({error.path})" if error.path else str(error))


def _sentence(found: Violation) -> str:
    value = found.value if found.value is None or found.kind == "required" else f"'{found.value}'"
    shown = "Value" if value is None else f"Value {value}"
    return f"{shown} at '{found.path}' failed to satisfy constraint: {found.text}"


def _ec2(found: Violation) -> ServiceError:
    name = found.path[:1].upper() + found.path[1:].replace(".member", "")
    if found.kind == "required":
        return ServiceError("MissingParameter", f"The request must contain the parameter {name}")
    if found.kind == "unknown":
        return ServiceError("UnknownParameter", f"The parameter {name} is not recognized")
    text = f"Value ({found.value}) for parameter {name} is invalid. {found.text}"
    return ServiceError("InvalidParameterValue", text)


def _s3(found: Violation) -> ServiceError:
    in_body = "." in found.path or found.kind == "unknown"
    if in_body:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        return ServiceError("MalformedXML", f"{text}: {found.path}: {found.text}")
    return ServiceError("InvalidArgument", f"{found.path}: {found.text}")
