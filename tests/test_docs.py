"""Markdown pages: links resolve, ADRs have a status and a date, the runbook's names exist in every stage."""

import re
from pathlib import Path

import pytest

from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded

ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "emulator/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "template.md"
)
RUNBOOK = ROOT / "docs" / "runbook.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"^- Status: (?P<status>Proposed|Accepted|Superseded by)", re.MULTILINE)
DATE = re.compile(r"^- Date: (?P<date>\d{4}-\d{2}-\d{2})", re.MULTILINE)


def text_of(page: Path) -> str:
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and GitLab generate for the headings of a page."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text_of(page)))
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in LINK.findall(text_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("adr", ADRS, ids=lambda adr: adr.stem)
def test_adr_has_a_status_and_a_date_and_is_in_the_index(adr: Path) -> None:
    text = adr.read_text(encoding="utf-8")
    status, date = STATUS.search(text), DATE.search(text)
    assert status
    assert date
    index = (adr.parent / "README.md").read_text(encoding="utf-8")
    rows = [line for line in index.splitlines() if f"({adr.name})" in line]
    assert len(rows) == 1
    assert status["status"] in rows[0]
    assert date["date"] in rows[0]


def test_number_of_an_adr_is_used_once() -> None:
    """Not without gaps: a number is taken when the work on its record starts."""
    numbers = [int(adr.name[:4]) for adr in ADRS]
    assert sorted(set(numbers)) == sorted(numbers)


def test_runbook_names_only_stack_outputs() -> None:
    used = set(re.findall(r"\bout (\w+)\)", RUNBOOK.read_text(encoding="utf-8")))
    assert used
    for stage in STAGES:
        assert sorted(used - recorded(stage).exports.keys()) == []


def test_every_alarm_has_a_heading_in_the_runbook() -> None:
    headings = re.findall(r"^#+ Alarm .+$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    described = {name for heading in headings for name in re.findall(r"`([\w-]+)`", heading)}
    alarms = {
        alarm.name
        for stage in STAGES
        for alarm in recorded(stage).of("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    assert described == alarms
