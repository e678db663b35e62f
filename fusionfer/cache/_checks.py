"""Checker: reads the structure of an HDF5 file that nobody vouches for, and collects what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from fusionfer.exceptions import CacheError, CacheFormatError

__all__ = ["Checker"]

_ADVICE = "Restore the file from a copy, or move it away and run `fusionfer extract` again."
_MEMBERS = 64  # a cache has ten; more is somebody's bomb
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Checker:
    """Questions to one open file; each notes what is wrong, and `stop_if_wrong` raises it all at once."""

    def __init__(self, path: Path, file: h5py.File, size: int) -> None:
        self.path = path
        self.file = file
        self.size = size
        self.complaints: list[str] = []

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Checker]:
        """Open `path` for reading; without HDF5's own lock, which read-only and network file systems may lack."""
        try:
            with path.open("rb") as stream:
                start = stream.read(len(_SIGNATURE))
            size = path.stat().st_size
        except OSError as error:
            msg = f"Cannot read {path}: {error.strerror}."
            raise CacheError(msg) from error
        if start != _SIGNATURE:
            what = "it is empty" if size == 0 else f"it begins with {start!r}"
            msg = f"{path} is no feature cache: not HDF5, {what}. {_ADVICE}"
            raise CacheFormatError(msg)
        try:
            file = h5py.File(path, "r", locking=False)
        except (OSError, RuntimeError) as error:
            raise _damaged(path, error) from error
        with file:
            try:
                yield cls(path, file, size)
            except CacheError:
                raise
            except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
                raise _damaged(path, error) from error

    def wrong(self, complaint: str) -> None:
        """Note one complaint."""
        self.complaints.append(complaint)

    def stop_if_wrong(self) -> None:
        """Raise CacheFormatError if there are complaints."""
        if self.complaints:
            msg = f"{self.path} is damaged or no feature cache: {'; '.join(self.complaints)}. {_ADVICE}"
            raise CacheFormatError(msg)

    def format_and_version(self, name: str, version: int) -> None:
        """Refuse another format, and another version with what would read it."""
        found = self.text("format", 100) if "format" in self.file.attrs else ""
        if found != name:
            msg = f"{self.path} is no feature cache: HDF5 of the format {found!r} instead of {name!r}. {_ADVICE}"
            raise CacheFormatError(msg)
        written = self.number("version", least=0)
        if written != version:
            by = self.text("written_by", 200) if "written_by" in self.file.attrs else "an unknown program"
            needs = self.text("needs", 200) if "needs" in self.file.attrs else "another release of fusionfer"
            msg = (
                f"{self.path} has format version {written}, written by {by}; it needs {needs} or newer, and this "
                f"release reads version {version}. Update fusionfer, or run `fusionfer extract` into another --cache."
            )
            raise CacheFormatError(msg)

    def text(self, name: str, most: int) -> str:
        """Return a fixed-length text attribute of at most `most` bytes."""
        if not h5py.h5a.exists(self.file.id, name.encode()):
            self.wrong(f"attribute {name} is missing")
            return ""
        attribute = h5py.h5a.open(self.file.id, name.encode())
        is_text = attribute.dtype.kind == "S" and attribute.shape == ()
        if not is_text or attribute.get_storage_size() > most:
            self.wrong(f"attribute {name} is no fixed-length text of at most {most} bytes")
            return ""
        value = self.file.attrs[name]
        try:
            return value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError:
            self.wrong(f"attribute {name} is no UTF-8")
            return ""

    def number(self, name: str, *, least: int) -> int:
        """Return an integer attribute that is at least `least`."""
        if not h5py.h5a.exists(self.file.id, name.encode()):
            self.wrong(f"attribute {name} is missing")
            return least
        attribute = h5py.h5a.open(self.file.id, name.encode())
        if attribute.dtype.kind not in "iu" or attribute.shape != ():
            self.wrong(f"attribute {name} is no integer")
            return least
        value = int(self.file.attrs[name])
        if value < least:
            self.wrong(f"attribute {name} is {value}, less than {least}")
            return least
        return value

    def links(self) -> None:
        """Refuse links to elsewhere, which could show another file's bytes, and crowds of members."""
        count = self.file.id.get_num_objs()
        if count > _MEMBERS:
            self.wrong(f"it has {count} members")
            return
        for name in list(self.file):
            if self.file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                self.wrong(f"/{name} is a link to elsewhere")

    def array(self, name: str, shape: tuple[int, ...] | None, dtype: np.dtype, *, most: int | None = None) -> int:
        """Check one dataset and return the byte at which it begins.

        `shape` None asks for one dimension of any length, up to `most` bytes.
        """
        dataset = self._dataset(name)
        if dataset is None:
            return 0
        expected = "(any,)" if shape is None else str(shape)
        fits = dataset.ndim == 1 and dataset.size > 0 if shape is None else dataset.shape == shape
        if not fits or dataset.dtype != dtype:
            self.wrong(f"/{name} is {dataset.dtype} {dataset.shape} instead of {dtype} {expected}")
            return 0
        if most is not None and dataset.nbytes > most:
            self.wrong(f"/{name} takes {dataset.nbytes} bytes, more than {most}")
        return self._place(name, dataset)

    def strings(self, name: str, n: int, most: int) -> None:
        """Check one dataset of n fixed-length texts of at most `most` bytes each."""
        dataset = self._dataset(name)
        if dataset is None:
            return
        if dataset.shape != (n,) or dataset.dtype.kind != "S" or dataset.dtype.itemsize > most:
            self.wrong(f"/{name} is {dataset.dtype} {dataset.shape} instead of ({n},) texts of at most {most} bytes")
            return
        self._place(name, dataset)

    def _dataset(self, name: str) -> h5py.Dataset | None:
        """Return the dataset if it is one, and lies in this file as it is: contiguous, unfiltered."""
        item = self.file.get(name) if name in self.file else None
        if not isinstance(item, h5py.Dataset):
            self.wrong(f"/{name} is missing")
            return None
        how = item.id.get_create_plist()
        if how.get_layout() != h5py.h5d.CONTIGUOUS or how.get_nfilters() or how.get_external_count():
            self.wrong(f"/{name} is chunked, filtered, virtual or stored in another file; caches are contiguous")
            return None
        return item

    def _place(self, name: str, dataset: h5py.Dataset) -> int:
        """Return where the dataset begins, if all of it lies within the file."""
        offset = dataset.id.get_offset()
        if offset is None or offset + dataset.nbytes > self.size:
            self.wrong(f"/{name} takes {dataset.nbytes} bytes, and the file has {self.size} in all: it is cut off")
            return 0
        return int(offset)


def _damaged(path: Path, error: Exception) -> CacheFormatError:
    return CacheFormatError(f"{path} is damaged: HDF5 says {str(error)[:200]!r}. {_ADVICE}")
