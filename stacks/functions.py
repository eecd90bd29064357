"""Arguments that all Lambda functions of a stage share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.iam import Allow
from components.lambda_function import LambdaFunctionArgs
from stacks import paths


@dataclass(frozen=True, kw_only=True)
class FunctionDefaults:
    """Encryption, logging, alarms and layers of a stage's functions.

    Attributes:
        kms_key_arn: encrypts environments and log groups.
        layer_arns: layers of every function.
        log_retention_days: retention of the log groups.
        alarm_topic_arn: topic that the functions' alarms notify.
    """

    kms_key_arn: pulumi.Input[str]
    layer_arns: Sequence[str]
    log_retention_days: int
    alarm_topic_arn: pulumi.Input[str]

    def args(
        self,
        folder: str,
        *,
        environment: Mapping[str, pulumi.Input[str]],
        allows: Sequence[Allow],
        timeout_s: int,
        memory_mib: int,
        reserved_concurrency: int | None = None,
    ) -> LambdaFunctionArgs:
        """Arguments of the function in ``lambdas/<folder>``; see `LambdaFunctionArgs`."""
        return LambdaFunctionArgs(
            code=paths.LAMBDAS / folder,
            environment=environment,
            allows=allows,
            layer_arns=self.layer_arns,
            kms_key_arn=self.kms_key_arn,
            alarm_topic_arn=self.alarm_topic_arn,
            timeout_s=timeout_s,
            memory_mib=memory_mib,
            log_retention_days=self.log_retention_days,
            reserved_concurrency=reserved_concurrency,
        )
