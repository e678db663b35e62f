"""Lightning, after torchvision: its metrics import that, too, and would fail where the import needs to be mended."""

from __future__ import annotations

from fusionfer.exceptions import ModelError
from fusionfer.networks import import_torchvision

__all__ = ["DDPStrategy", "LightningEnvironment", "SIGTERMException", "TorchCheckpointIO", "pl"]

import_torchvision()
try:
    import lightning.pytorch as pl
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from lightning.pytorch.plugins.io import TorchCheckpointIO
    from lightning.pytorch.strategies import DDPStrategy
    from lightning.pytorch.utilities.exceptions import SIGTERMException
except ImportError as error:
    msg = "Training needs PyTorch Lightning: pip install 'fusionfer[train]'."
    raise ModelError(msg) from error
