"""Which files a run reads: the given one, all of a folder, or its dated partitions up to the run.

A partition is a folder ``dt=YYYY-MM-DD`` or ``date=YYYY-MM-DD`` directly in the input, and whatever lies
in it (``hour=13/`` and so on). Days are UTC. A run reads days that have ended when its id says that
it began, and no other: the day of the run itself is never read, since what is in it at the time depends
on the minute, and a re-run would see events of the run's own future.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from datetime import date, datetime, timedelta

from ml.contract import RUN_ID_FORMAT
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage, StoredFile

_log = logging.getLogger(__name__)
_PARTITION = re.compile(r"(?:^|/)(?:dt|date)=([^/]*)/?$")
_ONE_DAY = timedelta(days=1)


def input_files(
    storage: Storage, uri: str, run_id: str, look_back_days: int | None = None
) -> list[StoredFile]:
    """The files to read.

    Args:
        storage: where they are.
        uri: a file or a folder.
        run_id: partitions are read up to the last day that ends at or before this moment.
        look_back_days: how many days to read, the last of them that one; None for all. A day of which
            there is no file is missing, and logged.

    Raises:
        InputError: nothing is there, nothing in it, or no partition in the window; a partition's name
            is no date; a window is asked for where there are no partitions, or files beside them.
    """
    if not storage.exists(uri):
        raise InputError(f"{uri}: no such file or folder; give --input an existing one")
    folders, beside = storage.children(uri)
    partitions = dated_partitions(folders)
    if not partitions:
        if look_back_days is not None:
            raise InputError(
                f"{uri}: no dated folders such as dt=2026-11-23 in it; leave --look-back-days out"
            )
        return _with_content(storage.list_files(uri), uri)
    undated = [*(each for each in folders if not _PARTITION.search(each)), *beside]
    if undated:
        raise InputError(
            f"{undated[0]}: lies beside dated folders and in none; move it, or start its name with _"
        )
    end = datetime.strptime(run_id, RUN_ID_FORMAT).date()  # noqa: DTZ007 (a run id is UTC)
    days = window(sorted(partitions), end, look_back_days)
    later = sorted(day for day in partitions if day >= end)
    if later:
        _log.info("read: passed over %s: not ended when the run began", _listed(later))
    files = {day: _files_of(storage, partitions.get(day, [])) for day in days}
    missing = [day for day in days if not files[day]]
    if missing:
        _log.warning("read: no events of %s", _listed(missing))
    found = [each for day in days for each in files[day]]
    if not found:
        what = f"{days[0]} to {end - _ONE_DAY}" if days else f"before {end}"
        raise InputError(f"{uri}: no events of any day {what}; give another --run-id or --look-back-days")
    return found


def dated_partitions(folders: list[str]) -> dict[date, list[str]]:
    """The partitions among a folder's folders, by their day.

    Raises:
        InputError: what should be a date is none; the message names the folder.
    """
    partitions: defaultdict[date, list[str]] = defaultdict(list)
    for folder in folders:
        match = _PARTITION.search(folder)
        if match:
            try:
                # Not fromisoformat, which takes more spellings from Python 3.11 on.
                moment = datetime.strptime(match[1], "%Y-%m-%d")  # noqa: DTZ007
            except ValueError:
                raise InputError(
                    f"{folder}: {match[1]!r} is no date; write YYYY-MM-DD, or start the name with _"
                ) from None
            partitions[moment.date()].append(folder)
    return dict(partitions)


def window(days: list[date], end: date, look_back_days: int | None) -> list[date]:
    """The days to read, in order, all before ``end``.

    With ``look_back_days`` the days up to the last before ``end``, there or not; without, from the first
    that is there on.
    """
    before = [day for day in days if day < end]
    if look_back_days is None:
        look_back_days = (end - before[0]).days if before else 0
    return [end - number * _ONE_DAY for number in range(look_back_days, 0, -1)]


def _files_of(storage: Storage, folders: list[str]) -> list[StoredFile]:
    return [each for folder in folders for each in storage.list_files(folder) if each.bytes > 0]


def _with_content(listed: list[StoredFile], uri: str) -> list[StoredFile]:
    if not listed:
        raise InputError(f"{uri}: no data files; names that start with _ or . are passed over")
    files = [each for each in listed if each.bytes > 0]
    if not files:
        raise InputError(f"{uri}: empty; it needs at least one event")
    return files


def _listed(days: list[date]) -> str:
    return ", ".join(str(day) for day in days)
