"""AWS session of a build."""

from __future__ import annotations

import boto3
import botocore.session
from botocore.config import Config

# Bounded timeouts and retries, so that a call cannot block the build.
CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5}
)


def aws_session(region: str) -> boto3.Session:
    """A session whose clients have timeouts and bounded retries.

    It also becomes boto3's default session, since the SageMaker SDK creates some clients from that.
    """
    core = botocore.session.get_session()
    core.set_default_client_config(CLIENT_CONFIG)
    session = boto3.Session(botocore_session=core, region_name=region)
    boto3.DEFAULT_SESSION = session
    return session
