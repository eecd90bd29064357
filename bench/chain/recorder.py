"""Recording of the chain's steps: three real runs of the short stage, with what each step wrote and when.

A first run, a second one of the same data beside the champion of the first, and one whose training pairs are
shuffled: its model is really worse, and fails the quality gate.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.chain.replay.artifact import FILES, RECORDED
from bench.chain.replay.evaluate import CHAMPION_ARN
from bench.chain.replay.inference import PREDICTIONS
from bench.chain.replay.recorded import INDEX, RUN_ID
from bench.chain.runs import GOOD, N_USERS, WORSE
from bench.chain.short_bundle import REPLAY, write_zip
from bench.chain.stage_state import StageState
from ml import contract
from ml.settings.containers import JOB_LOG_GROUPS

N_ITEMS_PER_LIST = 10
DRIVER_LINES = ("+", "Training Container")  # of the SageMaker SDK, which a replay starts too


class Recorder:
    """Records the runs of a stage whose chain is real.

    >>> recorder.add(run_id, GOOD, champion=None)
    >>> recorder.add(other_run_id, WORSE, champion=GOOD)
    >>> recording = recorder.finish(load_s=3.0)
    """

    def __init__(self, state: StageState) -> None:
        self._state = state
        self._stage = state.stage
        self._index: dict[str, Any] = {"scale": 1.0, "models": {}, "evaluations": {}}
        self._files: dict[str, bytes] = {}

    def add(self, run_id: str, model: str, champion: str | None, train_sha256: str) -> None:
        """Record the training and the evaluation of a run that has ended."""
        execution = next(
            each for each in self._state.executions() if run_id in each["PipelineExecutionDisplayName"]
        )
        arn = execution["PipelineExecutionArn"]
        sagemaker = self._stage.client("sagemaker")
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        jobs = {step["StepName"]: step["Metadata"] for step in steps}
        training = jobs[contract.STEP_TRAINING]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
        evaluation = jobs[contract.STEP_EVALUATION]["ProcessingJob"]["Arn"].rsplit("/", 1)[1]
        if model not in {each["name"] for each in self._index["models"].values()}:
            self._index["models"][train_sha256] = {"name": model, **self._training(training)}
            self._add_artifact(run_id, model, training)
        name = f"{model}-{champion}"
        self._index["evaluations"][name] = self._evaluation(evaluation)
        self._add_evaluation(run_id, f"evaluations/{name}/")

    def add_build(self, run_id: str) -> None:
        """Record the durations of the installation and of the compilation in a run's build."""
        build = next(each for each in self._state.builds() if run_id in each["source"]["buildspec"])
        phases = {phase["phaseType"]: phase for phase in build["phases"]}
        (execution,) = (
            each for each in self._state.executions() if run_id in each["PipelineExecutionDisplayName"]
        )
        self._index["install_s"] = _seconds(phases["INSTALL"]["startTime"], phases["INSTALL"]["endTime"])
        self._index["compile_s"] = _seconds(phases["BUILD"]["startTime"], execution["StartTime"])

    def finish(self, load_s: float) -> bytes:
        """The recording, with the lists of the model that is deployed.

        Args:
            load_s: seconds that the endpoint's container took to load the model.
        """
        predictions = json.dumps({"load_s": load_s, "predictions": self._predictions()}).encode()
        for name in (GOOD, WORSE):
            self._seal(f"models/{name}/", predictions)
        return write_zip({INDEX: json.dumps(self._index).encode(), **self._files})

    # -- jobs -----------------------------------------------------------------------------------
    def _training(self, job: str) -> dict[str, Any]:
        found = self._stage.client("sagemaker").describe_training_job(TrainingJobName=job)
        return self._record(job, "TrainingJob", found["TrainingStartTime"], found["TrainingEndTime"])

    def _evaluation(self, job: str) -> dict[str, Any]:
        found = self._stage.client("sagemaker").describe_processing_job(ProcessingJobName=job)
        return self._record(job, "ProcessingJob", found["ProcessingStartTime"], found["ProcessingEndTime"])

    def _record(self, job: str, kind: str, start: Any, end: Any) -> dict[str, Any]:
        logs, group = self._stage.client("logs"), JOB_LOG_GROUPS[kind]
        (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
        lines = [(event["timestamp"] / 1e3 - start.timestamp(), event["message"]) for event in events]
        began = max((i for i, (_, line) in enumerate(lines) if "python3 -m ml." in line), default=-1)
        own = [pair for pair in lines[began + 1 :] if not pair[1].startswith(DRIVER_LINES)]
        return {"seconds": _seconds(start, end), "log": own}

    # -- files ----------------------------------------------------------------------------------
    def _objects(self, prefix: str) -> Mapping[str, bytes]:
        s3, bucket = self._stage.client("s3"), self._stage.outputs["artifacts_bucket"]
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            each["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            for each in found
        }

    def _add_artifact(self, run_id: str, model: str, job: str) -> None:
        objects = self._objects(f"{contract.MODELS_PREFIX}{run_id}/training/{job}/output/")
        with tarfile.open(fileobj=io.BytesIO(objects[contract.MODEL_ARCHIVE])) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member)
                if file is not None and not member.name.startswith(contract.MODEL_CODE_FOLDER):
                    self._files[f"models/{model}/{member.name}"] = file.read()

    def _add_evaluation(self, run_id: str, folder: str) -> None:
        for name, content in self._objects(f"{contract.MODELS_PREFIX}{run_id}/evaluation/").items():
            text = content.decode().replace(run_id, RUN_ID)
            if name == contract.EVALUATION_FILE and (champion := json.loads(content)["champion"]):
                text = text.replace(champion["model_package_arn"], CHAMPION_ARN)
            self._files[folder + name] = text.encode()

    def _seal(self, folder: str, predictions: bytes) -> None:
        """Replace the inference code, and complete `model.json`, which becomes the last file."""
        code = f"{folder}{contract.MODEL_CODE_FOLDER}/"
        self._files[f"{code}inference.py"] = (REPLAY / "inference.py").read_bytes()
        self._files[f"{code}{PREDICTIONS}"] = predictions
        info = json.loads(self._files.pop(folder + contract.MODEL_FILE))
        digests = {
            name.removeprefix(folder): hashlib.sha256(content).hexdigest()
            for name, content in self._files.items()
            if name.startswith(folder)
        }
        info |= {"run_id": RUN_ID, "model_version": RUN_ID, RECORDED: Path(folder).name, FILES: digests}
        self._files[folder + contract.MODEL_FILE] = json.dumps(info, indent=2).encode()

    def _predictions(self) -> dict[str, Any]:
        body = {"instances": [{"user_id": f"u{i}", "k": N_ITEMS_PER_LIST} for i in range(N_USERS)]}
        answer = self._stage.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self._stage.outputs["endpoint_name"],
            ContentType="application/json",
            Body=json.dumps(body),
        )
        return {each["user_id"]: each for each in json.loads(answer["Body"].read())["predictions"]}


def load_seconds(state: StageState, run_id: str, baking_s: float, timeout_s: float) -> float:
    """Seconds from the start of a run's rollout to its end, without baking; waits for both."""
    state.wait(lambda: state.endpoint()["EndpointStatus"] == "Updating", "the rollout", timeout_s)
    start = time.monotonic()
    state.wait(lambda: state.is_deployed(run_id), f"run {run_id}", timeout_s)
    return max(0.0, time.monotonic() - start - baking_s)


def _seconds(start: Any, end: Any) -> float:
    return float((end - start).total_seconds())
