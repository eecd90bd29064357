"""Source files of a run: a single file, all files of a folder, or those of its daily partitions.

A partition is a folder ``dt=YYYY-MM-DD`` or ``date=YYYY-MM-DD``, or either with ``YYYYMMDD``, directly in the
input, with everything below it (such as ``hour=13/``). Days are UTC. A run reads the days that ended at or
before the time in its run id. The day of the run itself is never read: its content depends on when the job
starts, and preparing the run again would include events from after the run.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from datetime import date, datetime, timedelta

from ml.contract import RUN_ID_FORMAT
from ml.preparation.detect.input_error import is_documentation
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage, StoredFile

_log = logging.getLogger(__name__)
_PARTITION = re.compile(r"(?:^|/)(?:dt|date)=([^/]*)/?$")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_ONE_DAY = timedelta(days=1)
# Folders that only a table of this format has. Its data files hold deleted rows, too.
_TABLE_FORMATS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
_PART_OF_TABLE = re.compile(r"[^/:]/+(data|[^/]*\.(parquet|orc|avro))$")
_ICEBERG = ("metadata", ".metadata.json")  # folder, and the end of the name of a file in it


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
        raise InputError(f"{uri}: no such file or folder; give --input an existing one")
    refuse_table_format(storage, uri)
    folders, files = storage.children(uri)
    partitions = dated_partitions(folders)
    if not partitions:
        if look_back_days is not None:
            raise InputError(
                f"{uri}: no dated folders such as dt=2026-11-23 in it; leave --look-back-days out"
            )
        return _non_empty(storage.list_files(uri), uri)
    undated = [*(each for each in folders if not _PARTITION.search(each)), *files]
    if undated:
        raise InputError(
            f"{undated[0]}: next to dated folders, but not in one; move it, or start its name with _"
        )
    end = datetime.strptime(run_id, RUN_ID_FORMAT).date()  # noqa: DTZ007 (a run id is UTC)
    return _files_of_window(storage, uri, partitions, end, look_back_days)


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
        names = storage.list_folders(folder)
        kind = next((kind for name, kind in _TABLE_FORMATS.items() if name in names), None)
        if kind is None and _ICEBERG[0] in names:
            metadata = storage.children(f"{folder}/{_ICEBERG[0]}")[1]
            kind = "Iceberg" if any(_ICEBERG[1] in each.rsplit("/", 1)[-1] for each in metadata) else None
        if kind is not None:
            raise InputError(
                f"{folder}: a {kind} table, whose files hold deleted rows too; "
                "write its current rows to a folder of Parquet files, and give that one"
            )


def dated_partitions(folders: list[str]) -> dict[date, list[str]]:
    """The partitions among some folders, by day.

    Raises:
        InputError: the name of a partition has no valid date; the message names the folder.
    """
    partitions: defaultdict[date, list[str]] = defaultdict(list)
    for folder in folders:
        match = _PARTITION.search(folder)
        if match:
            try:
                if not _DAY.fullmatch(match[1]):  # strptime accepts days of fewer digits, too
                    raise ValueError(match[1])
                # Not fromisoformat, which accepts more spellings from Python 3.11 on.
                day = datetime.strptime(match[1].replace("-", ""), "%Y%m%d").date()  # noqa: DTZ007
            except ValueError:
                raise InputError(
                    f"{folder}: {match[1]!r} is not a date; "
                    "write YYYY-MM-DD or YYYYMMDD, or start the name with _"
                ) from None
            partitions[day].append(folder)
    return dict(partitions)


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
    name = file.rsplit("/", 1)[-1]
    if not is_documentation(name) or uri.rstrip("/").endswith(f"/{name}"):
        return False
    _log.info("read: passed over %s", file)
    return True


def _joined(days: list[date]) -> str:
    return ", ".join(str(day) for day in days)
