"""Environment variables of child processes, and boto3 clients; both exclude the user's AWS settings."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

# moto and boto3 read the user's AWS settings when they are imported, and fail on a profile that does not
# exist. They are removed from this process before either is loaded.
for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

ACCOUNT_ID = "123456789012"
ACCESS_KEY_ID = "AKIAEMULATOR00000000"
SECRET_ACCESS_KEY = "emulator"  # noqa: S105 - moto checks no signature
# Variables of this machine that its Python and its libraries need, see emulator/environments.md.
KEPT = ("LD_LIBRARY_PATH", "OMP_NUM_THREADS")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON_PATH = f"{Path(sys.executable).parent}:{SYSTEM_PATH}"  # this environment's programs first
# pip has no index: it accepts installed packages and downloads none, so that no build or job changes the
# environment that it shares with the emulator. Nothing is installed, so the check for conflicts, most of
# pip's run time, is off; "false" turns on an option whose name begins with "--no".
PIP_ENVIRONMENT = {
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_WARN_CONFLICTS": "false",
}
CLIENT_CONFIG = Config(
    connect_timeout=5,
    read_timeout=900,  # Lambda's longest synchronous invocation
    retries={"total_max_attempts": 3, "mode": "standard"},
    max_pool_connections=50,
    proxies={},
)


def machine_environment(url: str) -> dict[str, str]:
    """Variables that child processes get beside those that their service documents: endpoint and machine."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "AWS_ENDPOINT_URL": url}


def client_environment(url: str, region: str, home: Path) -> dict[str, str]:
    """Environment of a program of this machine that is a client of the emulator."""
    return {
        **machine_environment(url),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass(frozen=True)
class Credentials:
    """Credentials of a client; the default ones are the account's administrator."""

    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = field(default=SECRET_ACCESS_KEY, repr=False)
    session_token: str | None = field(default=None, repr=False)


ADMINISTRATOR = Credentials()


def make_client(service: str, url: str, region: str, credentials: Credentials = ADMINISTRATOR) -> Any:
    """boto3 client of the emulator."""
    with _session_lock:  # boto3 sessions are not thread-safe; clients are
        return _session().client(
            service,
            region_name=region,
            endpoint_url=url,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=CLIENT_CONFIG,
        )


@cache
def _session() -> boto3.session.Session:
    """Session shared by all clients; each new session reads botocore's service models again."""
    return boto3.session.Session()


_session_lock = threading.Lock()
