"""HTTP server: connections, access check, regions, conditional writes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import S3Backend

from emulator.app import Emulator
from tests.emulator.support import make_bucket


def test_connection_is_kept_alive_for_all_body_encodings(emulator: Emulator) -> None:
    make_bucket(emulator, "kept")
    scope = f"Credential=AKIA/20261123/{emulator.region}/s3/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    connection.request("PUT", "/kept/whole", b"whole")
    assert connection.getresponse().read() == b""
    sock = connection.sock
    connection.request(
        "PUT", "/kept/chunked", iter([b"chun", b"ked"]), {"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    assert connection.getresponse().read() == b""
    connection.request("HEAD", "/kept/whole", headers=signed)
    response = connection.getresponse()
    assert (response.read(), response.getheader("Content-Length")) == (b"", "5")
    connection.request("GET", "/kept/chunked", headers=signed)
    assert connection.getresponse().read() == b"chunked"
    assert connection.sock is sock
    connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:4566"}, 200),
        ({"Host": "bucket.localhost:4566"}, 200),
        ({"Host": "[::1]:4566"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://shop.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "rebound.example:4566"}, 403),
    ],
)
def test_foreign_host_or_origin_is_refused(emulator: Emulator, headers: dict[str, str], status: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    scope = f"Credential=AKIA/20261123/{emulator.region}/sqs/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    target = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}
    connection.request("POST", "/", b"{}", {**signed, **target, **headers})
    response = connection.getresponse()
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (status, None)
    connection.close()


def test_regions_are_isolated(emulator: Emulator) -> None:
    for region in ("us-east-1", "eu-west-1"):
        emulator.client("sqs", region).create_queue(QueueName=f"only-{region}")
        emulator.client("emr", region).create_security_configuration(
            Name=f"only-{region}", SecurityConfiguration="{}"
        )
    urls = emulator.client("sqs", "us-east-1").list_queues()["QueueUrls"]
    assert [url.rpartition("/")[2] for url in urls] == ["only-us-east-1"]
    with pytest.raises(ClientError, match="does not exist"):
        emulator.client("emr", "us-east-1").describe_security_configuration(Name="only-eu-west-1")


def test_presigned_url_returns_object(emulator: Emulator) -> None:
    make_bucket(emulator, "signed")
    emulator.client("s3").put_object(Bucket="signed", Key="a b", Body=b"content")
    url = emulator.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": "signed", "Key": "a b"}
    )
    with urlopen(url, timeout=10) as response:
        assert response.read() == b"content"


def test_concurrent_conditional_writes_store_one_object(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bucket(emulator, "race")
    put_object = S3Backend.put_object

    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.05)  # between moto's check and its write
        return put_object(*arguments, **named)

    monkeypatch.setattr(S3Backend, "put_object", slow)
    barrier = threading.Barrier(8)

    def write(number: int) -> str:
        barrier.wait()
        try:
            emulator.client("s3").put_object(
                Bucket="race", Key="k", Body=str(number).encode(), IfNoneMatch="*"
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(number)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, range(8)))
    assert outcomes.count("PreconditionFailed") == 7
    stored = emulator.client("s3").get_object(Bucket="race", Key="k")["Body"].read().decode()
    assert stored in outcomes


def test_aws_managed_policy_can_be_attached(emulator: Emulator) -> None:
    iam = emulator.client("iam")
    iam.create_role(RoleName="managed", AssumeRolePolicyDocument="{}")
    arn = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"
    iam.attach_role_policy(RoleName="managed", PolicyArn=arn)
    assert iam.list_attached_role_policies(RoleName="managed")["AttachedPolicies"][0]["PolicyArn"] == arn


def test_body_that_is_not_an_object_is_refused(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    scope = f"Credential=AKIA/20261123/{emulator.region}/codebuild/aws4_request"
    headers = {
        "X-Amz-Target": "CodeBuild_20161006.StartBuild",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
    }
    connection.request("POST", "/", b"[]", headers)
    response = connection.getresponse()
    assert response.status == 400
    assert json.loads(response.read())["__type"] == "SerializationException"
