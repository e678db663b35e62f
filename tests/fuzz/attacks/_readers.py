"""What opens each kind of file, as a user of the library does."""

from __future__ import annotations

__all__ = ["readers"]


def readers():
    """Return reader -> function of a path."""
    from benchmarks.reliability import _seeds
    from fusionfer.images import decode_image

    def read_faces(path):
        from fusionfer.images import read_faces

        faces = read_faces(path)
        for i in range(len(faces)):
            faces.load(i)

    def load_network(path):
        from fusionfer.networks import load_network

        load_network(path)

    return {
        "network": load_network,
        "cache": _seeds.read_cache,
        "model": _seeds.read_model,
        "faces": read_faces,
        "picture": lambda path: decode_image(path.read_bytes()),
        "weights": _seeds.read_weights,
    }
