"""Dev stage on the emulator with a small untrained model, for benchmarks of the API's requests."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from emulator.app import Emulator
from local.aws import DeployedStage
from local.deploy.project import load_stage
from local.timeline import Timeline
from local.up import deploy_stage
from ml import contract
from ml.ncf.model import artifact
from ml.ncf.model.ncf import NCF
from ml.ncf.model.session import SessionMap
from ml.ncf.model.towers import NCFConfig

ROOT = Path(__file__).resolve().parents[1]
VERSION = "20261123T020000Z"
N_USERS, N_ITEMS, N_FACTORS = 200, 500, 16
KEY = f"{contract.MODELS_PREFIX}bench/{contract.MODEL_ARCHIVE}"
START_TIMEOUT_S = 120


@dataclass(frozen=True)
class ServedStage:
    """A deployed stage whose API answers for the users u0, u1, ... and the items 0, 1, ..."""

    emulator: Emulator
    stage: DeployedStage

    @property
    def api_url(self) -> str:
        return str(self.stage.outputs["api_url"]).rstrip("/")


@contextmanager
def served_stage() -> Iterator[ServedStage]:
    """Deploy the dev stage, its model and its popular list; without the API's throttling."""
    config = load_stage("dev", ROOT)
    with Emulator(region=config.region).start(0) as emulator:
        with Timeline(Console(quiet=True)) as timeline:
            stage = deploy_stage(config, emulator, timeline)
        _remove_throttling(stage)
        _publish(stage)
        _deploy_model(stage)
        yield ServedStage(emulator, stage)


def _remove_throttling(stage: DeployedStage) -> None:
    client = stage.client("apigatewayv2")
    (api,) = client.get_apis()["Items"]
    unlimited = {"ThrottlingRateLimit": 100_000.0, "ThrottlingBurstLimit": 100_000}
    client.update_stage(ApiId=api["ApiId"], StageName="$default", DefaultRouteSettings=unlimited)


def _publish(stage: DeployedStage) -> None:
    """Write the artifact, and the popular list as `deploy_model` does."""
    s3, bucket = stage.client("s3"), stage.outputs["artifacts_bucket"]
    with tempfile.TemporaryDirectory() as folder:
        popularity = _write_artifact(Path(folder))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(folder, arcname=".")
    s3.put_object(Bucket=bucket, Key=KEY, Body=buffer.getvalue())
    order = np.argsort(-popularity, kind="stable").tolist()
    items = [{"item_id": str(row), "score": int(popularity[row])} for row in order]
    document = {"schema_version": contract.SCHEMA_VERSION, "model_version": VERSION, "items": items}
    s3.put_object(Bucket=bucket, Key=contract.FALLBACK_KEY, Body=json.dumps(document).encode())


def _write_artifact(folder: Path) -> np.ndarray:
    """Write an artifact with random weights; returns the popularity of its items."""
    rng = np.random.default_rng(1)
    model = NCF(
        NCFConfig(n_users=N_USERS, n_items=N_ITEMS, architecture="gmf", factor_num=N_FACTORS, dropout=0.0)
    )
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    seen = np.sort(rng.permuted(np.tile(np.arange(N_ITEMS), (N_USERS, 1)), axis=1)[:, :20], axis=1)
    popularity = np.bincount(seen.ravel(), minlength=N_ITEMS)
    data = artifact.ServingData.of(
        user_ids=np.array([f"u{n}" for n in range(N_USERS)]),
        item_ids=np.array([str(n) for n in range(N_ITEMS)]),
        seen_indptr=np.arange(N_USERS + 1) * seen.shape[1],
        seen_indices=seen.ravel().astype(np.int32),
        popularity=popularity,
    )
    session = SessionMap(8.0, (torch.eye(N_FACTORS),))
    artifact.write(folder, model, data, {"model_version": VERSION}, ROOT, session=session)
    return popularity


def _deploy_model(stage: DeployedStage) -> None:
    """Replace the bootstrap model of the endpoint."""
    sagemaker, endpoint = stage.client("sagemaker"), stage.outputs["endpoint_name"]
    found = sagemaker.describe_endpoint(EndpointName=endpoint)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    uri = f"s3://{stage.outputs['artifacts_bucket']}/{KEY}"
    sagemaker.create_model(
        ModelName="bench",
        PrimaryContainer={**model["PrimaryContainer"], "ModelDataUrl": uri},
        ExecutionRoleArn=model["ExecutionRoleArn"],
        EnableNetworkIsolation=True,
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="bench", ProductionVariants=[{**variant, "ModelName": "bench"}]
    )
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="bench")

    deadline = time.monotonic() + START_TIMEOUT_S
    while (state := sagemaker.describe_endpoint(EndpointName=endpoint))["EndpointConfigName"] != "bench":
        if state["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
            raise SystemExit(f"the endpoint does not serve the model: {state.get('FailureReason')}")
        time.sleep(0.2)
