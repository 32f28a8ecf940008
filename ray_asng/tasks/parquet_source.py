"""Reading a Parquet file of encoded images: its columns, its labels, and the decoding of chosen rows.

Rows are counted from 0 in the order of the file. Dimension letters: N chosen rows, H rows and W columns of pixels.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ray_asng.tasks.colours import is_grey, note_grey
from ray_asng.tasks.decode_cache import cached_array, fingerprint
from ray_asng.tasks.resize import check_size, resized

# Rows whose encoded bytes are in memory at once.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class ParquetSource:
    """A checked Parquet file of encoded images and integer labels; made by `open_source`.

    Attributes:
        path: of the file.
        image_column: encoded bytes (whatever Pillow reads), or a struct with these in its field `bytes`.
        labels: (rows of the file,) int64, each in [0, classes).
        classes: number of classes.
    """

    path: Path
    image_column: str
    labels: NDArray[np.int64]
    classes: int

    @property
    def rows(self) -> int:
        """Number of rows of the file."""
        return len(self.labels)

    def images(self, chosen: NDArray[np.int64], size: int | None = None) -> NDArray[np.uint8]:
        """Decoded RGB images, a memory map of the decode cache.

        Args:
            chosen: (N,) rows in ascending order, at least one.
            size: H and W to which the images are brought; None keeps them.

        Returns:
            (N, 3, H, W) uint8.

        Raises:
            ValueError: a broken image, or images of unequal size without `size`; names the row.
        """
        check_size(size)
        content = {
            **fingerprint(self.path),
            "column": self.image_column,
            "rows": hashlib.sha256(chosen.tobytes()).hexdigest(),
            "size": size,
        }
        return cached_array(self.path.stem, content, lambda target: self._decode_all(chosen, size, target))

    def _decode_all(self, chosen: NDArray[np.int64], size: int | None, target: Path) -> None:
        decoded: NDArray[np.uint8] | None = None
        num_grey = 0
        for position, (row, encoded) in enumerate(self._encoded(chosen)):
            image, is_grey = self._decode(row, encoded, size)
            num_grey += is_grey
            if decoded is None:
                shape = (len(chosen), *image.shape)
                decoded = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape)
            if image.shape != decoded.shape[1:]:
                raise ValueError(
                    f"row {row} of {self.path} has an image of {image.shape[1]} x {image.shape[2]} pixels, row "
                    f"{chosen[0]} one of {decoded.shape[2]} x {decoded.shape[3]}; pass size= to bring all to one size"
                )
            decoded[position] = image
        note_grey(num_grey, len(chosen), self.path)

    def _encoded(self, chosen: NDArray[np.int64]) -> Iterator[tuple[int, bytes | None]]:
        """(row, encoded image) of the chosen rows."""
        wanted = iter(chosen.tolist())
        row = next(wanted, None)
        start = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[self.image_column]):
                column = batch.column(0)
                images = column.field("bytes") if pa.types.is_struct(column.type) else column
                while row is not None and row < start + len(images):
                    yield row, images[row - start].as_py()
                    row = next(wanted, None)
                if row is None:
                    return
                start += len(images)

    def _decode(self, row: int, encoded: bytes | None, size: int | None) -> tuple[NDArray[np.uint8], bool]:
        """The pixels, and whether the image had no colours."""
        if encoded is None:
            raise ValueError(f"row {row} of {self.path} has no image in column {self.image_column!r}")
        try:
            with Image.open(io.BytesIO(encoded)) as picture:
                return resized(picture.convert("RGB"), size), is_grey(picture)
        # Pillow's decoders meet broken bytes with errors of many kinds (OSError, SyntaxError, struct.error, ...).
        except Exception as error:
            raise ValueError(
                f"row {row} of {self.path}: the image in column {self.image_column!r} ({len(encoded)} bytes) cannot be "
                f"decoded ({error}); mend that row or make a file without it"
            ) from error


def open_images(path: Path, image_column: str) -> ParquetSource:
    """A file of images alone, whose labels are all 0.

    Raises:
        ValueError: as of `open_source`, but for labels.
    """
    schema = _schema(path)
    _check_columns(path, schema, {"image_column": image_column})
    rows = pq.read_metadata(path).num_rows
    if not rows:
        raise ValueError(f"{path} has no rows")
    return ParquetSource(path, image_column, np.zeros(rows, dtype=np.int64), 1)


def open_source(path: Path, image_column: str, label_column: str, classes: int | None = None) -> ParquetSource:
    """Check everything about a file that can be checked without decoding its images.

    Args:
        path: of the file.
        image_column: name of the column of encoded images.
        label_column: name of the column of integer labels.
        classes: number of classes; None takes the number of names under `classes` in the schema metadata (a JSON
            list), or else the largest label plus 1.

    Raises:
        ValueError: not a Parquet file, a column that is missing or of another type, a label that is missing,
            negative or too large (names the row).
    """
    schema = _schema(path)
    _check_columns(path, schema, {"image_column": image_column, "label_column": label_column})
    labels = _labels(path, schema.field(label_column))
    if classes is None:
        named = _named_classes(path, schema.metadata or {})
        classes = int(labels.max()) + 1 if named is None else named
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(
            f"row {wrong[0]} of {path} has the label {labels[wrong[0]]} in column {label_column!r}; with {classes} "
            f"classes labels are 0 to {classes - 1} (pass classes= if there are more)"
        )
    return ParquetSource(path, image_column, labels, classes)


def _schema(path: Path) -> Any:
    try:
        return pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file, or is damaged: {error}") from error


def _check_columns(path: Path, schema: Any, columns: Mapping[str, str]) -> None:
    """Raise unless the columns (option -> name) are there, and that of images can hold some."""
    for option, name in columns.items():
        if name not in schema.names:
            raise ValueError(f"{path} has no column {name!r}, but {schema.names}; pass {option}= to name the right one")
    _check_image_type(path, schema.field(columns["image_column"]))


def _named_classes(path: Path, metadata: Mapping[bytes, bytes]) -> int | None:
    if b"classes" not in metadata:
        return None
    try:
        names = json.loads(metadata[b"classes"])
    except ValueError:
        names = None
    if not isinstance(names, list):
        raise ValueError(f"the schema metadata `classes` of {path} is no JSON list of names; pass classes=")
    return len(names)


def _check_image_type(path: Path, field: Any) -> None:
    kind = field.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise ValueError(f"column {field.name!r} of {path} must hold encoded images (binary), not {field.type}")


def _labels(path: Path, field: Any) -> NDArray[np.int64]:
    if not pa.types.is_integer(field.type):
        raise ValueError(f"column {field.name!r} of {path} must hold integer labels, not {field.type}")
    column = pq.read_table(path, columns=[field.name]).column(0)
    if not len(column):
        raise ValueError(f"{path} has no rows")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(f"row {row} of {path} has no label in column {field.name!r}")
    labels: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return labels
