"""GitLab and Jenkins pipelines, and the scripts that they run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.gitlab import AUDIENCE
from tests.conftest import IN_SECOND_SESSION, SLOWEST_FILES, file_of, shared_by_process
from tests.repository import ROOT, STAGES

GITLAB = ROOT / ".gitlab-ci.yml"


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def fake_pulumi(tmp_path: Path) -> Path:
    """A fake Pulumi CLI that records its arguments and its token file."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\necho "$@" >> "$PULUMI_CALLS"\n'
        '[ -n "$AWS_WEB_IDENTITY_TOKEN_FILE" ] && cat "$AWS_WEB_IDENTITY_TOKEN_FILE" >> "$PULUMI_CALLS"\n'
        'echo "+ 3 to create"\nexit "${PULUMI_EXIT:-0}"\n'
    )
    program.chmod(0o755)
    return program.parent


def pulumi_env(fake_pulumi: Path, tmp_path: Path) -> dict[str, str]:
    return {"PATH": f"{fake_pulumi}:{os.environ['PATH']}", "PULUMI_CALLS": str(tmp_path / "calls")}


def test_pipeline_is_valid_against_the_schema_of_gitlab(tmp_path: Path) -> None:
    validator = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    assert run(*validator, str(GITLAB)).returncode == 0
    broken = tmp_path / "broken.yml"
    broken.write_text(GITLAB.read_text().replace("timeout: 15 minutes", "timeout: [15]"))
    assert run(*validator, str(broken)).returncode == 1


@pytest.mark.parametrize("stage", STAGES)
def test_stage_has_a_review_a_preview_and_a_deployment_that_is_manual_except_in_dev(stage: str) -> None:
    jobs = yaml.safe_load(GITLAB.read_text())
    for name in ("review", "preview"):
        assert jobs[f"{name} {stage}"]["extends"] == f".{name}"
        assert jobs[f"{name} {stage}"]["variables"] == {"STAGE": stage}
    assert jobs[f"deploy {stage}"]["variables"] == {"STAGE": stage}
    (rule,) = jobs[f"deploy {stage}"]["rules"]
    assert (rule.get("when") == "manual") == (stage != "dev")


def test_files_used_by_the_pipelines_exist() -> None:
    text = GITLAB.read_text() + (ROOT / "ci/Jenkinsfile").read_text()
    called = re.findall(r"(?:ci/[\w.]+\.sh|requirements/[\w.]+\.txt)", text)
    called += [f"ci/{module}.py" for module in re.findall(r"-m ci\.(\w+)", text)]
    assert {"ci/pulumi.sh", "ci/bundle.py", "ci/publish.py", "ci/merge_request_note.py"} <= set(called)
    assert [path for path in called if not (ROOT / path).is_file()] == []


def test_preview_writes_its_output_and_returns_the_exit_code(fake_pulumi: Path, tmp_path: Path) -> None:
    env = pulumi_env(fake_pulumi, tmp_path)
    out = tmp_path / "preview.txt"
    assert run("bash", "ci/pulumi.sh", "preview", "dev", str(out), **env).returncode == 0
    assert out.read_text() == "+ 3 to create\n"
    assert run("bash", "ci/pulumi.sh", "preview", "dev", str(out), PULUMI_EXIT="255", **env).returncode == 255
    assert "preview --stack dev --non-interactive" in (tmp_path / "calls").read_text()


@pytest.mark.parametrize("action", ["preview", "up"])
def test_unavailable_spark_packages_are_reported_before_pulumi_runs(
    action: str, fake_pulumi: Path, tmp_path: Path
) -> None:
    python, out = fake_pulumi / "python", tmp_path / "preview.txt"
    python.write_text("#!/bin/sh\necho 'spark_packages: spark.lock: no network' >&2\nexit 2\n")
    python.chmod(0o755)
    env = pulumi_env(fake_pulumi, tmp_path)
    done = run("bash", "ci/pulumi.sh", action, "dev", str(out), **env)
    assert done.returncode == 2
    output = out.read_text() if action == "preview" else done.stderr
    assert output == "spark_packages: spark.lock: no network\n"
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("status", [0, 255])
def test_preview_job_posts_its_note_and_returns_the_exit_code_of_pulumi(
    status: int, fake_pulumi: Path, tmp_path: Path
) -> None:
    (fake_pulumi / "python").write_text('#!/bin/sh\necho "python $@" >> "$PULUMI_CALLS"\n')
    (fake_pulumi / "python").chmod(0o755)
    lines = yaml.safe_load(GITLAB.read_text())[".preview"]["script"]
    script = "\n".join(lines).replace("out/", f"{tmp_path}/out/").replace("-p out", f"-p {tmp_path}/out")
    env = {**pulumi_env(fake_pulumi, tmp_path), "STAGE": "dev", "PULUMI_EXIT": str(status)}
    assert run("bash", "-eo", "pipefail", "-c", script, **env).returncode == status
    assert f"ci.merge_request_note dev {tmp_path}/out/preview-dev.txt" in (tmp_path / "calls").read_text()
    assert (tmp_path / "out/preview-dev.txt").read_text() == "+ 3 to create\n"


