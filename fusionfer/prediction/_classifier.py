"""A model with its networks loaded: pixels in, probabilities out, as often as one likes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.extraction import ArrayForward, find_device
from fusionfer.images import DECODER
from fusionfer.networks import find_engine, run_on
from fusionfer.persistence import Model
from fusionfer.prediction._networks import load_networks, require_key

__all__ = ["Classifier"]


class Classifier:
    """A model whose networks are loaded once and kept.

    `fusionfer.prediction.predict` reads many pictures from files; this takes pixels that are in memory already, such as
    the frames of a camera or a picture with a part covered. Both give the same numbers, but for rounding.

    Parameters
    ----------
    model : Model
        Its blocks say which networks are needed; no other is loaded.
    weights : path, sequence of str or Path, or mapping
        Where to look for weights that are no longer where the model saw them, as in `predict`.
    device : str
        "auto", "cpu", "cuda", ...
    engine : {"torch", "openvino", "onnxruntime", "auto"}
        What runs the networks, as in `fusionfer.extraction.extract_to_cache`.
    batch_size : int
        Pictures that go through the networks together; the last batch of a call is filled up.
    threads : int, optional
        Threads for engines other than torch; by default as many as torch may use.

    Attributes
    ----------
    model : Model
    classes : tuple of str
        In the order of the columns of `predict_proba`.
    columns : dict of str to slice
        Where each block stands in the rows of `features`.
    engine : str
        What runs the networks.

    Raises
    ------
    WeightsError, ModelError
        As in `predict`.
    DataError
        If the engine or the device is not to be had.

    Examples
    --------
    ``with Classifier(load_model("fer2013.fusionfer")) as classifier: classifier.predict_proba([pixels])``
    """

    def __init__(
        self,
        model: Model,
        *,
        weights: str | Path | Sequence[str | Path] | Mapping[str, str | Path] = (),
        device: str = "auto",
        engine: str = "torch",
        batch_size: int = 32,
        threads: int | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            msg = f"batch_size must be a whole number from 1, got {batch_size!r}."
            raise DataError(msg)
        found = find_device(device)
        precisions = {str(block["key"].get("dtype", "float32")) for block in model.blocks.values()}
        odd = next((precision for precision in sorted(precisions) if precision != "float32"), "float32")
        self.engine = find_engine(engine, found, precision=odd)
        with tempfile.TemporaryDirectory(prefix="fusionfer-weights-") as scratch:
            loaded = load_networks(model, weights, found, Path(scratch))
        for name, block in model.blocks.items():
            require_key(name, block, loaded[name], DECODER)
        distinct = list({id(one): one for one in loaded.values()}.values())
        self._places = [(distinct.index(loaded[name]), str(block["level"])) for name, block in model.blocks.items()]
        self._networks = [run_on(one, self.engine, batch_size=int(batch_size), threads=threads) for one in distinct]
        self._forward = ArrayForward(self._networks, batch_size=int(batch_size), device=found)
        self.model = model
        self.classes = model.classes
        ends = np.cumsum([block["dim"] for block in model.blocks.values()]).tolist()
        starts = [0, *ends[:-1]]
        self.columns = {name: slice(a, b) for name, a, b in zip(model.blocks, starts, ends, strict=True)}

    def features(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return what the head of the model is given.

        Parameters
        ----------
        pictures : sequence of ndarray of uint8, each of shape (height, width) or (height, width, 3)
            Grey, or RGB; they may differ in size.

        Returns
        -------
        ndarray of float32, shape (n, n_columns)
            The blocks side by side; `columns` says where each stands.

        Raises
        ------
        ImageError
            If something is no such array.
        """
        values = self._forward(pictures)
        return np.concatenate([values[place] for place in self._places], axis=1)

    def predict_proba(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probability of each class for each picture.

        Parameters
        ----------
        pictures : sequence of ndarray of uint8, each of shape (height, width) or (height, width, 3)

        Returns
        -------
        ndarray of float, shape (n, K)
            In [0, 1], columns in the order of `classes`.

        Raises
        ------
        ModelError
            If the head gives no probabilities.
        ImageError
            If something is no picture.
        """
        if not len(pictures):
            return np.empty((0, len(self.classes)))
        return self.model.predict_proba(self.features(pictures))

    def predict(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return the class of each picture: ndarray of str, shape (n,)."""
        return self.model.predict(self.features(pictures)) if len(pictures) else np.empty(0, np.str_)

    def close(self) -> None:
        """Let go of the networks."""
        for network in self._networks:
            network.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Classifier({' + '.join(self.columns)}, engine={self.engine!r})"
