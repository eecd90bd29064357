"""Preconditions in the account and its region, other than quotas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from ci.preflight.finding import Finding, Status, error_code, found, response_or_none
from ci.preflight.images import images
from ci.preflight.stage import StageInAccount

# Roles that AWS services create when they are first used, if the caller may create them.
SERVICE_LINKED = {
    "elasticmapreduce.amazonaws.com": "EMR",
    "spot.amazonaws.com": "EC2 spot instances",
    "sagemaker.application-autoscaling.amazonaws.com": "autoscaling of endpoints",
}
COST_TAG = "Stage"  # the budget counts the costs with this tag (stacks/operations.py)
PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def check_region(stage: StageInAccount) -> Iterator[Finding]:
    """The region is enabled and has the availability zones of the network."""
    ec2, region = stage.client("ec2"), stage.config.region
    (described,) = ec2.describe_regions(RegionNames=[region], AllRegions=True)["Regions"]
    yield found(
        f"region {region}",
        described["OptInStatus"] != "not-opted-in",
        present=described["OptInStatus"],
        action=f"aws account enable-region --region-name {region}",
    )
    zones = {
        zone["ZoneName"]: zone["State"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]
    }
    for zone in stage.config.network.availability_zones:
        state = zones.get(zone, "not in this account")
        yield found(
            f"availability zone {zone}",
            state == "available",
            present=state,
            action=f"write others in ncf:network.availability_zones: {', '.join(sorted(zones))}",
        )


def check_instance_types(stage: StageInAccount) -> Iterator[Finding]:
    """Every zone offers at least one instance type of every fleet."""
    cluster, zones = stage.config.spark.cluster, stage.config.network.availability_zones
    fleets = {"primary": cluster.primary, "core": cluster.core, "task": cluster.task}
    types = sorted({name for fleet in fleets.values() for name in fleet.instance_types})
    offerings = stage.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": types}, {"Name": "location", "Values": list(zones)}],
    )
    offered = {(each["Location"], each["InstanceType"]) for each in offerings}
    for name, fleet in fleets.items():
        without = [z for z in zones if not any((z, each) in offered for each in fleet.instance_types)]
        yield found(
            f"instance types of the {name} nodes",
            not without,
            needed=", ".join(fleet.instance_types),
            present=f"none in {', '.join(without)}" if without else "",
            action=f"write other types in ncf:spark.cluster.{name}.instance_types",
        )


def check_service_linked_roles(stage: StageInAccount) -> Iterator[Finding]:
    """The service-linked roles exist."""
    for service, use in SERVICE_LINKED.items():
        roles = stage.pages("iam", "list_roles", "Roles", PathPrefix=f"/aws-service-role/{service}/")
        yield found(
            f"service-linked role of {use}",
            any(True for _ in roles),
            action=f"aws iam create-service-linked-role --aws-service-name {service}",
        )


def check_layer(stage: StageInAccount) -> Iterator[Finding]:
    """The version of the Powertools layer exists."""
    layer = stage.config.functions.powertools_layer_arn
    get_layer = partial(stage.client("lambda").get_layer_version_by_arn, Arn=layer)
    yield found(
        "Powertools layer",
        response_or_none(get_layer, "ResourceNotFoundException") is not None,
        needed=layer,
        action="write an existing version in ncf:functions.powertools_layer_arn",
    )


def check_images(stage: StageInAccount) -> Iterator[Finding]:
    """The images of training and serving exist in their registries."""
    ecr = stage.client("ecr")
    for use, image in images(stage.config).items():
        look_up = partial(
            ecr.batch_get_image,
            registryId=image.account_id,
            repositoryName=image.repository,
            imageIds=[image.selector()],
        )
        response = response_or_none(look_up, "RepositoryNotFoundException")
        yield found(
            f"SageMaker image for {use}",
            response is not None and bool(response.get("images")),
            needed=image.uri,
            action="write versions that AWS publishes, in the section of the stage file that names them",
        )


def check_emr_release(stage: StageInAccount) -> Iterator[Finding]:
    """EMR offers the release in the region."""
    release = stage.config.spark.release
    describe = partial(stage.client("emr").describe_release_label, ReleaseLabel=release)
    exists = response_or_none(describe, "InvalidRequestException", "ValidationException") is not None
    yield found("EMR release", exists, needed=release, action="write another in ncf:spark.release")


def check_airflow_role(stage: StageInAccount) -> Iterator[Finding]:
    """The role of Airflow's workers exists, since the trust policy of a role refuses unknown principals."""
    arn = stage.config.spark.airflow_principal_arn
    if arn is None:
        return
    account_id, role = arn.split(":")[4], arn.rpartition("/")[2]
    if account_id != stage.account_id:
        yield Finding(
            subject="role of Airflow's workers",
            status=Status.UNKNOWN,
            needed=arn,
            present=f"the credentials are of account {stage.account_id}",
            action=f"aws iam get-role --role-name {role}, with credentials of account {account_id}",
        )
        return
    get_role = partial(stage.client("iam").get_role, RoleName=role)
    response = response_or_none(get_role, "NoSuchEntity", "NoSuchEntityException")
    yield found(
        "role of Airflow's workers",
        response is not None and response["Role"]["Arn"] == arn,
        needed=arn,
        action="create it, or write the right one in ncf:spark.airflow_principal_arn",
    )