@pytest.mark.parametrize("status", [0, 2, 3])
@pytest.mark.parametrize("token", ["", "a-token"])
def test_review_job_posts_its_note_with_a_token_only_and_returns_the_exit_code(
    status: int, token: str, fake_pulumi: Path, tmp_path: Path
) -> None:
    (fake_pulumi / "python").write_text(
        '#!/bin/sh\necho "python $@" >> "$PULUMI_CALLS"\n'
        '[ "$2" = ci.merge_request_note ] || { echo "### Review"; exit "$REVIEW_EXIT"; }\n'
    )
    (fake_pulumi / "python").chmod(0o755)
    lines = yaml.safe_load(GITLAB.read_text())[".review"]["script"]
    script = "\n".join(lines).replace("out/", f"{tmp_path}/out/").replace("-p out", f"-p {tmp_path}/out")
    script = script.replace(".venv/bin/python", "python").replace("make environment", "true")
    env = {"STAGE": "dev", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc", "REVIEW_EXIT": str(status)}
    env |= {**pulumi_env(fake_pulumi, tmp_path), "GITLAB_NOTE_TOKEN": token}

    done = run("bash", "-eo", "pipefail", "-c", script, **env)

    calls = (tmp_path / "calls").read_text()
    assert done.returncode == status
    assert "local review --stage dev --base abc" in calls
    assert ("ci.merge_request_note --review dev" in calls) == bool(token)
    assert "### Review" in done.stdout


def test_review_has_no_credentials_and_runs_for_every_stage_and_merge_request() -> None:
    jobs = yaml.safe_load(GITLAB.read_text())
    settings = {**jobs[".python"], **jobs[".review"]}
    assert {job["variables"]["STAGE"] for name, job in jobs.items() if name.startswith("review ")} == set(
        STAGES
    )
    assert not {"id_tokens", "environment", "secrets"} & set(settings)
    assert settings["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert jobs[".preview"]["allow_failure"] is True


def test_oidc_token_is_passed_in_a_file_that_is_deleted(fake_pulumi: Path, tmp_path: Path) -> None:
    env = pulumi_env(fake_pulumi, tmp_path)
    (tmp_path / "tmp").mkdir()
    done = run(
        "bash", "ci/pulumi.sh", "up", "prod", GITLAB_OIDC_TOKEN="a.b.c", TMPDIR=str(tmp_path / "tmp"), **env
    )
    assert done.returncode == 0
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "a.b.c"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "a.b.c" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"), [(["up", "nowhere"], "no such stage"), (["fly", "prod"], "usage")]
)
def test_invalid_arguments_are_refused(
    arguments: list[str], message: str, fake_pulumi: Path, tmp_path: Path
) -> None:
    env = pulumi_env(fake_pulumi, tmp_path)
    done = run("bash", "ci/pulumi.sh", *arguments, **env)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "calls").exists()


def pulumi_jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """The preview and deploy jobs with the settings that they inherit."""
    jobs = yaml.safe_load(GITLAB.read_text())
    for name in jobs:
        if name.startswith(("preview ", "deploy ")):
            settings: dict[str, Any] = {}
            parent = name
            while parent:
                settings = {**jobs[parent], **settings}
                parent = jobs[parent].get("extends")
            yield name, settings


def test_jobs_of_pulumi_create_the_environment_of_the_program() -> None:
    jobs = dict(pulumi_jobs())
    assert set(jobs) == {f"{kind} {stage}" for kind in ("preview", "deploy") for stage in STAGES}
    for name, job in jobs.items():
        assert job["before_script"] == [
            "bash ci/environment.sh program",
            'export PATH="$PWD/.venv/bin:$PATH"',
        ], name
        assert job["image"]["entrypoint"] == [""], name


