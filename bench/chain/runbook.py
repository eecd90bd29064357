"""Contents of the runbook: notifications, alarms, and the reasons of failures that its sections list."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ANY = "…"  # in the runbook: any text
BUILD_SECTION, EXECUTION_SECTION = '"Build … ended FAILED"', '"Pipeline execution … ended Failed"'


@dataclass(frozen=True)
class Runbook:
    """Sections of a runbook in Markdown: heading to text."""

    sections: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Runbook:
        """Read the sections of the third level."""
        parts = re.split(r"^#{2,3} (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        return cls(dict(zip(parts[1::2], parts[2::2], strict=True)))

    def knows_notification(self, text: str) -> bool:
        """Whether a heading in quotes is the beginning of a notification, or names its alarm."""
        quoted = (re.match(r'"(.+?)"', heading) for heading in self.sections)
        patterns = [pattern_of(found[1]) for found in quoted if found]
        patterns += [f'(ALARM|OK): "(ncf-[a-z]+-)?{re.escape(name)}' for name in self._alarms()]
        return any(re.search(pattern, text) for pattern in patterns)

    def knows_alarm(self, name: str) -> bool:
        """Whether a heading has an alarm, by the name without stage and suffix."""
        return name in self._alarms()

    def knows_reason(self, section: str, text: str) -> bool:
        """Whether a text has a reason that the table of a section lists in its first column."""
        rows = re.findall(r"^\| (.+?) \|", self._section(section), re.MULTILINE)
        listed = (pattern for row in rows for pattern in re.findall(r"`([^`]+)`", row))
        return any(re.search(pattern_of(pattern), text, re.DOTALL) for pattern in listed)

    def _alarms(self) -> list[str]:
        headings = (heading for heading in self.sections if heading.startswith("Alarm"))
        return [name for heading in headings for name in re.findall("`(.+?)`", heading)]

    def _section(self, start: str) -> str:
        return next(text for heading, text in self.sections.items() if heading.startswith(start))


def pattern_of(text: str) -> str:
    """Regular expression of a text in which `ANY` stands for any text."""
    return ".*".join(re.escape(part) for part in text.split(ANY))
