"""The zip of a model: members by fixed names, stored as they are, a hash each; written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fusionfer import __version__
from fusionfer.exceptions import ModelError

__all__ = [
    "ESTIMATOR",
    "FORMAT",
    "MANIFEST",
    "NEEDS",
    "VERSION",
    "WEIGHT_SUFFIXES",
    "check_members",
    "copy_hashed",
    "facts",
    "file_sha256",
    "opened",
    "replacing",
    "zip_info",
]

FORMAT = "fusionfer-model"
VERSION = 1
NEEDS = "0.1"  # the first fusionfer that reads VERSION

MANIFEST, ESTIMATOR = "model.json", "estimator.skops"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar")

_WEIGHTS = re.compile(r"weights/[0-9a-f]{64}(" + "|".join(map(re.escape, WEIGHT_SUFFIXES)) + ")")
_MAX_MANIFEST = 64 << 20
_CHUNK = 1 << 20
_FIELDS = {
    "written_by": str,
    "created": str,
    "versions": dict,
    "classes": list,
    "blocks": list,
    "selection": dict,
    "training": dict,
    "estimator": dict,
    "weights": dict,
    "members": dict,
}
_BLOCK_FIELDS = {"name": str, "backbone": str, "level": str, "dim": int, "key": dict, "record": dict}


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """Open a model whose members and manifest have been checked; hashes are left to those who read a member.

    Raises
    ------
    ModelError
        If it is no model, damaged, or of a format that this fusionfer does not read.
    """
    if not path.is_file():
        msg = f"{path} is a folder, not a model." if path.is_dir() else f"There is no model {path}."
        raise ModelError(msg)
    try:
        with zipfile.ZipFile(path) as archive:
            names = check_members(archive, path.stat().st_size, str(path))
            strange = [name for name in names if name not in (MANIFEST, ESTIMATOR) and not _WEIGHTS.fullmatch(name)]
            if strange or not {MANIFEST, ESTIMATOR} <= names:
                msg = f"{path} is no fusionfer model, but a zip that holds {', '.join(sorted(names)[:5]) or 'nothing'}."
                raise ModelError(msg)
            yield archive, _read_manifest(archive, names, path)
    except ModelError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error) as error:
        msg = f"{path} is no fusionfer model, or is damaged: {_guess(path) or error}."
        raise ModelError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ModelError(msg) from error


def check_members(archive: zipfile.ZipFile, size: int, what: str) -> set[str]:
    """Return the names of the members; refuse repeated, compressed, encrypted ones and such as claim too many bytes."""
    infos = archive.infolist()
    names = {info.filename for info in infos}
    stored = all(i.compress_type == zipfile.ZIP_STORED and i.file_size == i.compress_size for i in infos)
    if len(names) != len(infos) or not stored or sum(i.file_size for i in infos) > size:
        msg = f"{what} is damaged or was not written by fusionfer: members repeat, are compressed, or are too large."
        raise ModelError(msg)
    if any(info.flag_bits & 1 for info in infos):
        msg = f"{what} is encrypted; fusionfer models are not."
        raise ModelError(msg)
    return names


def _read_manifest(archive: zipfile.ZipFile, names: set[str], path: Path) -> dict[str, Any]:
    """Return ``model.json``, having checked format, version, fields and the list of members."""
    if archive.getinfo(MANIFEST).file_size > _MAX_MANIFEST:
        msg = f"{path} is damaged: {MANIFEST} is larger than {_MAX_MANIFEST >> 20} MiB."
        raise ModelError(msg)
    try:
        manifest = json.loads(archive.read(MANIFEST))
    except (ValueError, RecursionError) as error:
        msg = f"{path} is damaged: {MANIFEST} is not JSON ({error})."
        raise ModelError(msg) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        msg = f"{path} is no fusionfer model: {MANIFEST} does not say format {FORMAT!r}."
        raise ModelError(msg)
    if manifest.get("version") != VERSION:
        msg = f"{path} has model format {manifest.get('version')}, written by {manifest.get('written_by')}; it needs "
        msg += f"fusionfer >= {manifest.get('needs')}. This is fusionfer {__version__}, which reads format {VERSION}."
        raise ModelError(msg)
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(manifest.get(name), kind)]
    if wrong or not isinstance(manifest["estimator"].get("type"), str):
        wrong = wrong or ["estimator.type"]
        msg = f"{path} is damaged: {MANIFEST} lacks {', '.join(wrong)}, or holds something else there."
        raise ModelError(msg)
    for block in manifest["blocks"]:
        if not isinstance(block, dict) or any(not isinstance(block.get(n), kind) for n, kind in _BLOCK_FIELDS.items()):
            msg = f"{path} is damaged: a block in {MANIFEST} lacks one of {', '.join(_BLOCK_FIELDS)}."
            raise ModelError(msg)
    members = manifest["members"]
    complete = set(members) == names - {MANIFEST} and all(
        isinstance(entry, dict) and entry == facts(entry.get("sha256"), archive.getinfo(name).file_size)
        for name, entry in members.items()
    )
    if not complete or not all(isinstance(m, str) and m in members for m in manifest["weights"].values()):
        msg = f"{path} is damaged: its members are not those that {MANIFEST} lists."
        raise ModelError(msg)
    return manifest


def _guess(path: Path) -> str:
    """Say what a file that is no zip looks like, where its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        return "it is empty"
    if head[:1] in (b"\x80", b"\x78") or head[:2] == b"\x1f\x8b":  # pickle, and its zlib and gzip forms
        return "it looks like a pickle or joblib file, which can run code and is therefore never opened"
    return "it is an HDF5 file, perhaps a feature cache" if head == b"\x89HDF\r\n\x1a\n" else ""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write into that takes the place of `path` once it is on the disk, and leaves no trace otherwise.

    Raises
    ------
    ModelError
        If it cannot be written; what was at `path` before is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as sink:
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}. What was there before is unchanged."
        raise ModelError(msg) from error


def copy_hashed(source: IO[bytes], sink: IO[bytes] | None = None) -> str:
    """Copy to `sink` (or nowhere) and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if sink is not None:
            sink.write(chunk)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return copy_hashed(file)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ModelError(msg) from error


def facts(sha256: str | None, size: int) -> dict[str, Any]:
    """Return what the manifest says of one member."""
    return {"sha256": sha256, "bytes": size}


def zip_info(name: str) -> zipfile.ZipInfo:
    """Return the entry of a member, dated on the zip format's first day: true dates would make equal models differ."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info
