"""Bulk inserts and updates of model rows, one statement per model.

The log runs the same few statements over and over. Django's ORM compiles each of them every time, which costs more
than the rest of a delivery, and `executemany` releases the GIL after every row. Here the SQL is compiled once for each
number of rows, and executed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

AnyField: TypeAlias = "models.Field[Any, Any]"
Column: TypeAlias = "tuple[str, AnyField, bool]"
"""The attribute with the value, the field, and whether the field must convert the value for the database."""

MAX_VALUES: Final = 30_000  # of one statement; SQLite accepts 32,766, PostgreSQL 65,535

UNCONVERTED: Final = {
    models.CharField,
    models.PositiveSmallIntegerField,
    models.PositiveIntegerField,
    models.FloatField,
}
"""Fields whose Python values every database accepts."""


def insert(rows: Sequence[models.Model], *, unless_there: bool = False) -> None:
    """Insert rows of any models; pass parents before children. Writes all fields, with the defaults of the model.

    Raises IntegrityError if a key exists. With `unless_there`, rows whose key exists are skipped instead.
    """
    for model, of_model in _by_model(rows):
        columns = _columns(model)
        for portion in _portions(of_model, columns):
            sql = _insertion(model, len(portion), connection.vendor)
            _execute(f"{sql} ON CONFLICT DO NOTHING" if unless_there else sql, columns, portion)


def update(rows: Sequence[models.Model], names: tuple[str, ...] = ()) -> None:
    """Update rows of any models by primary key: the fields in `names`, by default those in the model's `CHANGING`.

    If a row is passed more than once, the last one wins. Rows that were deleted meanwhile are ignored.
    """
    for model, of_model in _by_model(rows):
        columns = _changing(model, names)
        # UPDATE ... FROM must not have two rows for one key: which one wins is undefined.
        for portion in _portions(list({row.pk: row for row in of_model}.values()), columns):
            _execute(_change(model, names, len(portion), connection.vendor), columns, portion)


def _by_model(rows: Iterable[models.Model]) -> Iterable[tuple[type[models.Model], list[models.Model]]]:
    """Return the rows grouped by model, in the order of each model's first row."""
    groups: dict[type[models.Model], list[models.Model]] = {}
    for row in rows:
        groups.setdefault(type(row), []).append(row)
    return groups.items()


def _portions(rows: Sequence[models.Model], columns: tuple[Column, ...]) -> Iterable[Sequence[models.Model]]:
    size = MAX_VALUES // len(columns)
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _execute(sql: str, columns: tuple[Column, ...], rows: Sequence[models.Model]) -> None:
    own = connections[DEFAULT_DB_ALIAS]  # not the proxy `connection`, which looks it up for every value
    values = [
        value if value is None or not prepared else field.get_db_prep_save(value, own)
        for row in rows
        for name, field, prepared in columns
        for value in [getattr(row, name)]
    ]
    with own.cursor() as cursor:
        cursor.execute(sql, values)


@lru_cache
def _columns(model: type[models.Model]) -> tuple[Column, ...]:
    fields = model._meta.concrete_fields
    return tuple((field.attname, field, type(field) not in UNCONVERTED) for field in fields)


@lru_cache
def _changing(model: type[models.Model], names: tuple[str, ...]) -> tuple[Column, ...]:
    """Return the primary key and the columns that change."""
    names = names or model.CHANGING  # type: ignore[attr-defined]  # only models that declare it are updated
    by_name = {field.name: column for column in _columns(model) for field in [column[1]]}
    return tuple(by_name[name] for name in (model._meta.pk.name, *names))


@lru_cache(maxsize=1024)
def _insertion(model: type[models.Model], count: int, vendor: str) -> str:
    columns = _columns(model)
    return f"INSERT INTO {_table(model)} ({_names(columns)}) VALUES {_rows(columns, count, vendor)}"


@lru_cache(maxsize=1024)
def _change(model: type[models.Model], names: tuple[str, ...], count: int, vendor: str) -> str:
    columns = _changing(model, names)
    key, *others = (_quoted(field) for _, field, _ in columns)
    changes = ", ".join(f"{name} = new.{name}" for name in others)
    new = f"WITH new ({_names(columns)}) AS (VALUES {_rows(columns, count, vendor)})"
    return f"{new} UPDATE {_table(model)} SET {changes} FROM new WHERE {_table(model)}.{key} = new.{key}"


def _rows(columns: tuple[Column, ...], count: int, vendor: str) -> str:
    """Return the placeholders of `count` rows. PostgreSQL can't infer their types outside of an INSERT."""
    types = [field.db_type(connection) for _, field, _ in columns]
    marks = ", ".join(f"%s::{type_}" if vendor == "postgresql" else "%s" for type_ in types)
    return ", ".join([f"({marks})"] * count)


def _names(columns: tuple[Column, ...]) -> str:
    return ", ".join(_quoted(field) for _, field, _ in columns)


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _quoted(field: AnyField) -> str:
    return connection.ops.quote_name(str(field.column))
