"""Settings of training, evaluation and the quality gate.

`TrainingSettings` is the section ``ncf:training`` of a stage's config. `PipelineSettings` adds two values of
other sections; the SageMaker pipeline reads it as JSON from the environment variable ``NCF_TRAINING``. To add
a setting: add its field here, and use it in the pipeline.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Optional

from ml.settings.containers import FRAMEWORK_VERSION, IMAGE_URI, PY_VERSION, image_uri
from ml.settings.fields import Scalar, setting, settings_of
from ml.settings.gate import GateSettings

Approval = Literal["automatic", "manual"]

MAX_RUNTIME_S = 5 * 24 * 3600  # SageMaker quotas: runtime of a training job
MAX_SPOT_WAIT_FACTOR = 2  # longest wait of a spot job, in multiples of its maximum runtime


def _sagemaker_type(use: str) -> Any:
    """Declare the setting of a SageMaker instance type."""
    return setting(
        pattern=r"ml\.[a-z0-9-]+\.[a-z0-9]+",
        wanted="a SageMaker type such as ml.m5.xlarge",
        help=f"instance type of {use}",
    )


@dataclass(frozen=True)
class TrainingSettings(GateSettings):
    """Settings of a stage's training, evaluation and quality gate.

    NCF trains on one instance, so there is no instance count.
    """

    framework_version: str = setting(
        pattern=FRAMEWORK_VERSION,
        wanted="a version such as 2.10.0",
        help="PyTorch version of the training and evaluation containers",
    )
    py_version: str = setting(
        pattern=PY_VERSION, wanted="a Python such as py313", help="Python version of these containers"
    )
    image_uri: Optional[str] = setting(
        pattern=IMAGE_URI,
        wanted="the URI of an ECR image with a tag or digest, or null",
        help="image of these containers; null: AWS's image of the two versions",
    )
    instance_type: str = _sagemaker_type("training")
    evaluation_instance_type: str = _sagemaker_type("evaluation")
    volume_gib: int = setting(at_least=1, at_most=16384, help="size of the jobs' volumes")
    max_runtime_s: int = setting(
        at_least=60, at_most=MAX_RUNTIME_S, help="maximum runtime of a job, after which SageMaker stops it"
    )
    use_spot: bool = setting(help="train on managed spot instances")
    hyperparameters: Mapping[str, Scalar] = setting(
        key_pattern=r"[a-z][a-z0-9_]*",
        wanted="a finite number or a text",
        help="preset and hyperparameters, see python -m ml.ncf.jobs.train --help",
    )
    approval: Approval = setting(help="approval of a model that passed the gate")

    @property
    def gate(self) -> GateSettings:
        """The settings of the quality gate alone."""
        return GateSettings(**{each.name: getattr(self, each.name) for each in settings_of(GateSettings)})

    def image(self, region: str, instance_type: str) -> str:
        """URI of the image for training or evaluation on an instance type.

        Raises:
            ValueError: the region has no PyTorch images.
        """
        return self.image_uri or image_uri(
            region, "training", instance_type, self.framework_version, self.py_version
        )


@dataclass(frozen=True)
class PipelineSettings(TrainingSettings):
    """A stage's training settings, with the values of other sections that the SageMaker pipeline needs."""

    serving_instance_type: str = _sagemaker_type("the endpoint")
    serving_image: str = setting(
        pattern=IMAGE_URI, wanted="the URI of an ECR image", help="image of the endpoint's container"
    )
    tags: Mapping[str, str] = setting(wanted="a text", help="tags of every job and model")

    @classmethod
    def of_stage(
        cls,
        training: TrainingSettings,
        *,
        serving_instance_type: str,
        serving_image: str,
        tags: Mapping[str, str],
    ) -> "PipelineSettings":
        """The settings of a stage's sections; fields that a subclass adds to `training` are left out."""
        values = {each.name: getattr(training, each.name) for each in settings_of(TrainingSettings)}
        return cls(
            **values, serving_instance_type=serving_instance_type, serving_image=serving_image, tags=tags
        )
