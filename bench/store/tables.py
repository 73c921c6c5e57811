"""Dataclasses of arrays as Parquet files and back: which column holds which field, and its form.

Columns that many trials have in common, such as their test images' names, can be kept once beside
them, in a file that is named by its checksum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from bench.files.atomic import new_file
from bench.files.checksums import file_digest

T = TypeVar("T")

CHECKSUM = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 in hexadecimal digits."""


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
        common: Whether trials that were tested on the same images have the same values.
    """

    name: str
    field: str
    type: str | None = None
    shape: tuple[int | str, ...] = (-1,)
    common: bool = False

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

    def write(self, path: Path, value: T, common: Path | None = None) -> str | None:
        """Write an object to a Parquet file.

        Args:
            path: The file.
            value: The object.
            common: Folder for the columns that trials have in common; None to write all to `path`.

        Returns:
            The checksum that names the file in `common`; None where there is none.
        """
        import pyarrow as pa

        arrays = {column: getattr(value, column.field) for column in self.columns}
        columns = {c: c.to_arrow(array) for c, array in arrays.items() if array is not None}
        apart = {c.name: columns.pop(c) for c in list(columns) if c.common and common is not None}
        header = self.write_header(value) if self.write_header else None
        own = pa.table({c.name: array for c, array in columns.items()}, metadata=header)
        path.write_bytes(_parquet(own))
        return _write_common(common, _parquet(pa.table(apart))) if common and apart else None

    def read(self, path: Path, common: Path | None = None) -> T:
        """An object from a Parquet file.

        Args:
            path: The file.
            common: The file of the columns that are not in it; None where it has all.
        """
        table = _read_parquet(path)
        header = {
            key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()
        }
        found = {name: table[name] for name in table.column_names}
        if common is not None:
            apart = _read_parquet(common)
            found |= {name: apart[name] for name in apart.column_names}
        fields = {
            column.field: column.to_numpy(found[column.name], header)
            for column in self.columns
            if column.name in found
        }
        return self.of(**fields, **self.read_header(header))


def common_path(folder: Path, checksum: str) -> Path:
    """Where columns that trials have in common lie."""
    return folder / f"{checksum}.parquet"


def check_common(folder: Path, checksum: str) -> None:
    """Compare columns that trials have in common with the checksum that names their file.

    Raises:
        ValueError: It is missing, has other bytes, or the name is no checksum.
    """
    if not CHECKSUM.fullmatch(checksum):
        raise ValueError(f"{checksum[:80]!r} names no file of common columns")
    path = common_path(folder, checksum)
    try:
        found = file_digest(path)
    except FileNotFoundError:
        raise ValueError(f"{folder.name}/{path.name} is missing") from None
    if found != checksum:
        raise ValueError(f"{folder.name}/{path.name} is not what was written: its checksum differs")


def _write_common(folder: Path, content: bytes) -> str:
    checksum = hashlib.sha256(content).hexdigest()
    path = common_path(folder, checksum)
    if not path.is_file() or file_digest(path) != checksum:
        with new_file(path) as draft:
            draft.write_bytes(content)
    return checksum


def _parquet(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [
        f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
        for field in table.schema
    ]
    # No two probabilities are alike: they compress by their bytes' places, not by a dictionary.
    split = [name for name in names if name.startswith("probabilities.")]
    written = pa.BufferOutputStream()
    pq.write_table(
        table,
        written,
        compression="zstd",
        use_dictionary=[name for name in names if name not in split],
        use_byte_stream_split=split,
    )
    content: bytes = written.getvalue().to_pybytes()
    return content


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
