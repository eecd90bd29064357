"""The review as Markdown, for the note on a merge request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from local.replacements.table import document as replacement_table
from local.review.cost import Line, price_list
from local.review.difference import NEW_REFERENCE, Change, Kind
from local.review.losses import losses
from local.review.report import Review, headline, label, short, verdict

MAX_CHARACTERS = 100_000  # a note that people read; GitLab takes 1,000,000
MAX_INPUTS = 12  # per resource


def markdown(found: Review) -> str:
    """The note; details are folded, and sections that do not fit are left out with a line that says so."""
    lines = [f"### Review of {found.stage} against {found.base[:10]}", ""]
    lines += [f"{number}. {_escape(text)}" for number, text in enumerate(verdict(found), start=1)]
    text = "\n".join(lines) + "\n"
    for section in _sections(found):
        if len(text) + len(section) > MAX_CHARACTERS:
            text += "\nThe note is too long for the other sections: run `make review` for all of them.\n"
            break
        text += section
    return text + f"\nReplacements: {replacement_table()['source']}. No credentials were used.\n"


def _sections(found: Review) -> Iterator[str]:
    for kind in Kind:
        changes = found.of(kind)
        yield from _fold(f"{kind.name.capitalize()}: {len(changes)}", _resources(changes), changes)
    widened = sum(change.widens for change in found.grants)
    sentences = [
        f"- {'**' if each.widens else ''}{_escape(each.sentence)}{'**' if each.widens else ''}"
        for each in found.grants
    ]
    yield from _fold(
        f"Permissions: {widened} more, {len(found.grants) - widened} fewer", sentences, found.grants
    )
    rows = ["| key | before | after | where |", "| --- | --- | --- | --- |"]
    for each in found.config:
        where = "stage file" if each.in_file else "**default**"
        rows.append(f"| `{each.key}` | {_cell(each.old)} | {_cell(each.new)} | {where} |")
    yield from _fold(f"Configuration: {len(found.config)} keys", rows, found.config)
    before, after = found.usd()
    yield from _fold(f"Cost per month: {before:.2f} to {after:.2f} US dollars", list(_costs(found)), [after])


def _fold(title: str, lines: Sequence[str], content: Sequence[object]) -> Iterator[str]:
    """A folded section; none without content."""
    if content:
        yield "\n<details><summary>" + title + "</summary>\n\n" + "\n".join(lines) + "\n\n</details>\n"


def _resources(changes: Sequence[Change]) -> list[str]:
    lines: list[str] = []
    for change in changes:
        text = headline(change) if change.kind is Kind.REPLACED else label(change)
        lines.append(f"- {_escape(text)}")
        lines += [f"  - {_escape(text)}" for text in losses(change)]
        inputs = [each for each in (*change.inputs, *change.ignored) if each.new != NEW_REFERENCE]
        lines += [
            f"  - `{each.path}`: {_cell(each.old)} to {_cell(each.new)}" for each in inputs[:MAX_INPUTS]
        ]
        if len(inputs) > MAX_INPUTS:
            lines.append(f"  - and {len(inputs) - MAX_INPUTS} more inputs")
    return lines


def _costs(found: Review) -> Iterator[str]:
    before, after = ({line.item: line for line in lines} for lines in found.costs)
    yield "| item | before | after |"
    yield "| --- | --- | --- |"
    for item in dict.fromkeys([*after, *before]):
        old, new = (_usd(lines.get(item)) for lines in (before, after))
        mark = "" if old == new else "**"
        yield f"| {item} | {old} | {mark}{new}{mark} |"
    yield (
        f"\nList prices of {price_list()['region']}, {price_list()['date']}; † from memory of the public "
        "price list. Usage: `ncf:usage` of the stage file."
    )


def _usd(line: Line | None) -> str:
    return "" if line is None else "no price" if line.usd_per_unit is None else f"{line.usd:.2f}"


def _cell(value: object) -> str:
    text = short(value).replace("|", "\\|").replace("`", "'")
    return f"`{text}`"


def _escape(text: str) -> str:
    """Text that Markdown would take for HTML or for a table."""
    return text.replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*").replace("${", "\\${")
