"""Batch recommendations of a deployed model package: a SageMaker processing job (ADR 33).

``python -m ml.batch.job --output s3://data/recommendations/ --top-n 50 --model-package ARN --rollout TIME``
reads `model/model.tar.gz` below `--input`, and writes the list of each user of the model to

    <output>model_version=<run id>/package=<version>/top_n=<n>/part-00000.parquet, …, manifest.json

The lists are those of the endpoint: the same artifact and the same request handler. With
`--feature-store-secret`, each list is also a document of the collection `recommendations`: `_id` is the user,
`rollout` the time of the rollout, and a document of a later rollout is never replaced.

One part is in memory at a time. A job that starts again keeps the parts that exist; it writes their documents
again, which changes nothing, because another model may have been deployed since. Exit status: 0 complete, 1
any failure, with one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml.batch.lists import USERS_PER_PART, documents, lists_of, n_users
from ml.batch.output import Output, part_name
from ml.contract import MAX_K, MODEL_ARCHIVE, SCHEMA_VERSION, recommendations_path
from ml.ncf.jobs import packages
from ml.ncf.model import artifact
from ml.ncf.training.console import log, log_error
from ml.serving import inference
from ml.serving.store import Recommender
from ml.settings.containers import PROCESSING_INPUT

COLLECTION = "recommendations"
STORE_PACKAGES = Path(PROCESSING_INPUT) / "packages" / "packages.zip"  # pymongo and tenacity, as on EMR
S3_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 6})
Store = Callable[[pa.Table, str], None]  # writes the documents of a part and a model version


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    given = _arguments(argv)
    try:
        packages.add_to_path()
        store = None
        if given.feature_store_secret:
            store = feature_store(given.feature_store_secret, given.feature_store_database, given.rollout)
        with tempfile.TemporaryDirectory() as folder:
            artifact.unpack(given.input / "model" / MODEL_ARCHIVE, Path(folder))
            model = inference.model_fn(folder)
            # SageMaker sets AWS_REGION, botocore reads AWS_DEFAULT_REGION only.
            s3 = boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=S3_CONFIG)
            uri = given.output + recommendations_path(
                model.artifact.version, given.model_package, given.top_n
            )
            n_new = recommend_all(
                model,
                Output(s3, uri),
                given.top_n,
                given.model_package,
                store,
                n_per_part=given.users_per_part,
            )
    except (ValueError, OSError, BadZipFile, BotoCoreError, ClientError) as error:
        return _fail(error)
    except Exception as error:
        # pymongo is imported only with a feature store, so that its errors have no name here.
        if type(error).__module__.partition(".")[0] != "pymongo":
            raise
        return _fail(error)
    log(f"complete: {n_users(model)} users, {n_new} new parts, {uri}")
    return 0


def recommend_all(
    model: Recommender,
    output: Output,
    top_n: int,
    model_package: str,
    store: Store | None = None,
    *,
    n_per_part: int = USERS_PER_PART,
) -> int:
    """Write all parts and the manifest; returns the number of parts that did not exist.

    Args:
        model: the loaded artifact.
        output: its files are kept.
        top_n: items per user.
        model_package: ARN, for the manifest.
        store: writes the documents of a part; before the part, whose existence says that both were written.
        n_per_part: users of one part; the same in each attempt.

    Raises:
        ValueError: the artifact has no users.
    """
    n_all, version = n_users(model), model.artifact.version
    if not n_all:
        raise ValueError(f"model {version} has no users")
    existing = output.names()
    n_new = 0
    parts = range(0, n_all, n_per_part)
    for number, start in enumerate(parts):
        name = part_name(number)
        is_new = name not in existing
        users = range(start, min(start + n_per_part, n_all))
        if is_new or store is not None:
            part = lists_of(model, users, top_n) if is_new else output.read(name)
            if store is not None:
                store(part, version)
            if is_new:
                output.write(name, part)
                n_new += 1
        log(f"{name}: {len(users)} users, {'written' if is_new else 'kept'}")
    output.finish(
        {
            "schema_version": SCHEMA_VERSION,
            "model_version": version,
            "model_package": model_package,
            "top_n": top_n,
            "users": n_all,
            "files": [part_name(number) for number in range(len(parts))],
        }
    )
    return n_new


def feature_store(secret_arn: str, database: str, rollout: str) -> Store:
    """Writer of documents to the feature store.

    Raises:
        ml.feature_store.SecretError: the secret cannot be read.
    """
    # After the image's packages, so that the image's boto3 is used. pymongo runs from the archive without its
    # C extension, which is for another Python.
    sys.path.append(str(STORE_PACKAGES))
    from ml.feature_store import Database, read_uri, write_documents  # noqa: PLC0415

    store = Database(read_uri(secret_arn), database)
    collection = store.client()[database][COLLECTION]

    def write(part: pa.Table, model_version: str) -> None:
        write_documents(collection, documents(part, model_version), rollout, version_field="rollout")

    return write


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ml.batch.job",
        description="Write the recommendations of all users.",
        allow_abbrev=False,
    )
    parser.add_argument("--input", type=Path, default=Path(PROCESSING_INPUT))
    parser.add_argument("--output", required=True, help="S3 URI that ends with a slash")
    parser.add_argument("--top-n", type=int, required=True, choices=range(1, MAX_K + 1), metavar="N")
    parser.add_argument("--model-package", required=True, help="ARN of the deployed package")
    parser.add_argument("--rollout", required=True, help="time of its rollout, ISO 8601 in UTC")
    parser.add_argument("--users-per-part", type=int, default=USERS_PER_PART)
    parser.add_argument("--feature-store-secret", help="ARN of the secret with the URI (default: no store)")
    parser.add_argument("--feature-store-database", default="")
    return parser.parse_args(argv)


def _fail(error: Exception) -> int:
    log_error(f"batch recommendations: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
