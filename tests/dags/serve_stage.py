"""Deploy the prod stage to an emulator, print its address as JSON, and serve it until stdin is closed."""

import json
import sys
from pathlib import Path

from emulator.app import Emulator
from local.deploy.engine import deploy
from local.deploy.project import load_stage

ROOT = Path(__file__).resolve().parents[2]
STAGE = "prod"


def main() -> None:
    region = load_stage(STAGE, ROOT).region
    with Emulator(region=region, root=Path(sys.argv[1])).start() as emulator:
        deployed = deploy(STAGE, root=ROOT, emulator=emulator)
        # Completed runs must not start training: these tests cover the preparation only.
        events = emulator.client("events")
        for rule in events.list_rules()["Rules"]:
            if "aws.s3" in rule.get("EventPattern", ""):
                events.disable_rule(Name=rule["Name"])
        found = {"url": emulator.url, "region": region, "outputs": deployed.outputs}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
