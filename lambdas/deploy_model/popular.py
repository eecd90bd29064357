"""S3 calls of `deploy_model`: the popular list of the deployed model, which the API falls back to."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from logic import Package

FILE = "popular.json"  # beside the package's evaluation


class PopularLists:
    """Copies the popular list of a package to the key that the API reads."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key

    def publish(self, package: Package) -> bool:
        """Replace the API's list by that of the package; False if the package has none.

        Packages that were registered before the evaluation wrote lists have none.
        """
        if package.report_uri is None:
            return False
        bucket, _, report_key = package.report_uri.removeprefix("s3://").partition("/")
        source_key = f"{report_key.rpartition('/')[0]}/{FILE}"
        try:
            content = self._client.get_object(Bucket=bucket, Key=source_key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return False
            raise
        self._client.put_object(
            Bucket=self._bucket, Key=self._key, Body=content, ContentType="application/json"
        )
        return True
