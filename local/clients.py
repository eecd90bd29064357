"""Settings with which AWS clients use the emulator, as `python -m local cloud` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from rich.markup import escape

# Services of the Pulumi program, by the names that the AWS provider uses in its `endpoints` setting.
PROVIDER_SERVICES = (
    *("apigatewayv2", "appautoscaling", "budgets", "cloudwatch", "codebuild", "ec2", "emr", "events", "iam"),
    *("kms", "lambda", "logs", "s3", "sagemaker", "scheduler", "sns", "sqs", "sts"),
)
S3_CONTROL = "s3control"
CREDENTIALS = "emulator"  # access key and secret key; any value


def provider_settings(url: str, region: str) -> dict[str, Any]:
    """Arguments of the AWS provider, version 5 and later, by their Terraform names.

    The account id stays requested: the provider writes it into ARNs. The provider reads bucket tags from S3
    Control, whose client puts the account id in front of the endpoint's host name. An IP address cannot have
    a prefix, and `123456789012.localhost` does not resolve on every system, so that these requests go to the
    emulator as their HTTP proxy; requests to 127.0.0.1 use no proxy.
    """
    endpoints = dict.fromkeys(PROVIDER_SERVICES, url)
    return {
        "region": region,
        "access_key": CREDENTIALS,
        "secret_key": CREDENTIALS,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "s3_use_path_style": True,
        "http_proxy": url,
        "endpoints": [{**endpoints, S3_CONTROL: f"http://localhost:{urlsplit(url).port}"}],
    }


def stage_settings(url: str, region: str) -> dict[str, Any]:
    """Configuration of a stage file (`Pulumi.<stage>.yaml`) with the same arguments."""
    return {f"aws:{_camel_case(name)}": value for name, value in provider_settings(url, region).items()}


def environment(url: str, region: str) -> dict[str, str]:
    """Environment variables of boto3, the aws command line and other SDKs."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": CREDENTIALS,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS,
    }


def stage_yaml(url: str, region: str) -> str:
    """`stage_settings` as lines of a stage file."""
    text = yaml.safe_dump({"config": stage_settings(url, region)}, sort_keys=False, width=1000)
    return text.removesuffix("\n")


def terraform_hcl(url: str, region: str) -> str:
    """`provider_settings` as a Terraform provider block."""
    settings = provider_settings(url, region)
    (endpoints,) = settings.pop("endpoints")
    lines = [*_assignments(settings, "  "), "  endpoints {", *_assignments(endpoints, "    "), "  }"]
    return "\n".join(['provider "aws" {', *lines, "}"])


def instructions(url: str, region: str) -> str:
    """Set-up instructions for each client, in the markup of rich."""
    exports = " ".join(f"{name}={value}" for name, value in environment(url, region).items())
    return (
        f"the emulator listens at [bold]{url}[/]  (Ctrl-C stops it)\n\n"
        "[dim]# boto3, the aws command line, and most other clients[/]\n"
        f"export {exports}\n\n"
        "[dim]# pulumi up with the real AWS provider: in a separate Pulumi.<stage>.yaml[/]\n"
        f"{escape(stage_yaml(url, region))}\n\n"
        "[dim]# Terraform with the real AWS provider[/]\n"
        f"{escape(terraform_hcl(url, region))}\n"
    )


def _assignments(values: Mapping[str, Any], indent: str) -> list[str]:
    width = max(map(len, values))
    return [f"{indent}{name:{width}} = {_literal(value)}" for name, value in values.items()]


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
