"""Columns at paths in nested rows: structs are followed, lists give one row per element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)
from pyspark.sql.types import ArrayType, DataType, StringType, StructType

from ml.preparation.detect.paths import LIST, ColumnPath, parse_path
from ml.preparation.errors import InputError

ELEMENT = "element"  # column with the element of the innermost list


def text_schema(paths: Sequence[str]) -> StructType:
    """Schema of objects with text at each path, for parsing JSON."""
    tree: dict[str, dict] = {}
    for text in paths:
        path = parse_path(text)
        steps = [step for keys in path.lists for step in (*keys, LIST)] + list(path.keys)
        reduce(lambda node, step: node.setdefault(step, {}), steps, tree)
        if len(path.keys) > 1 and not path.lists:
            tree.setdefault(text, {})  # a key with a dot
    return _struct(tree)


def select_values(
    table: DataFrame, row: Column | None, texts: Sequence[str], kept: Sequence[str], source: str
) -> tuple[DataFrame, dict[str, Column]]:
    """The values at some paths: one row per element of the lists on them.

    A row whose list is empty or missing gives one row, with nulls for the values in the list.

    Args:
        table: rows.
        row: struct column that the paths start from; None: the columns of the table.
        texts: paths of columns.
        kept: other columns of the table to keep.
        source: the file, for messages.

    Returns:
        The table with the columns `kept`, ``element`` if there are lists, and the values; and its value
        column of each path.

    Raises:
        InputError: two paths are in different lists, whose elements do not belong together.
    """
    paths = {text: parse_path(text) for text in texts}
    lists = max((path.lists for path in paths.values()), key=len, default=())
    if any(path.lists != lists[: len(path.lists)] for path in paths.values()):
        raise InputError(f"{source}: the columns {', '.join(texts)} are in different lists; give one list")
    names = {text: f"value_{number}" for number, text in enumerate(paths)}
    available = list(kept)
    # The values around a list are selected before it is exploded: each element would copy the whole row.
    for depth in range(len(lists) + 1):
        found = [text for text, path in paths.items() if len(path.lists) == depth]
        inner = [F.explode_outer(_field(row, lists[depth])).alias(ELEMENT)] if depth < len(lists) else []
        if depth == len(lists) and depth:
            inner = [F.col(ELEMENT)]
        values = [_value(row, text, paths[text]).alias(names[text]) for text in found]
        table = table.select(*available, *values, *inner)
        available += [names[text] for text in found]
        row = F.col(ELEMENT)
    return table, {text: F.col(name) for text, name in names.items()}


def type_at(schema: StructType, text: str) -> DataType | None:
    """The type of the value at a path; None if there is no such column."""
    if text in schema.names:
        return schema[text].dataType
    path = parse_path(text)
    found: DataType = schema
    for depth, keys in enumerate((*path.lists, path.keys)):
        if depth:
            if not isinstance(found, ArrayType):
                return None
            found = found.elementType
        for key in keys:
            if not isinstance(found, StructType) or key not in found.names:
                return None
            found = found[key].dataType
    return found


def nested_paths(schema: StructType, prefix: str = "") -> list[str]:
    """Paths of all values inside of structs and lists."""
    found = []
    for field in schema.fields:
        path, kind = f"{prefix}{field.name}", field.dataType
        if isinstance(kind, ArrayType):
            path, kind = f"{path}{LIST}", kind.elementType
        if isinstance(kind, StructType):
            found += nested_paths(kind, f"{path}.")
        elif prefix or path.endswith(LIST):
            found.append(path)
    return found


def has_list(texts: Sequence[str]) -> bool:
    """Whether a path goes through a list."""
    return any(LIST in text for text in texts)


def _value(row: Column | None, text: str, path: ColumnPath) -> Column:
    if len(path.keys) > 1 and not path.lists and row is not None:
        return F.coalesce(_field(row, path.keys), row.getField(text))  # or a key with a dot
    return _field(row, path.keys)


def _field(start: Column | None, keys: Sequence[str]) -> Column:
    if start is None:
        start, keys = F.col(f"`{keys[0].replace('`', '``')}`"), keys[1:]
    return reduce(lambda column, key: column.getField(key), keys, start)


def _struct(tree: Mapping[str, Mapping]) -> StructType:
    schema = StructType()
    for key, below in tree.items():
        schema = schema.add(key, _type(below))
    return schema


def _type(below: Mapping[str, Mapping]) -> DataType:
    if not below:
        return StringType()
    return ArrayType(_type(below[LIST])) if LIST in below else _struct(below)
