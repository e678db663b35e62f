"""The script that a user would write for the same features, without care for speed but without mistakes either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import torch

from fusionfer.backbones import Preprocess
from fusionfer.networks import import_torchvision

__all__ = ["extract_plainly"]


def extract_plainly(
    folder: Path, out: Path, models: Mapping[str, torch.nn.Module], *, size: int, batch_size: int
) -> None:
    """Write the pooled last map of every model for every picture of `folder` to `out`, one pass per model."""
    import_torchvision()
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(Preprocess.mean, Preprocess.std),
        ]
    )
    loader = torch.utils.data.DataLoader(datasets.ImageFolder(str(folder), transform), batch_size, num_workers=2)
    kept: dict[str, torch.Tensor] = {}
    with h5py.File(out, "w") as file, torch.no_grad():
        for name, model in models.items():
            handle = model.get_submodule("avgpool").register_forward_hook(
                lambda module, args, output: kept.update(features=output)
            )
            for images, _ in loader:
                model(images)
                X = kept["features"].flatten(1).numpy()
                if name not in file:
                    file.create_dataset(name, shape=(0, X.shape[1]), maxshape=(None, X.shape[1]), dtype="f4")
                stored = file[name]
                stored.resize(len(stored) + len(X), axis=0)
                stored[-len(X) :] = X
            handle.remove()
