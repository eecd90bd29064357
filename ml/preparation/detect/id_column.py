"""The column of users or items of a file with names."""

from __future__ import annotations

from collections.abc import Sequence

from ml.preparation.detect.input_error import InputError, printable, quoted
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.spellings import NOUNS, WEAK_USERS, first_named

_MOSTLY = 0.5  # share of the sampled values
_NEARLY_ONE = 1.02  # values of one column per value of another that names the same


def choose_id(role: str, samples: Samples, warnings: list[str]) -> int | None:
    """The column of users or items: the only noun that has values, or the one that is not constant."""
    found = [each for noun in NOUNS[role] if (each := _of_noun(role, noun, samples, warnings)) is not None]
    filled = [each for each in found if samples.null_share(each) <= _MOSTLY] if samples.n_rows else found
    if role == "user" and not filled:
        session = first_named(samples.columns, WEAK_USERS)
        if session is not None:
            if found:
                empty = [samples.columns[each] for each in found]
                warnings.append(_empty_column(role, samples.columns[session], empty))
            return session
    if not filled:
        return found[0] if found else None
    if empty := [samples.columns[each] for each in found if each not in filled and samples.n_distinct(each)]:
        warnings.append(_empty_column(role, samples.columns[filled[0]], empty))
    varied = [each for each in filled if samples.n_distinct(each) > 1] or filled
    different = [each for each in varied[1:] if samples.values(each) != samples.values(varied[0])]
    if not samples.n_rows and len(found) > 1:
        others = ", ".join(printable(samples.columns[each]) for each in found[1:])
        warnings.append(
            f"{role} = {printable(samples.columns[found[0]])}, although {others} could be meant; "
            f"give --{role}-column to decide"
        )
    if not samples.n_rows or not different:
        _warn_of_others(role, varied[0], samples, warnings)
        return varied[0]
    options = [varied[0], *different]
    described = " and ".join(
        f"{printable(samples.columns[each])} ({samples.n_distinct(each):,} distinct in the first "
        f"{samples.n_rows:,} rows, such as {printable(samples.example(each))})"
        for each in options
    )
    raise InputError(
        f"{len(options)} columns could be the {role}: {described}; give "
        + " or ".join(f"--{role}-column {quoted(samples.columns[each])}" for each in options)
    )


def _warn_of_others(role: str, chosen: int, samples: Samples, warnings: list[str]) -> None:
    """Warn of other columns of the chosen noun, such as an artist beside a track."""
    for noun in NOUNS[role]:
        positions = {first_named(samples.columns, (name,)) for name in noun}
        if chosen not in positions:
            continue
        others = sorted(each for each in positions if each is not None and each != chosen)
        filled = [each for each in others if samples.null_share(each) <= _MOSTLY]
        other = [
            printable(samples.columns[each]) for each in filled if not _is_same_id(samples, chosen, each)
        ]
        if other and samples.n_rows:
            warnings.append(
                f"{role} = {printable(samples.columns[chosen])}, although {', '.join(other)} could be meant; "
                f"give --{role}-column to decide"
            )


def _is_same_id(samples: Samples, first: int, second: int) -> bool:
    """Whether two columns name the same users or items, such as a number and a name."""
    pairs = {(row[first], row[second]) for row in samples.rows}
    fewest = min(len({pair[number] for pair in pairs}) for number in (0, 1)) if pairs else 0
    return len(pairs) <= _NEARLY_ONE * fewest


def _of_noun(role: str, noun: Sequence[str], samples: Samples, warnings: list[str]) -> int | None:
    """The column with the first name of a noun; if it is empty in most rows, with the next that is not."""
    first = first_named(samples.columns, noun)
    if first is None or not samples.n_rows or samples.null_share(first) <= _MOSTLY:
        return first
    others = [first_named(samples.columns, (name,)) for name in noun]
    filled = [each for each in others if each is not None and samples.null_share(each) <= _MOSTLY]
    if not filled:
        return first
    warnings.append(_empty_column(role, samples.columns[filled[0]], [samples.columns[first]]))
    return filled[0]


def _empty_column(role: str, used: str, empty: Sequence[str]) -> str:
    return (
        f"{role} = {printable(used)}, because {', '.join(map(printable, empty))} is empty in most rows; "
        f"to use it anyway, give --{role}-column {quoted(empty[0])}"
    )
