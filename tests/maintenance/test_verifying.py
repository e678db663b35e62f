"""verify names damaged samples, and tells what is only still to come."""

import pytest

from fusionfer.cache import CacheFolder
from fusionfer.exceptions import DataError, ExtractionInterrupted
from fusionfer.maintenance import verify


def test_verify_names_the_damaged_samples(folder, tools):
    """Fault 6: ids of flipped, cut, emptied and foreign files, each file by itself."""
    conv, out = CacheFolder(folder).files()
    assert [(one.sound, one.damaged, one.rows, one.block) for one in verify([folder])] == [
        (True, (), 22, "tiny:conv"),
        (True, (), 22, "tiny:out"),
    ]
    tools.flip(conv, 9)
    tools.cut(out, 1)
    first, second = verify([folder])
    assert first.damaged == tuple(f"{i:02d}.png" for i in range(8, 12))
    assert second.damaged == ("20.png", "21.png")
    assert verify([out])[0].damaged == second.damaged
    out.write_bytes(bytes(3000))
    wreck = verify([folder])[1]
    assert "not HDF5" in wreck.why
    assert (wreck.named_by, len(wreck.damaged), wreck.block) == (conv, 22, "")
    conv.write_bytes(b"")
    assert [(one.damaged, one.named_by) for one in verify([folder])] == [((), None)] * 2


def test_verify_tells_what_is_still_to_come(tmp_path, tools):
    """Fault 7: rows that were never written are missing, not damaged."""
    with pytest.raises(ExtractionInterrupted):
        tools.extract(tools.faces(), tmp_path / "cache", stop=tools.StopLater(1))
    for one in verify([tmp_path / "cache"]):
        assert (one.sound, one.finished, one.missing, one.damaged) == (True, False, 18, ())


def test_verify_needs_something_to_look_at(tmp_path):
    """Paths that are not there, or hold nothing, are named."""
    with pytest.raises(DataError, match="nowhere does not exist"):
        verify([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="holds no cache"):
        verify([tmp_path])
