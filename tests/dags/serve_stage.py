"""Deploys the stage that Airflow schedules to an embedded cloud, says where, serves until stdin closes."""

import json
import sys
from pathlib import Path

from local.cloud import Cloud
from local.deploy.engine import deploy
from local.deploy.project import load_stage

ROOT = Path(__file__).resolve().parents[2]
STAGE = "prod"


def main() -> None:
    region = load_stage(STAGE, ROOT).region
    with Cloud(region=region, root=Path(sys.argv[1])).start() as cloud:
        deployed = deploy(STAGE, root=ROOT, cloud=cloud)
        # What a whole run sets off is not these tests' business: two cores have enough to do.
        events = cloud.client("events")
        for rule in events.list_rules()["Rules"]:
            if "aws.s3" in rule.get("EventPattern", ""):
                events.disable_rule(Name=rule["Name"])
        found = {"url": cloud.url, "region": region, "outputs": deployed.outputs}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
