"""Dataclasses of arrays as Parquet files and back: which column holds which field, and its form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: Its name in the file.
        field: The dataclass's field. One that is None has no column, and one without a column is
            None.
        type: Arrow's name of the type of its values, `string` for text; None for an array a row,
            stored flat and in the array's own type.
        shape: Shape of a row's array; a name in it is that of the header's entry with the number.
    """

    name: str
    field: str
    type: str | None = None
    shape: tuple[int | str, ...] = (-1,)

    def to_arrow(self, values: np.ndarray) -> Any:
        """The values as an Arrow array."""
        import pyarrow as pa

        if self.type is None:
            rows = np.ascontiguousarray(values).reshape(len(values), -1)
            flat = pa.array(rows.reshape(-1), from_pandas=False)
            return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
        plain = [str(value) for value in values] if self.type == "string" else values
        return pa.array(plain, pa.type_for_alias(self.type))

    def to_numpy(self, column: Any, header: dict[str, str]) -> np.ndarray:
        """The values of an Arrow column."""
        if self.type == "string":
            return _texts(column.combine_chunks())
        values: np.ndarray
        if self.type is not None:
            values = column.to_numpy()
            return values
        values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        shape = [int(header[side]) if isinstance(side, str) else side for side in self.shape]
        return values.reshape(len(column), *shape)


@dataclass(frozen=True)
class Table(Generic[T]):
    """How the objects of a dataclass are stored as tables.

    Args:
        of: The dataclass.
        columns: Its columns, in their order in the file.
        write_header: An object's fields that are not one value a row, as texts; None for none.
        read_header: The same back: texts to fields.
    """

    of: Callable[..., T]
    columns: tuple[Column, ...]
    write_header: Callable[[T], dict[str, str]] | None = None
    read_header: Callable[[dict[str, str]], dict[str, Any]] = lambda header: {}

    def write(self, path: Path, value: T) -> None:
        """Write an object to a Parquet file."""
        import pyarrow as pa

        arrays = {column: getattr(value, column.field) for column in self.columns}
        _write_parquet(
            path,
            pa.table(
                {c.name: c.to_arrow(array) for c, array in arrays.items() if array is not None},
                metadata=self.write_header(value) if self.write_header else None,
            ),
        )

    def read(self, path: Path) -> T:
        """An object from a Parquet file."""
        table = _read_parquet(path)
        header = {
            key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()
        }
        fields = {
            column.field: column.to_numpy(table[column.name], header)
            for column in self.columns
            if column.name in table.column_names
        }
        return self.of(**fields, **self.read_header(header))


def _write_parquet(path: Path, table: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [
        f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
        for field in table.schema
    ]
    # No two probabilities are alike: they compress by their bytes' places, not by a dictionary.
    split = [name for name in names if name.startswith("probabilities.")]
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=[name for name in names if name not in split],
        use_byte_stream_split=split,
    )


def _read_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The files are small: threads and reading ahead would only cost.
    return pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)


def _texts(rows: Any) -> np.ndarray:
    """A column of text; trials tested on the same images share one array, read-only."""
    _, offsets, text = rows.buffers()
    return _shared_texts(len(rows), offsets.to_pybytes(), text.to_pybytes() if text else b"")


@lru_cache(maxsize=64)
def _shared_texts(rows: int, offsets: bytes, text: bytes) -> np.ndarray:
    import pyarrow as pa

    column = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
    texts = np.array(column.to_pylist(), dtype=object)
    texts.setflags(write=False)
    return texts
