"""Fixtures of the CodeBuild tests: one emulator with a project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.app import Emulator
from tests.emulator.support import WRITE_LOGS, make_bucket, make_role, zipped

IMAGE = "aws/codebuild/amazonlinux2-x86_64-standard:5.0"
PROBE = """
version: 0.2
env:
  variables: {WHO: buildspec, WHERE: buildspec}
phases:
  install:
    commands:
      - python -m pip install --quiet -r requirements.txt
  pre_build:
    commands:
      - export EARLIER="a 'b'"
      - ./run.sh
  build:
    commands:
      - echo "$WHO/$WHERE/$EARLIER"
      - echo "$CODEBUILD_BUILD_ID in $CODEBUILD_SRC_DIR of $CODEBUILD_RESOLVED_SOURCE_VERSION"
      - python -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])'
"""


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Running emulator with every provider."""
    with Emulator(root=tmp_path_factory.mktemp("emulator")).start() as running:
        yield running


READ_SOURCES = {
    "Effect": "Allow",
    "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"],
    "Resource": ["arn:aws:s3:::sources", "arn:aws:s3:::sources/*"],
}


@pytest.fixture(scope="package")
def project(emulator: Emulator) -> str:
    """Name of a project with a versioned source bundle."""
    bucket = make_bucket(emulator, "sources", versions=True)
    old = {"run.sh": "#!/bin/sh\necho old source\n", "requirements.txt": "boto3>=1\n"}
    emulator.client("s3").put_object(Bucket=bucket, Key="code/source.zip", Body=zipped(old))
    role = make_role(emulator, "builder", "codebuild.amazonaws.com", WRITE_LOGS, READ_SOURCES)
    variables = [{"name": "WHO", "value": "project", "type": "PLAINTEXT"}]
    emulator.client("codebuild").create_project(
        name="shop",
        source={"type": "S3", "location": f"{bucket}/code/source.zip", "buildspec": PROBE},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": IMAGE,
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": variables,
        },
        serviceRole=role,
        encryptionKey="arn:aws:kms:ap-northeast-2:123456789012:key/k",
        logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": "/shop/builds"}},
    )
    return "shop"
