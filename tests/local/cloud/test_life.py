"""The life of a cloud: its port, its folders, its planes, its end. Each test has a cloud of its own."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud, Plane, Request, ServiceError
from tests.local.cloud.support import make_bucket


class FailingPlane(Plane):
    """Fails in each way that an operation can."""

    def operations(self) -> dict[str, Any]:
        """Two operations of services that nothing else here uses."""
        return {"AWSEvents.DeauthorizeConnection": self._refuse, "AWSEvents.CreateConnection": self._break}

    def _refuse(self, request: Request) -> None:
        raise ServiceError("ConcurrentModificationException", f"not {request.json['Name']}")

    def _break(self, request: Request) -> None:
        raise KeyError(request.operation)


def test_a_port_in_use_is_left_to_its_owner(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with Cloud(root=tmp_path, planes=[]).start(port) as cloud:
            assert cloud.port != port
            assert cloud.moved
            assert cloud.client("s3").list_buckets()["Buckets"] == []
    with Cloud(root=tmp_path, planes=[]).start(port) as cloud:
        assert (cloud.port, cloud.moved) == (port, False)


def test_a_process_has_one_cloud_and_the_next_one_is_empty(tmp_path: Path) -> None:
    with Cloud(root=tmp_path, planes=[]).start() as cloud:
        make_bucket(cloud, "first")
        with pytest.raises(RuntimeError, match="runs an embedded cloud already"):
            Cloud(root=tmp_path, planes=[]).start()
        assert len(cloud.client("s3").list_buckets()["Buckets"]) == 1
    with Cloud(root=tmp_path, planes=[]).start() as cloud:
        assert cloud.client("s3").list_buckets()["Buckets"] == []


def test_work_goes_with_the_cloud_and_logs_stay(tmp_path: Path) -> None:
    with Cloud(root=tmp_path, planes=[]).start() as cloud:
        one, two = cloud.folder("builds", "a/b"), cloud.folder("builds", "a/b")
        assert one != two
        assert one.is_relative_to(tmp_path)
        cloud.log("/shop/log", "2026/[1]x", "a line")
    assert not one.exists()
    assert (tmp_path / "logs" / "shop" / "log" / "2026_1_x.log").read_text() == "a line\n"


def test_children_end_with_the_cloud_not_only_with_its_process(tmp_path: Path) -> None:
    with Cloud(root=tmp_path, planes=[]).start() as cloud:
        child = cloud.processes.start(["sleep", "300"], cwd=tmp_path, env=cloud.child_env(), on_line=print)
        assert child.running
    assert not child.running


def test_errors_speak_the_protocol_of_the_request(tmp_path: Path) -> None:
    with Cloud(root=tmp_path, planes=[FailingPlane]).start() as cloud:
        events = cloud.client("events")
        with pytest.raises(events.exceptions.ConcurrentModificationException, match="not x"):
            events.deauthorize_connection(Name="x")
        with pytest.raises(ClientError, match=r"InternalFailure.*KeyError: 'CreateConnection'"):
            events.create_connection(Name="x", AuthorizationType="API_KEY", AuthParameters={})
        with pytest.raises(ClientError, match=r"NotImplemented.*the embedded cloud: sagemaker UpdateContext"):
            cloud.client("sagemaker").update_context(ContextName="x")