def test_merge_requests_do_not_get_the_role_of_a_deployment() -> None:
    environments = {name: job["environment"] for name, job in pulumi_jobs()}
    for stage in STAGES:
        # AWS_ROLE_ARN is a variable of the environment, and `action: prepare` starts no deployment.
        assert environments[f"preview {stage}"] == {"name": f"preview/{stage}", "action": "prepare"}
        assert environments[f"deploy {stage}"] == {"name": stage}
    assert {job["id_tokens"]["GITLAB_OIDC_TOKEN"]["aud"] for _, job in pulumi_jobs()} == {AUDIENCE}


def test_stage_without_a_secrets_provider_is_refused_before_pulumi_runs(
    fake_pulumi: Path, tmp_path: Path
) -> None:
    env = {**pulumi_env(fake_pulumi, tmp_path), "PULUMI_BACKEND_URL": "s3://state"}
    done = run("bash", "ci/pulumi.sh", "up", "dev", **env)
    assert done.returncode == 2
    assert "Pulumi.dev.yaml names no secrets provider" in done.stderr
    assert not (tmp_path / "calls").exists()
    assert run("bash", "ci/pulumi.sh", "up", "dev", **env, PULUMI_CONFIG_PASSPHRASE="").returncode == 0
    env["PULUMI_BACKEND_URL"] = "https://api.pulumi.com"
    assert run("bash", "ci/pulumi.sh", "up", "dev", **env).returncode == 0


# Fails when it imports a module of a distribution that is not in the file of its first argument.
IMPORT_WITH_PACKAGES_OF = """
import importlib.abc, importlib.metadata, re, sys
pins = {re.sub("[-_.]+", "-", line.split("==")[0]) for line in open(sys.argv[1]) if "==" in line}
owners = importlib.metadata.packages_distributions()
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        names = {re.sub("[-_.]+", "-", owner).lower() for owner in owners.get(name.partition(".")[0], ())}
        if names and not names & pins:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
for module in sys.argv[2:]:
    __import__(module)
"""


@pytest.mark.parametrize("module", ["stacks.platform", "account.roles"])
def test_pulumi_programs_import_only_the_packages_of_their_environment(module: str, tmp_path: Path) -> None:
    program = ROOT / "requirements/program.txt"
    done = run(sys.executable, "-c", IMPORT_WITH_PACKAGES_OF, str(program), module)
    assert done.returncode == 0, done.stderr
    shorter = tmp_path / "program.txt"
    shorter.write_text(program.read_text().replace("pulumi-aws==", "other=="))
    done = run(sys.executable, "-c", IMPORT_WITH_PACKAGES_OF, str(shorter), module)
    assert "No module named 'pulumi_aws'" in done.stderr


def test_environment_of_the_programs_is_complete() -> None:
    """Every requirement of a package in program.txt is in program.txt, so that it installs with --no-deps."""
    lines = (ROOT / "requirements/program.txt").read_text().splitlines()
    names = {canonicalize_name(line.split("==")[0]) for line in lines if line[:1] != "#"}
    missing = {
        requirement.name
        for name in names
        for requirement in map(Requirement, metadata.requires(name) or ())
        if (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
        and canonicalize_name(requirement.name) not in names | {"pip", "setuptools"}  # in every environment
    }
    assert missing == set()


def test_requirements_of_the_ci_jobs_equal_the_lock() -> None:
    locked = set((ROOT / "requirements/lock.txt").read_text().split())
    for name in ("publish", "note", "program"):
        pins = [
            line for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines() if line[:1] != "#"
        ]
        assert pins
        assert set(pins) <= locked, name


def test_slowest_files_exist() -> None:
    assert [name for name in (*SLOWEST_FILES, *IN_SECOND_SESSION) if not (ROOT / name).is_file()] == []


def test_files_with_a_spark_session_are_found_by_their_text(request: pytest.FixtureRequest) -> None:
    """The process that distributes the files does not collect their tests."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    with_session = {file_of(test.nodeid) for test in tests if "spark" in test.fixturenames}
    assert [name for name in with_session if "Spark session" not in str(shared_by_process(name))] == []
    assert shared_by_process("tests/ml/preparation/test_job.py") == "Spark session 1"
    assert shared_by_process("tests/e2e/test_bad_input.py") is None
