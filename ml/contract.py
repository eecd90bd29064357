"""Names that code and infrastructure share: object keys, files, pipeline steps and environment variables.

The Spark job, the training container, the SageMaker pipeline and the Pulumi program import this module. It
uses only the standard library and runs on Python 3.9, the Python of EMR 7. Lambda functions do not import it;
they get the names as environment variables.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

SCHEMA_VERSION = 1

# -- runs ---------------------------------------------------------------------------------------
RUN_ID_FORMAT = "%Y%m%dT%H%M%SZ"  # UTC, ISO 8601 basic
RUN_ID_PATTERN = re.compile(r"\d{8}T\d{6}Z")
RUN_ID_PLACEHOLDER = "__RUN_ID__"  # in the published RunJobFlow document; replaced at launch

# -- ids of users and items ---------------------------------------------------------------------
# An id is text of 1 to MAX_ID_BYTES bytes in UTF-8 without control characters: ids are keys of the feature
# store and path segments of the API. White space at its ends is not part of it, and a whole number with zeros
# after the point is that number (`canonical_id`): programs write 7 as 7.0 where a column also has nulls.
# A word that programs write for a missing value is not the id of an event (`is_missing_id`).
# The preparation quarantines events with other ids (ml/preparation/clean/ids.py); the inference container and
# the API refuse them. The Lambda function and the OpenAPI file repeat the rule;
# tests/ml/test_ids.py compares them all.
MAX_ID_BYTES = 512
ID_SPACE = " \t\n\v\f\r\u00a0\u1680\u2007\u202f\u3000\ufeff"  # no-break and ideographic spaces, and the BOM
ID_CONTROL_CHARACTERS = r"[\x00-\x1f\x7f]"  # a regular expression of Python and of Java
ID_WHOLE_NUMBER = r"(?:-(?=0\.))?(-?[0-9]+)\.0+"  # group 1: the number; -0.0 is 0

# As pandas, Hive, SQL, JavaScript and Google Analytics write a missing value; case matters.
MISSING_IDS = frozenset(
    (
        *("", "NULL", "Null", "null", "(null)", "nan", "NaN", "NAN", "None", "none", "NONE", "(none)", "NA"),
        *("N/A", "n/a", "<NA>", "#N/A", "NaT", "\\N", "undefined", "(not set)", "(not provided)"),
    )
)

# -- requests for recommendations -----------------------------------------------------------------
MAX_K = 1000  # items per user
MAX_INSTANCES = 100  # users in one request
MAX_RECENT_ITEMS = 200  # of a session
MAX_ITEM_IDS = 1000  # in `candidates` and in `exclude_items` of the API
MIN_RECENT_WEIGHT, MAX_RECENT_WEIGHT = 0.001, 1000.0  # relative to the other recent items
MAX_POPULAR_ITEMS = 2500  # of the fallback list: MAX_K remain when a request excludes items
# Items in one response, over all users. With the longest ids the response of the Lambda function has 5.6 MB;
# its limit is 6 MB (Lambda quotas), TorchServe's 6.5 MB (max_response_size), InvokeEndpoint's 6 MB.
# tests/lambdas/recommend/test_response_size.py measures it.
MAX_ITEMS_PER_REQUEST = 2500

# -- object keys: data bucket -------------------------------------------------------------------
RAW_PREFIX = "raw/interactions/"
PREPARED_PREFIX = "prepared/"
RECOMMENDATIONS_PREFIX = "recommendations/"  # of all users, per model: `recommendations_path`
SCRATCH_PREFIX = "scratch/"  # temporary files of Spark; they expire, with their versions, after days
MANIFEST_FILE = "manifest.json"
SUCCESS_FILE = "_SUCCESS"  # written last: marks a complete run
USERS_FILE = "users.parquet"  # user_id: string, user_index: int32
ITEMS_FILE = "items.parquet"  # item_id: string, item_index: int32
POPULARITY_FILE = "popularity.parquet"  # item_index: int32, n_interactions: int64 (train rows)
USER_FEATURES_FILE = "user_features.parquet"  # columns: ml.preparation.features.transforms.user_features
ITEM_FEATURES_FILE = "item_features.parquet"  # columns: ml.preparation.features.transforms.item_features
SPLITS = ("train", "validation", "test")  # user_index, item_index: int32, timestamp: int64, weight: float32
RANDOM_SPLIT = "random-two-out"  # rule in the manifest of a run of events without times
QUALITY_FILE = "quality.json"  # report of the run's quality gate: expected and observed values

# -- object keys: artifacts bucket --------------------------------------------------------------
CODE_BUNDLE_KEY = "code/source.zip"  # its object version is the code version
BUILDSPECS_PREFIX = "buildspecs/"
MODELS_PREFIX = "models/"
SPARK_PREFIX = "spark/"
RUN_JOB_FLOW_KEY = "spark/run_job_flow.json"
# Popular list of the deployed model, for the API when the endpoint does not answer. deploy_model copies it
# here from the package's evaluation when a rollout ends.
FALLBACK_KEY = "serving/popular.json"
RECORDING_KEY = (
    "serving/recording-key"  # HMAC key of the users in recorded answers; only where they are recorded
)
ROLLBACKS_PREFIX = "rollbacks/"  # an object per notified rollback: events are delivered more than once

# -- training container -------------------------------------------------------------------------
# One channel per split and per file, in the folder SM_CHANNEL_<NAME>. Training does not score the test
# channel: it adds those items to the seen items of each user, which serving excludes.
TRAINING_CHANNELS = (*SPLITS, "users", "items", "popularity", "manifest")
EVALUATION_FILE = "evaluation.json"
POPULAR_LIST_FILE = "popular.json"  # beside the evaluation; see ml/ncf/evaluation/popular_list.py
N_TEST_NEGATIVES = 99  # He et al. 2017, section 4.1

# -- model artifact (model.tar.gz) ----------------------------------------------------------------
MODEL_ARCHIVE = "model.tar.gz"
MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.pt"
ARRAYS_FOLDER = "arrays"
INDEX_FOLDER = "index"  # of retrieval; absent for small catalogues
ARRAYS_FILE = "arrays.npz"  # instead of the folder, in artifacts of earlier versions
SESSION_FILE = "session.pt"  # optional: models of families without it, and earlier artifacts, have none
MODEL_CODE_FOLDER = "code"
BOOTSTRAP_MODEL_VERSION = "bootstrap"  # artifact without weights, which is served before the first training
SERVING_PROGRAM = "inference.py"  # in code/
# AWS's PyTorch inference container unpacks the artifact in /opt/ml/model; these variables name its program.
SERVING_ENVIRONMENT = {
    "SAGEMAKER_PROGRAM": SERVING_PROGRAM,
    "SAGEMAKER_SUBMIT_DIRECTORY": f"/opt/ml/model/{MODEL_CODE_FOLDER}",
    # Of each worker: TorchServe starts one per vCPU, and by default each would have a thread per vCPU, which
    # wait for each other (docs/adr/0034).
    "OMP_NUM_THREADS": "1",
}
SERVING_PACKAGES = ("ml/ncf/model", "ml/serving")  # packages whose modules are all copied to code/
SERVING_FILES = {  # path inside code/ -> path in the source tree
    SERVING_PROGRAM: "ml/serving/inference.py",
    "ml/__init__.py": "ml/__init__.py",
    "ml/contract.py": "ml/contract.py",
    "ml/ncf/__init__.py": "ml/ncf/__init__.py",
}

# -- SageMaker pipeline -------------------------------------------------------------------------
STEP_TRAINING = "NCFTraining"
STEP_EVALUATION = "NCFEvaluation"
STEP_QUALITY_GATE = "NCFQualityGate"
STEP_REGISTER = "NCFRegister"
STEP_CREATE_MODEL = "NCFCreateModel"
STEP_DEPLOY = "NCFDeploy"
STEP_REJECTED = "NCFRejected"
REJECTION_SUMMARY = "summary"  # output of NCFRejected: a line per metric of the gate
VARIANT_NAME = "AllTraffic"  # fixed, because autoscaling is registered on the variant

# -- metrics in CloudWatch ----------------------------------------------------------------------
METRICS_NAMESPACE = "NCF"
STAGE_DIMENSION = "Stage"
PREPARATION_OVERDUE_METRIC = "PreparationOverdue"  # 0 or 1, lambdas/check_runs
TRAINING_OVERDUE_METRIC = "TrainingOverdue"
FALLBACK_METRIC = "Fallbacks"  # requests that the popular list answered; dimension FunctionName
# Answers of the model to the API's requests, and those that are invalid, empty or late; dimensions are
# EndpointName and ModelVersion.
ANSWERS_METRIC, BAD_ANSWERS_METRIC = "Answers", "BadAnswers"
UNKNOWN_MODEL_VERSION = "unknown"  # of an answer without a readable version

# -- environment variables of the CodeBuild project (stage) and of the rendered buildspec (run) --
ENV_STAGE = "NCF_STAGE"
ENV_DATA_BUCKET = "NCF_DATA_BUCKET"
ENV_ARTIFACTS_BUCKET = "NCF_ARTIFACTS_BUCKET"
ENV_KMS_KEY_ARN = "NCF_KMS_KEY_ARN"
ENV_PIPELINE_NAME = "NCF_PIPELINE_NAME"
ENV_PIPELINE_ROLE_ARN = "NCF_PIPELINE_ROLE_ARN"
ENV_JOB_ROLE_ARN = "NCF_JOB_ROLE_ARN"  # execution role of training and evaluation
ENV_MODEL_ROLE_ARN = "NCF_MODEL_ROLE_ARN"  # execution role of the inference container
ENV_MODEL_PACKAGE_GROUP = "NCF_MODEL_PACKAGE_GROUP"
ENV_ENDPOINT_NAME = "NCF_ENDPOINT_NAME"
ENV_DEPLOY_FUNCTION_ARN = "NCF_DEPLOY_FUNCTION_ARN"
ENV_REJECTION_FUNCTION_ARN = "NCF_REJECTION_FUNCTION_ARN"  # reports a candidate that failed the gate
ENV_TRAINING = "NCF_TRAINING"  # JSON of ml.settings.training.PipelineSettings
ENV_RUN_ID = "NCF_RUN_ID"
ENV_CODE_VERSION = "NCF_CODE_VERSION"


def serving_sources(root: Path) -> dict[str, str]:
    """The serving code, which needs numpy and torch only: path inside code/ to path in the source tree."""
    packages = (sorted((root / package).glob("*.py")) for package in SERVING_PACKAGES)
    modules = (module.relative_to(root).as_posix() for package in packages for module in package)
    listed = set(SERVING_FILES.values())
    return {**SERVING_FILES, **{module: module for module in modules if module not in listed}}


def canonical_id(text: str) -> str:
    """The id that a text stands for: without white space at its ends, and ``7`` for ``7.0``."""
    trimmed = text.strip(ID_SPACE)
    number = re.fullmatch(ID_WHOLE_NUMBER, trimmed)
    return number[1] if number else trimmed


def is_missing_id(text: str) -> bool:
    """Whether a text is written where an event has no user or item."""
    return canonical_id(text) in MISSING_IDS


def is_id(text: str) -> bool:
    """Whether a text can be asked for as an id: not blank, not too long, no control character."""
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return n_bytes <= MAX_ID_BYTES and bool(text.strip(" ")) and not re.search(ID_CONTROL_CHARACTERS, text)


def run_id_of(moment: datetime) -> str:
    """The run id of a time; a naive datetime is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).strftime(RUN_ID_FORMAT)


