"""The AWS session of a build."""

from __future__ import annotations

import boto3
import botocore.session
from botocore.config import Config

# A call gives up after seconds, and is tried again a bounded number of times.
CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5}
)


def aws_session(region: str) -> boto3.Session:
    """A session whose every client has timeouts and bounded retries.

    It becomes boto3's default as well, since the SDK makes some clients without being given one.
    """
    core = botocore.session.get_session()
    core.set_default_client_config(CLIENT_CONFIG)
    session = boto3.Session(botocore_session=core, region_name=region)
    boto3.DEFAULT_SESSION = session
    return session
