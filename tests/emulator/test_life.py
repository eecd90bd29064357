"""Lifetime of an emulator: port, folders, providers, closing. Each test starts one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from emulator.provider import Provider
from emulator.region import Region
from emulator.wire import Request, ServiceError
from tests.emulator.support import make_bucket


class FailingProvider(Provider):
    """Provider whose operations raise."""

    def operations(self) -> dict[str, Any]:
        """Two operations, one with a service error and one with an unexpected error."""
        return {"AWSEvents.EnableRule": self._refuse, "AWSEvents.DisableRule": self._break}

    def _refuse(self, request: Request) -> None:
        raise ServiceError("ConcurrentModificationException", f"not {request.json['Name']}")

    def _break(self, request: Request) -> None:
        raise KeyError(request.operation)


def test_port_in_use_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with Emulator(root=tmp_path, providers={}).start(port) as emulator:
            assert emulator.port != port
            assert emulator.moved
            assert emulator.client("s3").list_buckets()["Buckets"] == []
    with Emulator(root=tmp_path, providers={}).start(port) as emulator:
        assert (emulator.port, emulator.moved) == (port, False)


def test_second_emulator_is_refused_and_next_one_is_empty(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        make_bucket(emulator, "first")
        with pytest.raises(RuntimeError, match="runs an emulator already"):
            Emulator(root=tmp_path, providers={}).start()
        assert len(emulator.client("s3").list_buckets()["Buckets"]) == 1
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        assert emulator.client("s3").list_buckets()["Buckets"] == []
        make_bucket(emulator, "first")


def test_close_deletes_work_folder_and_keeps_logs(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        one, two = emulator.host.folder("builds", "a/b"), emulator.host.folder("builds", "a/b")
        assert one != two
        assert one.is_relative_to(tmp_path)
        Region(emulator.host, emulator.region).log("/shop/log", "2026/[1]x", "a line")
    assert not one.exists()
    assert (tmp_path / "logs" / "shop" / "log" / "2026_1_x.log").read_text() == "a line\n"


def test_close_ends_child_processes(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        env = Region(emulator.host, emulator.region).machine_env()
        child = emulator.host.processes.start(["sleep", "300"], cwd=tmp_path, env=env, on_line=print)
        assert child.running
    assert not child.running


def test_errors_are_rendered_in_the_request_protocol(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={"failing": lambda _: FailingProvider()}).start() as emulator:
        events = emulator.client("events")
        with pytest.raises(events.exceptions.ConcurrentModificationException, match="not x"):
            events.enable_rule(Name="x")
        with pytest.raises(ClientError, match=r"InternalFailure.*KeyError: 'DisableRule'"):
            events.disable_rule(Name="x")
        with pytest.raises(ClientError, match=r"NotImplemented.*the emulator: sagemaker DescribeContext"):
            emulator.client("sagemaker").describe_context(ContextName="x")
