"""Occlusion maps of one picture on every installed engine, against the plain loop: captum, one picture a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from captum.attr import Occlusion
from torch import nn

from benchmarks.speed._engines import installed_engines
from benchmarks.speed._pictures import pictures
from benchmarks.speed._timing import Figure, Report, alternate, ratio, seconds
from fusionfer.backbones import get_backbone
from fusionfer.explanation import even_batches
from fusionfer.extraction import ArrayForward
from fusionfer.networks import build_module, load_backbone, run_on
from fusionfer.occlusion import fill_fields, occlusion_map, window_grid, window_sizes

__all__ = ["compare", "run"]


class _Probabilities:
    """Softmax of a network's logits, from pictures."""

    def __init__(self, name: str, size: int, engine: str, batch_size: int) -> None:
        loaded = load_backbone(get_backbone(name).sized(size), ["logits"], weights="none")
        self.network = run_on(loaded, engine, batch_size=batch_size)
        self.forward = ArrayForward([self.network], batch_size=batch_size, device=torch.device("cpu"))

    def __call__(self, some: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities, shape (n, 1000)."""
        logits = self.forward(some)[0, "logits"].astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def compare(name: str, size: int, rounds: int) -> Report:
    """Time one map of one network with random weights, by equal windows, strides and baselines."""
    preprocess = get_backbone(name).sized(size).preprocess
    chosen, what = pictures(1)
    face = preprocess.resized(chosen.load(0)[0])
    window, stride = window_sizes(face.shape)
    windows = len(window_grid(face.shape, window, stride))
    together = even_batches(windows + 1, size)
    (field,) = fill_fields(face, "mean", size=window)
    batch, baseline = (torch.from_numpy(preprocess(one))[None] for one in (face, field))
    plain = nn.Sequential(build_module(name).eval(), nn.Softmax(dim=1))
    engines = {engine: _Probabilities(name, size, engine, together) for engine in installed_engines()}
    label = int(np.argmax(engines["torch"]([face])))

    def captum(each: int) -> np.ndarray:
        with torch.no_grad():
            found = Occlusion(plain).attribute(
                batch, sliding_window_shapes=(3, window, window), strides=(3, stride, stride), baselines=baseline,
                target=label, perturbations_per_eval=each,
            )  # fmt: skip
        return found[0, 0].numpy()

    def ours(engine: str, effort: float = 1.0) -> np.ndarray:
        return occlusion_map(
            engines[engine], face, size=window, stride=stride, class_index=label, batch_size=together, effort=effort
        ).pixels()[0]

    contenders: dict[str, Callable[[], object]] = {"captum": lambda: captum(1)}
    contenders["captum, batches"] = lambda: captum(together)
    for engine in engines:
        contenders[engine] = lambda engine=engine: ours(engine)  # type: ignore[misc]
    contenders["torch, effort 0.5"] = lambda: ours("torch", 0.5)
    truth = captum(together)
    for engine in engines:
        np.testing.assert_allclose(ours(engine), truth, rtol=0, atol=0.01 * np.abs(truth).max())
    taken = alternate(contenders, rounds, warm_up=False)

    def figures() -> Iterator[Figure]:
        yield seconds("captum, one picture a pass", taken["captum"])
        for contender in [one for one in contenders if one != "captum"]:
            yield seconds(contender, taken[contender])
            yield ratio(f"{contender}: speed against captum", taken["captum"], taken[contender])

    return Report(
        "occlusion",
        f"{name} at {size} pixels, {windows} windows of {window} in steps of {stride}, {what}, batches of {together}, "
        f"{rounds} rounds",
        tuple(figures()),
    )


def run(rounds: int) -> Iterator[Report]:
    """Measure both networks at three sizes."""
    for size in (224, 112, 48):
        for name in ("resnet34", "resnet50"):
            yield compare(name, size, rounds)
