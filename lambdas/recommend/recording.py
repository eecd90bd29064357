"""Secret key with which recorded answers name users, in S3.

A plain hash of a user id says who the user is to everyone with a list of the ids. The records have an HMAC
instead. Its key is created by the first record of a stage, and is read by whoever compares models; without
it, or once it was deleted, a record cannot be joined to a user.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from botocore.exceptions import ClientError

KEY_BYTES = 32  # the length of the hash's output (RFC 2104, section 3)
DIGEST_LENGTH, ID_LENGTH = 16, 8  # hexadecimal digits
LOST = ("PreconditionFailed", "ConditionalRequestConflict")


class RecordingKey:
    """The key of a stage; read once per execution environment, and created if there is none.

    Args:
        client: S3 client.
        bucket, key: of the object.
    """

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._secret: bytes | None = None

    def user(self, user_id: str) -> dict[str, str]:
        """Fields of a record: the digest of a canonical user id, and which key it was made with.

        Raises:
            botocore.exceptions.ClientError, BotoCoreError: the key can be neither read nor created.
        """
        if self._secret is None:
            self._secret = self._read() or self._create()
        digest = hmac.new(self._secret, user_id.encode(), hashlib.sha256).hexdigest()
        return {
            "user": digest[:DIGEST_LENGTH],
            "user_key": hashlib.sha256(self._secret).hexdigest()[:ID_LENGTH],
        }

    def _read(self) -> bytes | None:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None

    def _create(self) -> bytes:
        secret = secrets.token_bytes(KEY_BYTES)
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._key, Body=secret, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST:
                raise
            # Another execution environment created it first.
            if (existing := self._read()) is None:
                raise
            return existing
        return secret
