"""Run Lightning's trainer over a learner: quietly, from the last finished epoch on, its state in one whole file."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fusionfer.exceptions import DeviceMemoryError, ExtractionInterrupted, ModelError
from fusionfer.training._learner import Learner
from fusionfer.training._lightning import DDPStrategy, LightningEnvironment, SIGTERMException, TorchCheckpointIO, pl
from fusionfer.training._recipe import Recipe
from fusionfer.training._schedules import has_ended

__all__ = ["fit_learner", "goes_on", "read_state", "unfinished"]

_ANEW = "To begin anew delete it, or train with resume=False (--restart)."


def fit_learner(
    learner: Learner, loaders: tuple[Any, Any], state: Path, *, device: torch.device, recipe: Recipe, ranks: int = 1
) -> None:
    """Train until the recipe's end, or the early stop.

    Parameters
    ----------
    learner : Learner
        Holds history and best weights afterwards.
    loaders : (training, validation)
    state : Path
        File that each epoch replaces, and that training goes on from where it exists.
    device : torch.device
    recipe : Recipe
    ranks : int
        More than one where this process is one of so many that share each batch and are connected already, with
        ``LOCAL_RANK`` in its environment.

    Raises
    ------
    ModelError
        If `state` cannot be read or written.
    DeviceMemoryError
        If a batch does not fit.
    ExtractionInterrupted
        If the process was told to stop by SIGTERM.
    """
    resumes = state.exists()
    if not goes_on(learner, state, recipe):
        return
    accelerator = {"cuda": "gpu", "mps": "mps"}.get(device.type, "cpu")
    # The caller's random state is left as it was: dropout is seeded in every step.
    devices = [device.index or 0] if device.type == "cuda" else []
    plugins: list[Any] = [_WholeFile()]
    together: dict[str, Any] = {"devices": devices or 1}
    if ranks > 1:  # statistics of batch norm are shared by the learner: validation has not as many steps in each rank
        together = {"devices": ranks, "strategy": DDPStrategy(broadcast_buffers=False)}
        plugins.append(LightningEnvironment())
    with _quiet(), _named_ends(learner.name), torch.random.fork_rng(devices=devices):
        trainer = pl.Trainer(
            accelerator=accelerator,
            precision=recipe.precision,  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            gradient_clip_val=recipe.clip or None,
            callbacks=[
                pl.callbacks.ModelCheckpoint(
                    state.parent, state.stem, save_on_train_epoch_end=True, enable_version_counter=False
                )
            ],
            plugins=plugins,
            **together,
            default_root_dir=state.parent,
            num_sanity_val_steps=0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(learner, *loaders, ckpt_path=state if resumes else None, weights_only=True)


def goes_on(learner: Learner, state: Path, recipe: Recipe) -> bool:
    """Tell whether there is something left to train; the learner is given the history that stands in `state`."""
    if state.exists():
        learner.on_load_checkpoint(read_state(state))
    return not has_ended(recipe, learner.history)  # else killed between the last epoch and what comes after it


def read_state(path: Path) -> dict[str, Any]:
    """Read what an interrupted training left; nothing in it is executed.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the bytes lead it to
        msg = f"{path} cannot be read ({type(error).__name__}). {_ANEW}"
        raise ModelError(msg) from error
    if not isinstance(found, Mapping) or not {"history", "best", "state_dict"} <= set(found):
        msg = f"{path} is no state of a training. {_ANEW}"
        raise ModelError(msg)
    return dict(found)


def unfinished(path: Path) -> Path:
    """Return the file that is written before it takes the name `path`."""
    return path.with_name(f".{path.name}.part")


class _WholeFile(TorchCheckpointIO):
    """Writes beside the file and renames, and reads with ``weights_only``; Lightning's moves files across folders."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        part = unfinished(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            msg = f"{path} cannot be written: {error.strerror or error}. What was there before is unchanged."
            raise ModelError(msg) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return read_state(Path(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning says and recommends; errors stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*num_workers.*|.*tensorboard.*|.*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _named_ends(name: str) -> Iterator[None]:
    """Let interruptions pass as what they are: Lightning ends the process on them, and leaves Ctrl-C switched off.

    A device without memory is named, too.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as error:
        msg = f"{name}: stopped; the same command goes on after the last finished epoch."
        raise ExtractionInterrupted(msg) from error
    except torch.cuda.OutOfMemoryError as error:
        msg = f"{name}: the device has too little memory for this batch. Take a smaller one (--set batch_size=...)."
        raise DeviceMemoryError(msg) from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main and handler is not None:
            signal.signal(signal.SIGINT, handler)
