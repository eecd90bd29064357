"""S3 Control as the AWS provider calls it: account id in the host name, the emulator as HTTP proxy."""

from __future__ import annotations

import http.client
from urllib.parse import quote

import boto3
from botocore.config import Config

from emulator.app import Emulator
from tests.emulator.support import make_bucket

ACCOUNT = "123456789012"
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=emulator/20261126/ap-northeast-2/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


def s3_control(emulator: Emulator, method: str, arn: str, query: str = "", body: str = "") -> str:
    """Send a request for the tags of a resource in the absolute form of the request line."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=10)
    host = f"{ACCOUNT}.localhost:{emulator.port}"
    headers = {"Host": host, "x-amz-account-id": ACCOUNT, "Authorization": AUTHORIZATION}
    connection.request(
        method, f"http://{host}/v20180820/tags/{quote(arn, safe='')}{query}", body.encode(), headers
    )
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status < 300, text
    return text


def test_bucket_tags_are_those_of_s3_control(emulator: Emulator) -> None:
    s3, bucket = emulator.client("s3"), make_bucket(emulator, "tagged")
    pairs = {"Stage": "dev", "Old": "1"}
    tags = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs.items())
    namespace = 'xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"'
    body = f"<TagResourceRequest {namespace}><Tags>{tags}</Tags></TagResourceRequest>"
    s3_control(emulator, "POST", f"arn:aws:s3:::{bucket}", body=body)
    s3_control(emulator, "DELETE", f"arn:aws:s3:::{bucket}", query="?tagKeys=Old")
    listed = s3_control(emulator, "GET", f"arn:aws:s3:::{bucket}")
    assert "<Key>Stage</Key><Value>dev</Value>" in listed
    assert "Old" not in listed
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "Stage", "Value": "dev"}]


def test_boto3_reaches_s3_control_by_host_name(emulator: Emulator) -> None:
    make_bucket(emulator, "by-name")
    control = boto3.client(
        "s3control",
        region_name=emulator.region,
        endpoint_url=f"http://localhost:{emulator.port}",
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
        config=Config(proxies={"http": emulator.url}),
    )
    arn = "arn:aws:s3:::by-name"
    control.tag_resource(AccountId=ACCOUNT, ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    found = control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn)
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]


def test_proxy_answers_requests_for_this_machine_only(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=10)
    connection.request("GET", "http://example.com/", headers={"Host": "example.com"})
    assert connection.getresponse().status == 403
