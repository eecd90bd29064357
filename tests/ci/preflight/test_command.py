"""`python -m ci.preflight`: errors, table and exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from ci.preflight import account, deployed
from ci.preflight.__main__ import exit_code, findings, table
from ci.preflight.finding import Finding, Status, findings_of
from ci.preflight.stage import StageFileError, load_stage
from emulator.app import Emulator
from tests.ci.preflight.json_service import Answers
from tests.ci.preflight.support import ACCOUNT, LATER, MISSING, OK, REGION, UNKNOWN, stage_at
from tests.repository import ROOT, STAGES


def test_what_cannot_be_read_is_never_ok(fake_url: str, answers: Answers) -> None:
    answers["/2018-10-31/layers"] = lambda _: {"__type": "AccessDeniedException", "Message": "not authorized"}
    stage = stage_at(fake_url)
    (denied,) = findings_of("Powertools layer", lambda: account.check_layer(stage))
    assert (denied.status, denied.present) == (
        UNKNOWN,
        "GetLayerVersionByArn: AccessDeniedException: not authorized",
    )
    nowhere = stage_at("http://127.0.0.1:9")
    (unreachable,) = findings_of("EMR release", lambda: account.check_emr_release(nowhere))
    assert unreachable.status is UNKNOWN
    assert "127.0.0.1:9" in unreachable.present


@pytest.mark.parametrize(
    ("statuses", "code"),
    [([OK, LATER], 0), ([OK, UNKNOWN], 3), ([UNKNOWN, MISSING, OK], 1), ([], 0)],
)
def test_exit_code(statuses: list[Status], code: int) -> None:
    assert exit_code([Finding(subject="s", status=status) for status in statuses]) == code


def test_missing_rows_come_first_with_what_to_do() -> None:
    rows = [
        Finding(subject="there", status=OK),
        Finding(subject="absent", status=MISSING, action="create [it]"),
    ]
    out = StringIO()
    Console(file=out, width=120).print(table("dev", rows))
    text = out.getvalue()
    assert text.index("absent") < text.index("there")
    assert "create [it]" in text


@pytest.mark.parametrize("stage", STAGES)
def test_command_prints_the_table_of_a_stage(stage: str, emulator: Emulator) -> None:
    done = command(stage, AWS_ENDPOINT_URL=emulator.url)
    assert done.returncode == 1, done.stderr
    assert f"{stage} in account {ACCOUNT}, {REGION}" in done.stdout
    # The emulator does not run these operations.
    assert done.stdout.count("could not be checked") > 3
    assert "NotImplemented" in done.stdout


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "COLUMNS": "240"}
    return subprocess.run(
        [sys.executable, "-m", "ci.preflight", *arguments],
        cwd=ROOT,
        env={**inherited, **keys, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_unknown_stage_is_refused() -> None:
    done = command("nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Pulumi.nowhere.yaml: no such file" in done.stderr


def test_wrong_stage_file_is_refused_with_its_key(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    document["config"]["ncf:api"]["rate"] = 1
    (tmp_path / "Pulumi.yaml").write_text("name: ncf\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(StageFileError, match=r"Pulumi.dev.yaml: ncf:api.rate is not known"):
        load_stage("dev", tmp_path, {}, lambda service, region: None)


def test_every_check_runs(emulator: Emulator) -> None:
    subjects = " ".join(each.subject for each in findings(stage_at(emulator.url, "prod")))
    for subject, _ in (*account.CHECKS, *deployed.CHECKS):
        if subject != "secret of the feature store":  # null in the stage files
            assert subject.removesuffix("s").split()[0] in subjects, subject
