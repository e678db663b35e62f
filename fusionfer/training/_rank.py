"""What one of several processes does: it takes its device and its share of each batch, and tells how it goes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from fusionfer.exceptions import FusionferError
from fusionfer.training._fitting import fit_learner
from fusionfer.training._ranks import unpack

__all__ = ["synchronised", "work"]


def work(folder: str, rank: int) -> None:
    """Train as process `rank` of those that `fusionfer.training._ranks` began, and end.

    Lines of JSON on what was stdout say how it goes; whatever a library prints goes where the warnings go.
    """
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that listens
    threading.Thread(target=_end_with_the_caller, args=(folder,), daemon=True).start()

    def tell(*words: Any) -> None:
        told.write(json.dumps(words) + "\n")
        told.flush()

    code = 0
    try:
        _train(Path(folder), rank, tell)
    except FusionferError as error:
        tell("error", type(error).__name__, str(error), "")
        code = 1
    except Exception as error:  # whatever torch raises: the process that listens makes it an error of ours
        tell("error", "", f"{type(error).__name__}: {error}", traceback.format_exc())
        code = 1
    told.flush()
    sys.stderr.flush()
    os._exit(code)  # the others may be gone: nothing waits for them


def _end_with_the_caller(folder: str) -> None:
    """Wait for the end of stdin, which is that of the process that began this one; it could not tidy up."""
    os.read(0, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _train(folder: Path, rank: int, tell: Any) -> None:
    learner, loaders, state, kind, recipe, ranks = unpack(folder)
    device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
    for one in loaders:
        one.rank, one.ranks = rank, ranks
    learner.ranks = ranks
    if rank == 0:
        learner.progress = lambda *words: tell("progress", *words)
        learner.say = lambda text: tell("say", text)
    if kind == "cuda":
        torch.cuda.set_device(device)
        learner.network = synchronised(learner.network)
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")  # of channels_last
    distributed.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=ranks,
        device_id=device if kind == "cuda" else None,
    )
    fit_learner(learner, loaders, state, device=device, recipe=recipe, ranks=ranks)
    distributed.barrier()  # none is gone while another one still needs it


class _SynchronisedWithActivation(nn.SyncBatchNorm):
    """Batch norm, dropout and activation as timm has them, in one module."""

    act: nn.Module
    drop: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


def synchronised(module: nn.Module) -> nn.Module:
    """Return the network with batch norm over the pictures of all processes, its weights and names unchanged.

    torch knows how; but it would lose what timm's batch norm does besides.
    """
    for name, child in module.named_children():
        setattr(module, name, synchronised(child))
    if not isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module
    made = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    if hasattr(module, "act"):
        made.__class__ = _SynchronisedWithActivation
    return made