def check_feature_store(stage: StageInAccount) -> Iterator[Finding]:
    """The secret with the address of the feature store exists."""
    store = stage.config.feature_store
    if store is None:
        return
    describe = partial(stage.client("secretsmanager").describe_secret, SecretId=store.secret_arn)
    exists = response_or_none(describe, "ResourceNotFoundException") is not None
    yield found("secret of the feature store", exists, needed=store.secret_arn, action="create the secret")


def check_cost_tag(stage: StageInAccount) -> Iterator[Finding]:
    """The cost allocation tag is active: without it the budget counts nothing."""
    ce = stage.client("ce")
    tags: list[Any] = []
    request: dict[str, Any] = {"TagKeys": [COST_TAG], "Type": "UserDefined"}
    while True:
        response = ce.list_cost_allocation_tags(**request)
        tags += response.get("CostAllocationTags", [])
        if not response.get("NextToken"):
            break
        request["NextToken"] = response["NextToken"]
    active = any(tag["TagKey"] == COST_TAG and tag["Status"] == "Active" for tag in tags)
    activate = f"--cost-allocation-tags-status TagKey={COST_TAG},Status=Active"
    yield found(
        f"cost allocation tag {COST_TAG}",
        active,
        present="active" if active else "inactive" if tags else "AWS has not seen the tag yet",
        action=f"aws ce update-cost-allocation-tags-status {activate}, in the payer account; "
        "possible a day after the first resources have the tag",
    )


def check_state(stage: StageInAccount) -> Iterator[Finding]:
    """The bucket of the Pulumi state is versioned and private."""
    url = stage.environment.get("PULUMI_BACKEND_URL", "")
    if not url.startswith("s3://"):
        yield Finding(
            subject="Pulumi state",
            status=Status.UNKNOWN if url else Status.MISSING,
            present=url,
            action="" if url else "export PULUMI_BACKEND_URL=s3://BUCKET?region=REGION",
        )
        return
    bucket = urlsplit(url).netloc
    s3 = stage.client("s3")
    try:
        versioning = s3.get_bucket_versioning(Bucket=bucket).get("Status", "off")
        blocked = _is_private(s3, bucket)
    except ClientError as error:
        if error_code(error) not in ("NoSuchBucket", "404"):
            raise
        yield found(f"state bucket {bucket}", False, present="absent", action="create it")
        return
    yield found(
        f"state bucket {bucket}",
        versioning == "Enabled" and blocked,
        needed="versioning, all public access blocked",
        present=f"versioning {versioning}, public access {'blocked' if blocked else 'possible'}",
        action="aws s3api put-bucket-versioning and put-public-access-block (docs/first-deployment.md)",
    )


def _is_private(s3: Any, bucket: str) -> bool:
    get_block = partial(s3.get_public_access_block, Bucket=bucket)
    response = response_or_none(get_block, "NoSuchPublicAccessBlockConfiguration")
    return response is not None and all(response["PublicAccessBlockConfiguration"].values())


def check_secrets(stage: StageInAccount) -> Iterator[Finding]:
    """Pulumi can encrypt the secrets of the stack: a KMS key that is enabled, or a passphrase."""
    subject, provider = "secrets provider", stage.secrets_provider
    init = f"pulumi stack init {stage.config.stage} --secrets-provider 'awskms://KEY_ID?region=REGION'"
    if not provider.startswith("awskms://"):
        given = [name for name in PASSPHRASES if name in stage.environment]
        yield found(subject, bool(given or provider), present=provider or ", ".join(given), action=init)
        return
    address = urlsplit(provider)
    key_id = (address.netloc + address.path).lstrip("/")
    response = response_or_none(partial(stage.client("kms").describe_key, KeyId=key_id), "NotFoundException")
    state = "absent" if response is None else response["KeyMetadata"]["KeyState"]
    yield found(
        subject, state == "Enabled", needed=provider, present=state, action=f"enable the key, or {init}"
    )


CHECKS: Iterable[tuple[str, Any]] = (
    ("region", check_region),
    ("Pulumi state", check_state),
    ("secrets provider", check_secrets),
    ("instance types", check_instance_types),
    ("service-linked roles", check_service_linked_roles),
    ("Powertools layer", check_layer),
    ("SageMaker images", check_images),
    ("EMR release", check_emr_release),
    ("role of Airflow's workers", check_airflow_role),
    ("secret of the feature store", check_feature_store),
    ("cost allocation tag", check_cost_tag),
)
