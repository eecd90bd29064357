"""Table formats whose data files hold deleted rows, too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

METADATA = "metadata"  # folder of an Iceberg table
_LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}  # folders that only a table of this format has
_ICEBERG_FILE = ".metadata.json"  # end of the name of a file in METADATA


def table_format(folders: Collection[str], metadata_files: Callable[[], Iterable[str]]) -> str | None:
    """The format of a table; None if a folder is none.

    Args:
        folders: names of the folders in it.
        metadata_files: names of the files in its folder METADATA.
    """
    known = next((kind for name, kind in _LOGS.items() if name in folders), None)
    if known is None and METADATA in folders and any(_ICEBERG_FILE in name for name in metadata_files()):
        return "Iceberg"
    return known


def refusal(folder: str, kind: str) -> str:
    """The message for a table."""
    return (
        f"{folder}: a {kind} table, whose files hold deleted rows too; "
        "write its current rows to a folder of Parquet files, and give that one"
    )
