"""Source files of a run: a file, those of a pattern, all of a folder, or those of its daily partitions.

A partition is a folder of one day, with everything below it: ``dt=YYYY-MM-DD``, another key,
``YYYYMMDD``, or ``year=YYYY/month=MM/day=DD``. Other keys, such as ``country=KR/``, may be above it. Days
are UTC. A run reads the days that ended at or before the time in its run id. The day of the run itself is
never read: its content depends on when the job starts, and preparing the run again would include events from
after the run.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial

from ml.contract import RUN_ID_FORMAT
from ml.preparation.detect.input_error import is_documentation
from ml.preparation.detect.partitions import day_of_folder, partitions_of
from ml.preparation.detect.patterns import alternatives, has_wildcard
from ml.preparation.detect.table_formats import METADATA, refusal, table_format
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage, StoredFile

_log = logging.getLogger(__name__)
_GLOB = re.compile(r"[*?\[{]")
_MAX_LEVELS = 5  # of folders such as country=KR/year=2026/month=11/day=23
_ONE_DAY = timedelta(days=1)
_PART_OF_TABLE = re.compile(r"[^/:]/+(data|[^/]*\.(parquet|orc|avro))$")


def list_sources(
    storage: Storage, uri: str, run_id: str, look_back_days: int | None = None
) -> list[StoredFile]:
    """The files to read.

    Args:
        storage: file systems of the input.
        uri: a file or a folder.
        run_id: partitions are read up to the last day that ends at or before this time.
        look_back_days: number of days to read, ending with that day; None for all. Days without a file are
            logged.

    Raises:
        InputError: the input does not exist, is empty or has no partition in the window; it is a table of a
            format whose files hold deleted rows; the name of a partition is not a date; `look_back_days` is
            set but there are no partitions; files lie next to partitions.
    """
    if not storage.exists(uri):
        if not has_wildcard(uri):
            raise InputError(f"{uri}: no such file or folder; give --input an existing one")
        partitions, others = _matches(storage, uri)
    else:
        refuse_table_format(storage, uri)
        partitions, others = dated_partitions(storage, uri)
    others = [each for each in others if not _is_beside(each, uri)]
    if not partitions:
        if look_back_days is not None:
            raise InputError(
                f"{uri}: no dated folders such as dt=2026-11-23 in it; leave --look-back-days out"
            )
        return _non_empty([file for each in others for file in storage.list_files(each)], uri)
    if others:
        raise InputError(
            f"{others[0]}: next to dated folders, but not in one; move it, or start its name with _"
        )
    end = datetime.strptime(run_id, RUN_ID_FORMAT).date()  # noqa: DTZ007 (a run id is UTC)
    return _files_of_window(storage, uri, partitions, end, look_back_days)


def _matches(storage: Storage, pattern: str) -> tuple[dict[date, list[str]], list[str]]:
    """What has a name of a pattern, by its day, and what has no day in its path."""
    matches = sorted({match for each in alternatives(pattern) for match in _glob(storage, each)})
    if not matches:
        raise InputError(f"{pattern}: no file or folder has such a name; give --input an existing one")
    partitions: defaultdict[date, list[str]] = defaultdict(list)
    undated = []
    for match in matches:
        names = match.rstrip("/").split("/")
        days = [day for n in range(len(names)) if (day := _day_of(names[: n + 1]))]
        if days:
            partitions[days[-1]].append(match)
            continue
        refuse_table_format(storage, match)
        below, others = dated_partitions(storage, match)
        undated += others
        for day, folders in below.items():
            partitions[day] += folders
    return dict(partitions), undated


def _glob(storage: Storage, pattern: str) -> list[str]:
    """Files and folders of a pattern; Hadoop's own search fails beside a name with a colon."""
    names = pattern.rstrip("/").split("/")
    n_fixed = next((number for number, name in enumerate(names) if has_wildcard(name)), len(names))
    found = ["/".join(names[:n_fixed])]
    found = found if storage.exists(found[0]) else []
    for number, name in enumerate(names[n_fixed:], start=n_fixed + 1):
        children = [storage.children(each) for each in found]
        is_last = number == len(names)
        listed = [each for folders, files in children for each in (*folders, *(files if is_last else ()))]
        found = [each for each in listed if fnmatchcase(each.rstrip("/").rsplit("/", 1)[-1], name)]
    return found


