"""Validation of one request: supported operation, constraints of the model, quotas."""

from __future__ import annotations

from emulator.operations import ApiCall, not_implemented
from emulator.validation import quotas, wording
from emulator.validation.constraints import TypeMismatchError, violations
from emulator.validation.decoding import decode
from emulator.validation.supported import ignored_member, is_supported
from emulator.wire import Request


def validate(call: ApiCall, request: Request) -> None:
    """Check a request as the service does before it acts.

    Raises:
        ServiceError: NotImplemented, or the service's error for an invalid request.
    """
    if not is_supported(call.service, call.name):
        raise not_implemented(f"{call.service} {call.name}")
    parameters = decode(call, request)
    shape = call.model.input_shape
    if shape is not None:
        try:
            found = list(violations(shape, parameters))
        except TypeMismatchError as error:
            raise wording.unparsable(call.service, error) from None
        if found:
            raise wording.invalid(call.service, found)
    if exceeded := list(quotas.exceeded(call.service, call.name, parameters, request.region)):
        raise wording.invalid(call.service, exceeded)
    if feature := ignored_member(call.service, call.name, parameters):
        raise not_implemented(feature)
