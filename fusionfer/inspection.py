"""What a file or folder of fusionfer's holds, how complete it is, and whether it is intact."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from fusionfer.cache import CacheFolder, FileDescription, describe
from fusionfer.exceptions import CacheFormatError, DataError
from fusionfer.fusion import fingerprint_count
from fusionfer.persistence import describe_model

__all__ = ["Inspection", "inspect"]

Rows = list[list[str]]

#: What an ONNX file of fusionfer's begins with, after the two bytes of its version: the name of its maker.
_EXPORT = b"\x12\x09fusionfer"
#: Bounds for files that were made to be slow: bytes of metadata, and fields at the top of a file (ours has 15 or so).
_MOST_METADATA, _MOST_FIELDS = 8 << 20, 1000


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes
    ----------
    kind : {"cache", "folder", "model", "network", "onnx"}
    intact : bool
        Whether every checksum fits and nothing is unfinished.
    data : dict
        All of it, as JSON knows it.
    tables : tuple of (title, header, rows)
        The same for people.
    """

    kind: str
    intact: bool
    data: dict[str, Any]
    tables: tuple[tuple[str, list[str], Rows], ...]


def inspect(path: str | Path) -> Inspection:
    """Describe a cache file, a folder of caches, a model, a trained network, or an export, and compare its checksums.

    A trained network and an export have no checksums; they are called intact if they can be read and are whole.

    Raises
    ------
    DataError
        If there is nothing, or nothing of fusionfer's.
    CacheFormatError, ModelError, WeightsError
        If it cannot be opened at all.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        msg = f"{path} does not exist. Give a cache file, a folder of caches, a model, a checkpoint, or an export."
        raise DataError(msg)
    if path.suffix == ".safetensors":
        return _network(path)
    with path.open("rb") as file:
        start = file.read(len(_EXPORT) + 2)
    if start.endswith(_EXPORT) or path.suffix == ".onnx":
        return _export(path)
    return _model(path) if start.startswith(b"PK\x03\x04") else _cache(path)


def _cache(path: Path) -> Inspection:
    found = describe(path)
    data = _readable(found)
    rows = [
        ["block", f"{found.block}, {found.dim} columns"],
        ["rows", f"{found.done} done, {found.failed} failed, {found.absent} absent, of {found.rows}"],
        ["complete", _yes(found.complete)],
        ["intact", _yes(found.intact) if found.intact else f"no: {_damaged(found)}"],
        ["labels", _counts(found.labels)],
        ["splits", _counts(found.splits)],
        ["weights", _weights(found.record)],
        ["size", f"{found.bytes / 1e6:.1f} MB"],
        ["written", f"{found.created} by {found.written_by}"],
        *([f"key {name}", str(value)] for name, value in sorted(found.key.items())),
    ]
    tables = [(str(path), ["what", "value"], rows)]
    if found.damages:
        tables.append(("Damaged", ["rows", "why"], [[f"{d.start}-{d.stop - 1}", d.reason] for d in found.damages]))
    if found.failures:
        tables.append(("Without features", ["id", "why"], [list(item) for item in found.failures.items()]))
    return Inspection("cache", found.intact and found.complete, data, tuple(tables))


def _folder(path: Path) -> Inspection:
    folder = CacheFolder(path)
    files = [*folder.files(), *folder.parts()]
    if not files:
        msg = f"{path} holds no cache. `fusionfer extract DATA --cache {path}` makes one."
        raise DataError(msg)
    rows: Rows = []
    unreadable: Rows = []
    data: list[dict[str, Any]] = []
    intact = True
    for file in files:
        try:
            found = describe(file)
        except CacheFormatError as error:
            intact = False
            rows.append([file.name, "?", "?", f"{file.stat().st_size / 1e6:.1f}", "unreadable", "?"])
            unreadable.append([file.name, str(error)])
            data.append({"path": str(file), "error": str(error)})
            continue
        intact = intact and found.intact and found.complete
        data.append(_readable(found))
        rows.append(_file_row(file, found))
    header = ["file", "columns", "rows", "MB", "state", "weights"]
    tables = [(str(path), header, rows)]
    if unreadable:
        tables.append(("Unreadable", ["file", "why"], unreadable))
    return Inspection("folder", intact, {"path": str(path), "files": data}, tuple(tables))


def _readable(found: FileDescription) -> dict[str, Any]:
    """Return everything, but numbers of images in the place of half a megabyte of their hashes."""
    return {**_counted(asdict(found)), "damages": [damage._asdict() for damage in found.damages]}


def _counted(value: Any) -> Any:
    if isinstance(value, dict):
        hashes = {name for name in ("trained_on", "selected_on") if isinstance(value.get(name), str)}
        return {
            name: f"{fingerprint_count(entry)} images" if name in hashes else _counted(entry)
            for name, entry in value.items()
        }
    return [_counted(entry) for entry in value] if isinstance(value, list) else value


def _file_row(file: Path, found: FileDescription) -> list[str]:
    state = "intact" if found.intact else _damaged(found)
    if not found.complete:
        state = f"unfinished, {found.absent} rows absent; {state}"
    elif found.failed:
        state = f"{state}, {found.failed} failed"
    return [file.name, str(found.dim), str(found.rows), f"{found.bytes / 1e6:.1f}", state, _weights(found.record)]


def _model(path: Path) -> Inspection:
    found = describe_model(path)
    # Half a megabyte of hashes by which evaluate knows rows that were trained on is nothing to read.
    found["training"] = {k: v for k, v in (found.get("training") or {}).items() if not k.endswith("_fingerprints")}
    selection, training = found.get("selection") or {}, found.get("training") or {}
    rows = [
        ["estimator", found["estimator"]["type"]],
        ["classes", ", ".join(found["classes"])],
        ["trained on", f"{training.get('n', '?')} rows of {training.get('split', '?')}"],
        ["selected", str(selection.get("reason", "no selection recorded"))],
        ["intact", _yes(found["intact"]) if found["intact"] else "no: " + "; ".join(found["problems"])],
        ["written", f"{found['created']} by {found['written_by']}"],
        ["size", f"{found['bytes'] / 1e6:.1f} MB"],
        *(
            [f"block {block['name']}", f"{block['dim']} columns; weights {_weights(block['record'])}"]
            for block in found["blocks"]
        ),
        *(
            [f"brings {backbone}", f"its weights, {found['members'][member]['bytes'] / 1e6:.1f} MB"]
            for backbone, member in found["weights"].items()
        ),
    ]
    return Inspection("model", bool(found["intact"]), found, ((str(path), ["what", "value"], rows),))


def _network(path: Path) -> Inspection:
    from fusionfer.networks import read_checkpoint  # torch, which the others need not load

    info, state = read_checkpoint(path)
    known = {name: f"{fingerprint_count(getattr(info, name))} images" for name in ("trained_on", "selected_on")}
    said = {field.name: getattr(info, field.name) for field in fields(info)}
    data: dict[str, Any] = {
        "path": str(path),
        "bytes": path.stat().st_size,
        "sha256": state.sha256,
        "parameters": sum(tensor.numel() for tensor in state.tensors.values()),
        **{name: dict(value) if isinstance(value, Mapping) else value for name, value in said.items()},
        **known,
        "classes": list(info.classes),
        "preprocess": info.preprocess.describe(),
    }
    figures = {name: value for name, value in info.metrics.items() if isinstance(value, Mapping)}
    rows = [
        ["network", f"{info.network}, {info.stem} stem, for pictures of {info.preprocess.size} pixels"],
        ["classes", ", ".join(info.classes)],
        ["trained on", f"{known['trained_on']} of {info.data.get('name', 'data without a name')}"],
        ["selected on", known["selected_on"]],
        [
            "recipe",
            ", ".join(str(info.recipe[name]) for name in ("name", "optimizer") if name in info.recipe) or "none",
        ],
        *([which, _percent(values)] for which, values in figures.items()),
        ["size", f"{data['bytes'] / 1e6:.1f} MB, {data['parameters']:,} numbers"],
        ["sha256", state.sha256],
        ["written by", f"fusionfer {info.written_by}"],
    ]
    return Inspection("network", True, data, ((str(path), ["what", "value"], rows),))


def _export(path: Path) -> Inspection:
    """Show the metadata of an ONNX file; its graph is passed over, so that this needs no onnx."""
    found = _onnx_metadata(path)
    size = path.stat().st_size
    try:
        data: dict[str, Any] = {name: found[name] for name in ("fusionfer", "head")}
        data |= {name: json.loads(found[name]) for name in ("classes", "inputs", "outputs", "blocks", "model")}
        # What could not be written as JSON, or printed: infinite numbers, halves of signs.
        json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
        rows = [
            ["classes", ", ".join(data["classes"])],
            *(
                [f"input {name}", f"{one['dtype']} {one['shape']}, {one['colour']}"]
                for name, one in data["inputs"].items()
            ),
            *([f"output {name}", str(what)] for name, what in data["outputs"].items()),
            ["head", data["head"]],
            *(
                [f"block {one['name']}", f"{one['columns']} columns; weights {_weights({'weights': one['weights']})}"]
                for one in data["blocks"]
            ),
            ["model", f"{data['model']['created']}, sha256 {data['model']['sha256']}"],
            ["size", f"{size / 1e6:.1f} MB"],
            ["written by", f"fusionfer {data['fusionfer']}"],
        ]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)[:100]
        msg = f"{path} is damaged, or no export of fusionfer's: its metadata cannot be read ({reason})."
        raise DataError(msg) from error
    # Control signs, which could steer a terminal, are shown in quotes.
    shown = [[cell if cell.isprintable() else ascii(cell) for cell in row] for row in rows]
    return Inspection(
        "onnx", True, {"path": str(path), "bytes": size, **data}, ((str(path), ["what", "value"], shown),)
    )


def _onnx_metadata(path: Path) -> dict[str, str]:
    """Return the entries of ``metadata_props`` (field 14 of ONNX's ModelProto), reading nothing else of the file."""
    found: dict[str, str] = {}
    size = path.stat().st_size
    left = _MOST_METADATA
    try:
        with path.open("rb") as file:
            for _ in range(_MOST_FIELDS):
                if file.tell() == size:
                    return found
                field, kind = divmod(_varint(file), 8)
                length = _varint(file) if kind == 2 else 0
                if kind not in (0, 2) or file.tell() + length > size:  # no other kinds stand at the top of a model
                    break
                if kind == 0:
                    _varint(file)
                elif field != 14:
                    file.seek(length, 1)
                elif length > left:
                    break
                else:
                    left -= length
                    entry = io.BytesIO(file.read(length))
                    parts = [entry.read(min(_varint(entry), length)) for _ in range(2) if entry.read(1)]
                    found[parts[0].decode()] = parts[1].decode()
    except (IndexError, UnicodeDecodeError) as error:
        msg = f"{path} is damaged: its metadata is cut off or is no text."
        raise DataError(msg) from error
    msg = f"{path} is damaged: it ends too early, or holds what no ONNX file of fusionfer's does."
    raise DataError(msg)


def _varint(file: IO[bytes]) -> int:
    """Read a whole number as protobuf stores it: seven bits a byte, the lowest first, in ten bytes at most."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)[0]  # IndexError where the file ends
        value |= (byte & 127) << shift
        if byte < 128:
            break
    return value


def _percent(figures: Mapping[str, Any]) -> str:
    accuracy = figures.get("accuracy")
    shown = f"accuracy {100 * accuracy:.1f} %" if isinstance(accuracy, int | float) else "no accuracy"
    return f"{shown}, {figures.get('n', '?')} images"


def _damaged(found: FileDescription) -> str:
    rows = sum(damage.stop - damage.start for damage in found.damages)
    return f"{rows} rows damaged"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or 'none'} {count}" for name, count in counts.items())


def _weights(record: dict[str, Any]) -> str:
    weights = record.get("weights")
    if not isinstance(weights, dict):
        return str(weights or "not recorded")
    seed = f", seed {weights['seed']}" if weights.get("seed") is not None else ""
    return f"{weights.get('name')} (sha256 {str(weights.get('sha256'))[:8]}{seed})"