def refuse_table_format(storage: Storage, uri: str) -> None:
    """Refuse a Delta, Hudi or Iceberg table: read file by file, its deleted rows would come back.

    Args:
        storage: file systems of the input.
        uri: a file or a folder: the table, its ``data`` folder, or a folder of tables.

    Raises:
        InputError: the input is such a table, has one directly in it, or is a folder or file of one.
    """
    root = uri.rstrip("/")
    # Not the parent of any folder: the job's role may list only the input.
    above = [root.rsplit("/", 1)[0]] if _PART_OF_TABLE.search(root) else []
    for folder in (root, *above, *storage.children(uri)[0]):
        kind = table_format(storage.list_folders(folder), partial(_metadata_files, storage, folder))
        if kind is not None:
            raise InputError(refusal(folder, kind))


def _metadata_files(storage: Storage, folder: str) -> list[str]:
    return [each.rsplit("/", 1)[-1] for each in storage.children(f"{folder}/{METADATA}")[1]]


def dated_partitions(storage: Storage, uri: str) -> tuple[dict[date, list[str]], list[str]]:
    """The folders of one day below a folder, by day, and what is in no such folder.

    Args:
        storage: file systems of the folder.
        uri: a folder, or a file.

    Raises:
        InputError: the name of a partition has no valid date; the message names the folder.
    """
    partitions: defaultdict[date, list[str]] = defaultdict(list)
    undated: list[str] = []

    def visit(folder: str, level: int) -> None:
        folders, files = storage.children(folder)
        undated.extend(files)
        for each in folders:
            names = each.rstrip("/").split("/")
            day = _day_of(names)
            if day is not None:
                partitions[day].append(each)
            elif "=" in names[-1] and level < _MAX_LEVELS:
                visit(each, level + 1)
            else:
                undated.append(each)

    visit(uri, 1)
    return dict(partitions), undated


def _day_of(names: list[str]) -> date | None:
    """The day of a folder, by its name and those above it."""
    try:
        return day_of_folder(names[-1], partitions_of("/".join(names)))
    except ValueError as error:
        raise InputError(
            f"{'/'.join(names)}: {str(error)!r} is not a date; write YYYY-MM-DD or YYYYMMDD, or start the "
            "name with _"
        ) from None


def days_to_read(days: list[date], end: date, look_back_days: int | None) -> list[date]:
    """The days to read, in order, all before ``end``.

    Args:
        days: the days with a partition, in order.
        end: the first day that is not read.
        look_back_days: number of days before ``end``, with or without a partition; None for all days from the
            first partition on.
    """
    before = [day for day in days if day < end]
    if look_back_days is None:
        look_back_days = (end - before[0]).days if before else 0
    return [end - number * _ONE_DAY for number in range(look_back_days, 0, -1)]


def _files_of_window(
    storage: Storage, uri: str, partitions: dict[date, list[str]], end: date, look_back_days: int | None
) -> list[StoredFile]:
    days = days_to_read(sorted(partitions), end, look_back_days)
    skipped = sorted(day for day in partitions if day >= end)
    if skipped:
        _log.info("read: skipped %s: not over at the time of the run", _joined(skipped))
    files = {day: _non_empty_files(storage, partitions.get(day, [])) for day in days}
    missing = [day for day in days if not files[day]]
    if missing:
        _log.warning("read: no events of %s", _joined(missing))
    found = [each for day in days for each in files[day]]
    if not found:
        window = f"{days[0]} to {end - _ONE_DAY}" if days else f"before {end}"
        raise InputError(f"{uri}: no events of any day {window}; give another --run-id or --look-back-days")
    return found


def _non_empty_files(storage: Storage, folders: list[str]) -> list[StoredFile]:
    return [each for folder in folders for each in storage.list_files(folder) if each.bytes > 0]


def _non_empty(listed: list[StoredFile], uri: str) -> list[StoredFile]:
    if not listed:
        raise InputError(f"{uri}: no data files; names that start with _ or . are skipped")
    files = [each for each in listed if each.bytes > 0 and not _is_beside(each.uri, uri)]
    if not files:
        raise InputError(f"{uri}: empty; it needs at least one event")
    return files


def _is_beside(file: str, uri: str) -> bool:
    """Whether a file of a folder is documentation beside the data."""
    name = file.rstrip("/").rsplit("/", 1)[-1]
    if not is_documentation(name) or uri.rstrip("/").endswith(f"/{name}"):
        return False
    _log.info("read: passed over %s", file)
    return True


def _joined(days: list[date]) -> str:
    return ", ".join(str(day) for day in days)