def parse_run_id(text: str) -> str:
    """The run id of a text: a run id, or ISO 8601 as schedulers write it (``2026-11-23T02:00:00Z``).

    Raises:
        ValueError: the text is in neither format.
    """
    for fmt in (RUN_ID_FORMAT, "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return datetime.strptime(text, fmt).replace(tzinfo=timezone.utc).strftime(RUN_ID_FORMAT)
        except ValueError:
            continue
    raise ValueError(f"run id {text!r}: write a UTC time as 20261123T020000Z")


def run_seconds(run_id: str) -> int:
    """Unix seconds of a run id."""
    return int(datetime.strptime(run_id, RUN_ID_FORMAT).replace(tzinfo=timezone.utc).timestamp())


def run_prefix(run_id: str) -> str:
    """Key prefix of a prepared run in the data bucket."""
    return f"{PREPARED_PREFIX}run={run_id}/"


def recommendations_path(model_version: str, package_arn: str, top_n: int) -> str:
    """Folder of the batch recommendations of a model package, below RECOMMENDATIONS_PREFIX; Hive partitions.

    A run that is trained again has the same model version and another package.
    """
    package_version = package_arn.rpartition("/")[2]
    return f"model_version={model_version}/package={package_version}/top_n={top_n}/"


def buildspec_key(run_id: str) -> str:
    """Key of a run's immutable buildspec in the artifacts bucket."""
    return f"{BUILDSPECS_PREFIX}{run_id}.yml"
