"""Validation of a stage's configuration: errors name the key and the accepted values."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from ml.settings.stage_job import STAGE_JOB_KEYS
from stacks.config import ConfigError, StageConfig, load
from tests import pulumi_engine
from tests.repository import STAGES
from tests.stacks.program import STORE, engine_config, stage_file

Config = dict[str, Any]
SECTIONS = (
    *("api", "batch_recommendations", "feature_store", "functions", "monitoring", "network", "operations"),
    "protect_data",
    *("serving", "spark", "storage", "training", "usage"),
)


def loaded(config: Config, stage: str = "dev") -> StageConfig:
    done: list[StageConfig] = []
    pulumi_engine.run(lambda: done.append(load()), config=engine_config(config), stack=stage)
    return done[0]


def config_error(change: Callable[[Config], Any]) -> str:
    config = copy.deepcopy(stage_file("dev"))
    change(config)
    with pytest.raises(ConfigError) as caught:
        loaded(config)
    return str(caught.value)


@pytest.mark.parametrize("stage", STAGES)
def test_config_of_each_stage_is_valid(stage: str) -> None:
    config = loaded(stage_file(stage), stage)
    assert (config.stage, config.region, config.tags.Stage) == (stage, "ap-northeast-2", stage)


def test_stages_have_the_same_keys() -> None:
    def keys(node: Any) -> Any:
        return {key: keys(value) for key, value in node.items()} if isinstance(node, dict) else None

    first, *others = (keys(stage_file(stage)) for stage in STAGES)
    assert others
    for other in others:
        assert other == first


def test_file_has_exactly_the_sections_of_the_model() -> None:
    own = {key.removeprefix("ncf:") for key in stage_file("dev") if key.startswith("ncf:")}
    assert own == set(StageConfig.model_fields) - {"stage", "region", "tags"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update({"ncf:protect_dat": c.pop("ncf:protect_data")}),
            "ncf:protect_dat is not known: write one of " + ", ".join(SECTIONS),
        ),
        (lambda c: c.pop("ncf:protect_data"), "ncf:protect_data is missing"),
        (
            lambda c: c["ncf:api"].update(brust=c["ncf:api"].pop("burst")),
            (
                "ncf:api.brust is not known: write one of auth, burst, model_timeout_ms, rate_per_second, "
                "record_answers"
            ),
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["core"].update(unit=1),
            "ncf:spark.cluster.core.unit is not known: write one of instance_types, units",
        ),
        (
            lambda c: c["ncf:spark"]["job"].update(time_cut={"test_days": 7, "valid_days": 7}),
            "ncf:spark.job.time_cut.valid_days is not known: write one of test_days, validation_days",
        ),
        (
            lambda c: c.update({"ncf:feature_store": {**STORE, "ports": 27017}}),
            f"ncf:feature_store.ports is not known: write one of {', '.join(sorted(STORE))}",
        ),
        (lambda c: c["ncf:training"]["floors"].pop("hr_at_10"), "ncf:training.floors.hr_at_10 is missing"),
        (lambda c: c["ncf:training"].pop("use_spot"), "ncf:training.use_spot is missing"),
        (lambda c: c["ncf:training"]["build"].pop("image"), "ncf:training.build.image is missing"),
        (
            lambda c: c["ncf:training"]["build"].update(timeout=5),
            "ncf:training.build.timeout is not known: write one of compute_type, image, timeout_minutes",
        ),
        (
            lambda c: c["ncf:spark"]["job"].update(min_interaction=5),
            f"ncf:spark.job.min_interaction is not known: write one of {', '.join(sorted(STAGE_JOB_KEYS))}",
        ),
        (lambda c: c.pop("aws:region"), "aws:region is missing"),
        (lambda c: c.pop("aws:defaultTags"), "aws:defaultTags.tags.Owner is missing"),
        (
            lambda c: c["aws:defaultTags"]["tags"].update(Team="x"),
            "aws:defaultTags.tags.Team is not known: write one of Owner, Service, Stage",
        ),
        (lambda c: c.update({"ncf:region": "eu-west-1"}), "ncf:region is not known: aws:region sets it"),
    ],
)
def test_error_names_the_unknown_or_missing_key(change: Callable[[Config], Any], message: str) -> None:
    assert config_error(change) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update({"ncf:protect_data": "yes"}), r"ncf:protect_data is 'yes': .*boolean"),
        (lambda c: c["ncf:api"].update(burst="100"), r"ncf:api.burst is '100': .*integer"),
        (lambda c: c["ncf:api"].update(auth="jwt"), r"ncf:api.auth is 'jwt': .*'iam' or 'none'"),
        (
            lambda c: c["ncf:training"]["floors"].update(hr_at_10=1.5),
            r"ncf:training.floors.hr_at_10 is 1.5: write a number from 0 to 1",
        ),
        (
            lambda c: c["ncf:storage"].update(log_retention_days=10),
            r"ncf:storage.log_retention_days is 10: input should be 1, 3, 5, 7, .*",
        ),
        (
            lambda c: c["ncf:spark"]["job"].update(min_interactions=2),
            r"ncf:spark.job.min_interactions is 2: write at least 3, since each user's last 2 are held out",
        ),
        (
            lambda c: c["ncf:spark"]["job"].update(event_column="event"),
            r"ncf:spark.job.event_column also needs event_weights, with a weight for each event type",
        ),
        (
            lambda c: c["ncf:spark"]["job"].update(
                event_weights={"view": 1.0}, event_column="event", weight_column="rating"
            ),
            r"ncf:spark.job.event_weights and weight_column: give one of them",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["core"].update(instance_types=["r6g.xlarge"]),
            r"ncf:spark.cluster.core: r6g.xlarge has a Graviton processor.*write r6i.xlarge",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["task"].update(instance_types=["z9.xlarge"]),
            r"ncf:spark.cluster.task: z9.xlarge: unknown family; write one of .*",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["core"].update(units=2),
            r"ncf:spark.cluster.core: units is 2, fewer than the 4 vCPUs of the smallest type",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["scaling"].update(max_units=8),
            r"ncf:spark.cluster: scaling: core and task start with 16 units, which is not between .*",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["spot"].update(timeout_minutes=1),
            r"ncf:spark.cluster.spot: timeout_minutes 1: EMR takes 5 to 1440",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"].update(volume_gib=5),
            r"ncf:spark.cluster: volume_gib is 5: write 10 to 16384",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"].update(idle_timeout_s=0),
            r"ncf:spark.cluster: idle_timeout_s is 0: write 60 to 604800",
        ),
        (
            lambda c: c["ncf:spark"]["cluster"]["task"].update(units=-4),
            r"ncf:spark.cluster.task: units is -4, fewer than the 4 vCPUs of the smallest type",
        ),
        (
            lambda c: c["ncf:spark"].update(scheduler="airflow"),
            r"ncf:spark: airflow_principal_arn is null: write the ARN of the role of Airflow's workers",
        ),
        (
            lambda c: c["ncf:spark"].update(airflow_principal_arn="arn:aws:iam::123456789012:role/airflow"),
            r"ncf:spark: airflow_principal_arn is only for scheduler airflow, and scheduler is eventbridge",
        ),
        (
            lambda c: c.update({"ncf:feature_store": {**STORE, "cidr_blocks": ["0.0.0.0/0"]}}),
            r"ncf:feature_store: cidr_blocks: 0.0.0.0/0 matches all addresses; name its networks",
        ),
        (
            lambda c: c.update({"ncf:feature_store": {**STORE, "secret_arn": STORE["secret_arn"][:-7]}}),
            r"ncf:feature_store.secret_arn is 'arn:aws:secretsmanager.*: string should match pattern .*",
        ),
        (
            lambda c: c.update(
                {"ncf:feature_store": {**STORE, "secret_arn": STORE["secret_arn"].replace("-2:", "-1:")}}
            ),
            r"ncf:feature_store.secret_arn is not in the region ap-northeast-2",
        ),
        (
            lambda c: c["ncf:serving"].update(min_instances=5, max_instances=2),
            r"ncf:serving: min_instances is 5, more than max_instances 2",
        ),
        (
            lambda c: c["ncf:serving"].update(rollout="linear", step_percent=5),
            r"ncf:serving: step_percent is 5: a linear rollout takes 10 to 50",
        ),
        (
            lambda c: c["ncf:serving"].update(rollout="canary", min_instances=1),
            (
                "ncf:serving: min_instances is 1: a canary rollout needs 2, because a step is at most half "
                "of the instances; or write rollout: all_at_once"
            ),
        ),
        (
            lambda c: c["ncf:serving"].update(
                rollout="linear", step_percent=10, wait_s=3600, min_instances=2, max_instances=4
            ),
            (
                "ncf:serving: wait_s is 3600: 10 steps take more than the 28800 s of a rollout, 1800 s of "
                "which are for starting the instances"
            ),
        ),
        (
            lambda c: c["ncf:serving"].update(wait_s=239),
            r"ncf:serving.wait_s is 239: input should be greater than or equal to 240",
        ),
        (
            lambda c: c["ncf:serving"].update(image_uri="ncf:latest"),
            r"ncf:serving.image_uri is 'ncf:latest': string should match pattern .*",
        ),
        (
            lambda c: c["ncf:training"].update(
                image_uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/ncf:1"
            ),
            r"ncf:training.image_uri is not in the region ap-northeast-2",
        ),
        (
            lambda c: c["ncf:training"]["hyperparameters"].update(lr=True),
            r"ncf:training.hyperparameters.lr is True: write a finite number or a text",
        ),
        (lambda c: c["ncf:network"].update(cidr_block="10.40/16"), r"ncf:network: '10.40/16' .*"),
        (
            lambda c: c["aws:defaultTags"]["tags"].update(Stage="prod"),
            r"aws:defaultTags.tags.Stage is 'prod' in the stage 'dev'",
        ),
        (
            lambda c: c.update({"aws:region": "eu-west-1"}),
            r"ncf:functions.powertools_layer_arn is not in the region eu-west-1",
        ),
        (
            lambda c: c.update({"aws:region": "mars-north-1"}),
            r"aws:region: 'mars-north-1' has no PyTorch images of AWS: write one of af-south-1, .*",
        ),
        (
            lambda c: c.update({"aws:region": "cn-north-1"}),
            r"aws:region: 'cn-north-1' is in the partition aws-cn, which the platform does not support: .*",
        ),
        (
            lambda c: c.update({"aws:region": "us-gov-west-1"}),
            r"aws:region: 'us-gov-west-1' is in the partition aws-us-gov, .*: write one of af-south-1, .*",
        ),
        (
            lambda c: c.update({"aws:region": "eusc-de-east-1"}),
            r"aws:region: 'eusc-de-east-1' is in the partition aws-eusc, which .*",
        ),
        (
            lambda c: c["ncf:network"].update(availability_zones=["eu-west-1a"]),
            r"ncf:network.availability_zones: eu-west-1a is not in the region ap-northeast-2",
        ),
    ],
)
def test_error_names_the_invalid_value_and_the_accepted_ones(
    change: Callable[[Config], Any], message: str
) -> None:
    line = config_error(change)
    assert re.fullmatch(message, line), line
    assert "\n" not in line


@pytest.mark.parametrize("stage", STAGES)
def test_null_section_is_accepted_as_the_empty_text_that_pulumi_passes(stage: str) -> None:
    config = {**stage_file(stage), "ncf:feature_store": ""}  # `pulumi stack init` also writes it so
    assert loaded(config, stage).feature_store is None


def test_configuration_is_immutable() -> None:
    config = loaded(stage_file("dev"))
    with pytest.raises(ValueError, match="frozen"):
        config.protect_data = True
