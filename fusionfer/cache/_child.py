"""The program of the child process: opens one HDF5 file under limits and tells what it says lies where, as JSON.

Started by `_foreign` with nothing but the standard library, and with nothing of fusionfer: what is not loaded cannot be
turned against anybody. Nothing is read but headers and short attributes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

_ATTRIBUTE_BYTES = 64 << 10
_SAID = 200  # signs of an error that are passed on


def main() -> None:
    """Read an order from stdin, write the answer to stdout."""
    order = json.load(sys.stdin)
    _limit(order["limits"])
    sys.path[:] = order["import_from"]
    try:
        import h5py
    except ImportError as error:
        json.dump({"unavailable": f"{error}"[:_SAID]}, sys.stdout)
        return
    try:
        with h5py.File(order["path"], "r", locking=False) as file:
            answer = _look(h5py, file, order)
    # Whatever HDF5 or h5py say of a damaged file is an answer too.
    except Exception as error:
        answer = {"damaged": f"{error}"[:_SAID]}
    json.dump(answer, sys.stdout)


def _limit(limits: dict[str, list[int]]) -> None:
    """Take from this process what it does not need; systems lack some of these limits, or all."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock alone remains
        return
    for name, (soft, hard) in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (soft, hard))


def _look(h5py: Any, file: Any, order: dict[str, Any]) -> dict[str, Any]:
    members = file.id.get_num_objs()
    answer: dict[str, Any] = {"members": members, "links": [], "attributes": {}, "arrays": {}}
    for name in order["attributes"]:
        if h5py.h5a.exists(file.id, name.encode()):
            answer["attributes"][name] = _attribute(h5py, file, name)
    if members > order["members"]:
        return answer
    for name in [file.id.get_objname_by_idx(i) for i in range(members)]:
        if file.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            answer["links"].append(name.decode("utf-8", "backslashreplace")[:_SAID])
        elif name.decode("utf-8", "replace") in order["arrays"]:
            array = _array(h5py, file, name)
            if array:
                answer["arrays"][name.decode()] = array
    return answer


def _attribute(h5py: Any, file: Any, name: str) -> dict[str, Any]:
    attribute = h5py.h5a.open(file.id, name.encode())
    kind = attribute.dtype.kind
    short = attribute.get_storage_size() <= _ATTRIBUTE_BYTES
    if attribute.shape != () or not short or kind not in "Siu":
        return {}
    value = file.attrs[name]
    return {"text": bytes(value).decode("latin-1")} if kind == "S" else {"number": int(value)}


def _array(h5py: Any, file: Any, name: bytes) -> dict[str, Any] | None:
    item = h5py.h5o.open(file.id, name)
    if not isinstance(item, h5py.h5d.DatasetID):
        return None
    how = item.get_create_plist()
    plain = how.get_layout() == h5py.h5d.CONTIGUOUS and not how.get_nfilters() and not how.get_external_count()
    dataset = h5py.Dataset(item)
    dtype = dataset.dtype
    return {
        "shape": list(dataset.shape or ()),
        # Texts of variable length and references are objects, compounds have no short name: neither is read.
        "dtype": dtype.str if dtype.fields is None else "compound",
        "offset": item.get_offset() if plain else None,
        "plain": plain,
    }


if __name__ == "__main__":
    main()
