"""From pictures to features as a graph: normalisation, networks, fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from fusionfer.backbones import Preprocess
from fusionfer.exceptions import ModelError
from fusionfer.export._graph import Graph, Value
from fusionfer.networks import LoadedBackbone, to_onnx
from fusionfer.persistence import Model

__all__ = ["Inputs", "add_features", "find_inputs"]


@dataclass(frozen=True)
class Inputs:
    """What the graph is given: one array of pictures for each distinct size that the networks want.

    Attributes
    ----------
    sides : dict of str to int
        Name of the input -> side in pixels, in the order of the blocks.
    """

    sides: dict[str, int]

    def name(self, preprocess: Preprocess) -> str:
        """Return the input that a network of this preprocessing looks at."""
        return next(name for name, side in self.sides.items() if side == preprocess.size)

    def arrays(self, pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Return pictures as the graph takes them: resized, RGB.

        Parameters
        ----------
        pictures : list of ndarray of uint8, each of shape (height, width) or (height, width, 3)

        Returns
        -------
        dict of str to ndarray of uint8, shape (n, side, side, 3)
        """
        found = {}
        for name, side in self.sides.items():
            resized = [Preprocess(side).resized(picture) for picture in pictures]
            found[name] = np.stack([np.stack([one] * 3, axis=2) if one.ndim == 2 else one for one in resized])
        return found


def find_inputs(model: Model) -> Inputs:
    """Return the inputs of a model that fusionfer can compute from pictures.

    Raises
    ------
    ModelError
        If a block was computed in another precision than float32, or not by fusionfer.
    """
    sides: list[int] = []
    for name, block in model.blocks.items():
        key = block["key"]
        precision = str(key.get("dtype", "float32"))
        if precision != "float32":
            msg = (
                f"Block {name} was extracted in {precision}; an ONNX file computes in float32 and would give the head "
                "other features. Extract in float32, and fit anew."
            )
            raise ModelError(msg)
        try:
            sides.append(Preprocess.from_description(key.get("preprocess") or {}).size)
        except (ValueError, AttributeError) as error:
            msg = f"Block {name} was not extracted by fusionfer from pictures, so there is nothing to export: {error}."
            raise ModelError(msg) from error
    distinct = list(dict.fromkeys(sides))
    return Inputs({"pictures" if len(distinct) == 1 else f"pictures_{side}": side for side in distinct})


def add_features(graph: Graph, model: Model, networks: Mapping[str, LoadedBackbone], inputs: Inputs) -> Value:
    """Add inputs, normalisation, networks and fusion to a graph; return the features (n, n_columns) float32.

    Parameters
    ----------
    graph : Graph
    model : Model
    networks : mapping of str to LoadedBackbone
        Block -> network, as `fusionfer.prediction.load_networks` returns them.
    inputs : Inputs
        Of the model.
    """
    pixels = {
        name: graph.input(name, np.uint8, ["n", side, side, 3]).cast(np.float32) for name, side in inputs.sides.items()
    }
    normalised: dict[Preprocess, Value] = {}
    vectors: dict[tuple[int, str], Value] = {}
    for one in {id(network): network for network in networks.values()}.values():
        preprocess = one.backbone.preprocess
        if not isinstance(preprocess, Preprocess):  # which load_networks builds; an own one has no graph
            msg = f"{one.backbone.name} has preprocessing of its own, which has no form in ONNX."
            raise ModelError(msg)
        if preprocess not in normalised:
            std, mean = np.array(preprocess.std), np.array(preprocess.mean)
            normalised[preprocess] = pixels[inputs.name(preprocess)] * (1.0 / (255.0 * std)) + (-mean / std)
        found = graph.embed(onnx.load_from_string(to_onnx(one)), normalised[preprocess])
        vectors |= {(id(one), level): value for level, value in zip(one.dims, found, strict=True)}
    blocks = [vectors[id(networks[name]), block["level"]] for name, block in model.blocks.items()]
    return graph.concat(blocks, 1)
