"""Parquet files with activities. Only this module imports pyarrow, and only when a file is written or read."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from analytics.archive.folder import NotArchived
from relay.arrays import split_into_chunks

#: event_id, occurred_at, visitor (a number), kind, sku, quantity, amount, currency.
Row = tuple[UUID, datetime, int, str, str, int | None, int | None, str]
#: Rows of a row group, which a reader holds in memory at once.
GROUP = 100_000
#: Rows that are read at once.
CHUNK = 10_000


def load_pyarrow(module: str = "pyarrow") -> Any:
    """Return the module of pyarrow.

    :raises NotArchived: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise NotArchived(
            f"the archive needs pyarrow, which is not installed ({error}): install shop[archive]"
        ) from error


def make_schema() -> Any:
    """Return the columns of a file."""
    arrow = load_pyarrow()
    columns = {
        "event_id": arrow.uuid(),
        "occurred_at": arrow.timestamp("us", tz="UTC"),
        "visitor": arrow.int32(),
        "kind": arrow.string(),
        "sku": arrow.string(),
        "quantity": arrow.int32(),
        "amount": arrow.int64(),
        "currency": arrow.string(),
    }
    return arrow.schema([arrow.field(name, kind, name in ("quantity", "amount")) for name, kind in columns.items()])


def write_file(path: Path, rows: Iterable[Row], about: dict[str, str]) -> None:
    """Write `rows` to `path` and store the file on the disk. `about` is stored as metadata of the file.

    :raises NotArchived: the file can't be written.
    """
    parquet, schema = load_pyarrow("pyarrow.parquet"), make_schema().with_metadata(about)
    words = ["visitor", "kind", "sku", "currency"]  # columns whose values repeat
    try:
        with path.open("wb") as file:
            with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=words) as writer:
                for chunk in split_into_chunks(rows, GROUP):
                    writer.write_batch(_make_batch(chunk, schema))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NotArchived(f"{path} can't be written: {error.strerror or error}") from error


def _make_batch(rows: list[Row], schema: Any) -> Any:
    arrow = load_pyarrow()
    ids, *columns = zip(*rows, strict=True)
    stored = arrow.array([one.bytes for one in ids], arrow.binary(16))
    arrays = [arrow.ExtensionArray.from_storage(arrow.uuid(), stored)]
    arrays += [arrow.array(column, field.type) for column, field in zip(columns, list(schema)[1:], strict=True)]
    return arrow.record_batch(arrays, schema=schema)


def read_file(path: Path) -> Iterator[list[Row]]:
    """Yield the rows of the file `path` in chunks.

    :raises NotArchived: the file is missing, damaged, or has other columns.
    """
    arrow, parquet = load_pyarrow(), load_pyarrow("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path) as file:
            if file.schema_arrow.remove_metadata() != make_schema():
                raise NotArchived(f"{path} has other columns than the archive: {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(batch_size=CHUNK):
                yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except FileNotFoundError as error:
        raise NotArchived(f"{path} is missing") from error
    except (OSError, arrow.ArrowException, UnicodeDecodeError) as error:
        raise NotArchived(f"{path} can't be read, it is damaged: {error}") from error
