"""Which networks there are: frozen records of preprocessing, pinned weights, levels and dimensions. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from fusionfer.exceptions import UnknownNameError, WeightsError, unknown_name

__all__ = ["BACKBONES", "STEMS", "Backbone", "Level", "Preprocess", "Weights", "get_backbone"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MIN_SIZE = 32  # every backbone here halves the side five times
MAX_SIZE = 4096  # of what a file may ask for
STEMS = ("standard", "small")
_RESIZE = "whole image to square; area when shrinking, bilinear when enlarging"


@dataclass(frozen=True)
class Preprocess:
    """Resize the whole picture to a square, bring grey to three channels, normalise.

    The whole picture is used and its sides may be scaled differently: faces are cut out tightly, so the centre crop
    of torchvision's ImageNet transforms would cut chins and foreheads off.

    Parameters
    ----------
    size : int
        Side of the network's input in pixels.
    mean, std : tuple of 3 float
        Per channel (RGB), for values in [0, 1].

    Examples
    --------
    >>> Preprocess(size=48)(np.zeros((60, 50), np.uint8)).shape
    (3, 48, 48)
    """

    size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def describe(self) -> dict[str, Any]:
        """Return a stable, JSON-able description; two equal descriptions give equal tensors."""
        return {
            **asdict(self),
            "mean": list(self.mean),
            "std": list(self.std),
            "resize": _RESIZE,
        }

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> Preprocess:
        """Return the preprocessing that `describe` described.

        Raises
        ------
        ValueError
            If it is no description, or one of another way to resize.

        Examples
        --------
        >>> Preprocess.from_description(Preprocess(size=48).describe()) == Preprocess(size=48)
        True
        """
        size, resize = described.get("size"), described.get("resize")
        if type(size) is not int or not MIN_SIZE <= size <= MAX_SIZE:
            msg = f"size must be a whole number from {MIN_SIZE} to {MAX_SIZE}, got {size!r}"
            raise ValueError(msg)
        if resize != _RESIZE:
            msg = f"resize must be {_RESIZE!r}, got {str(resize)[:80]!r}"
            raise ValueError(msg)
        per_channel: dict[str, Any] = {}
        for name in ("mean", "std"):
            numbers: Any = described.get(name)
            usable = isinstance(numbers, (list, tuple)) and len(numbers) == 3
            if not usable or not all(
                isinstance(x, (int, float)) and np.isfinite(x) and (x > 0 or name == "mean") for x in numbers
            ):
                msg = f"{name} must be three {'positive ' if name == 'std' else ''}numbers, got {str(numbers)[:80]}"
                raise ValueError(msg)
            per_channel[name] = tuple(map(float, numbers))
        return cls(size, **per_channel)

    def resized(self, pixels: np.ndarray) -> np.ndarray:
        """Return the whole picture with both sides `size`: uint8, with as many channels as it came with."""
        side = (self.size, self.size)
        if pixels.shape[:2] == side:
            return pixels
        shrinks = pixels.shape[0] > self.size or pixels.shape[1] > self.size
        return cv2.resize(pixels, side, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

    def into(self, pixels: np.ndarray, out: np.ndarray) -> None:
        """Write the tensor of one picture into `out`, without a temporary per channel.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
            Grey, or RGB.
        out : ndarray of float32, shape (3, size, size)
            Its planes must be contiguous.
        """
        pixels = self.resized(pixels)
        grey = pixels.astype(np.float32) if pixels.ndim == 2 else None
        for c in range(3):
            plane = grey if grey is not None else pixels[..., c].astype(np.float32)
            # One pass, x * scale + shift in float32: twice as fast as a table look-up or as two numpy operations.
            scale, shift = 1.0 / (255.0 * self.std[c]), -self.mean[c] / self.std[c]
            cv2.addWeighted(plane, scale, plane, 0.0, shift, dst=out[c])

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Return the tensor of one picture, float32 of shape (3, size, size)."""
        out = np.empty((3, self.size, self.size), np.float32)
        self.into(pixels, out)
        return out


@dataclass(frozen=True)
class Level:
    """Where in a network activations are taken.

    Attributes
    ----------
    nodes : tuple of str
        Names of submodules: ``layer4`` is what it returns, ``fc:in`` is what it is given. Maps (n, c, h, w) are
        averaged over space, token sequences (n, t, c) over tokens; several nodes are concatenated.
    dim : int or None
        Length of the vector; None where only the network knows.
    """

    nodes: tuple[str, ...]
    dim: int | None = None


@dataclass(frozen=True)
class Weights:
    """One published set of weights, pinned by its full name.

    Attributes
    ----------
    name : str
        torchvision's full name, such as ``ResNet50_Weights.IMAGENET1K_V2``; never "DEFAULT", which changes.
    url : str
        Where it is published; the file name ends in the first 8 hexadecimal digits of its SHA-256.
    """

    name: str
    url: str

    @property
    def short_name(self) -> str:
        """The name within its family, such as ``IMAGENET1K_V2``."""
        return self.name.rpartition(".")[2]

    @property
    def file_name(self) -> str:
        """Name of the file as published."""
        return self.url.rpartition("/")[2]

    @property
    def sha256_prefix(self) -> str:
        """First 8 hexadecimal digits of the SHA-256 of the file."""
        return self.file_name.rpartition(".")[0].rpartition("-")[2]


@dataclass(frozen=True)
class Backbone:
    """One network as a source of features.

    Parameters
    ----------
    name : str
        Short name; part of block names, so it holds no ``@`` and no blank.
    module : torch.nn.Module or None
        None for a record: `fusionfer.networks` builds it. A module of your own is used as it is.
    preprocess : callable
        Maps uint8 pixels, (h, w) or (h, w, 3), to float32 (3, height, width). A cache asks it for ``describe()``, a
        stable JSON-able description, and refuses one that has none.
    levels : mapping of str to Level, str or tuple of str
        Level name to its node or nodes.
    weights : tuple of Weights
        Published weights; the first is what ``imagenet`` means.
    last_layer : str or None
        Name of the classifying layer, the only one that may have another number of outputs in a weight file.
    stem : {"standard", "small"}
        How a ResNet begins: "small" has a first convolution of 3 x 3 with stride 1 and no max pooling, for pictures of
        some 48 pixels. A checkpoint of fusionfer says which stem it needs, whatever stands here.
    size_is_set : bool
        Whether the input size was chosen (by `sized`), so that a checkpoint's own does not replace it.

    Examples
    --------
    >>> get_backbone("resnet50").level("multi").dim
    3840
    """

    name: str
    module: Any = field(repr=False, compare=False)
    preprocess: Callable[[np.ndarray], np.ndarray] = field(default_factory=Preprocess)
    levels: Mapping[str, Level] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()
    last_layer: str | None = None
    stem: str = "standard"
    size_is_set: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name or any(character in self.name for character in "@,= \t\n"):
            msg = f"A backbone's name holds no blank, comma, '=' or '@': got {self.name!r}."
            raise UnknownNameError(msg)
        if self.stem not in STEMS:
            raise unknown_name("stem", self.stem, STEMS)
        levels = {
            name: level if isinstance(level, Level) else Level((level,) if isinstance(level, str) else tuple(level))
            for name, level in self.levels.items()
        }
        object.__setattr__(self, "levels", levels)

    def level(self, name: str) -> Level:
        """Return the level `name`; any other name is taken for that of a node, which the network must have."""
        return self.levels.get(name) or Level((name,))

    def sized(self, size: int) -> Backbone:
        """Return this record with another input side, in pixels.

        Raises
        ------
        WeightsError
            If the size is below 32, or the preprocessing is the user's own and has no size to set.
        """
        if size < MIN_SIZE:
            msg = f"{self.name}: the input size must be at least {MIN_SIZE} pixels, got {size}."
            raise WeightsError(msg)
        if not isinstance(self.preprocess, Preprocess):
            return self
        return replace(self, preprocess=replace(self.preprocess, size=size), size_is_set=True)

    def as_recorded(self, weights: Mapping[str, Any]) -> Backbone:
        """Return this record with the stem that the recorded provenance of its weights names, else as it is."""
        metadata = weights.get("metadata")
        stem = metadata.get("stem") if isinstance(metadata, Mapping) else None
        return replace(self, stem=stem) if stem in STEMS and self.module is None else self

    def pinned(self, name: str) -> Weights:
        """Return the published weights that ``imagenet``, a short or a full name means."""
        if name == "imagenet" and self.weights:
            return self.weights[0]
        for weights in self.weights:
            if name in (weights.name, weights.short_name):
                return weights
        raise unknown_name(f"weights of {self.name}", name, ["imagenet", "none", *(w.name for w in self.weights)],
                           plural=f"weights of {self.name}")  # fmt: skip


_PUBLISHED = "https://download.pytorch.org/models/"

#: Dimensions follow from the architectures: He et al. 2016 (ResNet), Sandler et al. 2018 (MobileNetV2),
#: Huang et al. 2017 (DenseNet), Simonyan and Zisserman 2015 (VGG). ``penultimate`` is what enters the last layer:
#: the global average of the last map, but for VGG16, where it is the second dense layer.
BACKBONES: dict[str, Backbone] = {
    "resnet34": Backbone(
        "resnet34",
        None,
        levels={
            "penultimate": Level(("fc:in",), 512),
            "multi": Level(("layer1", "layer2", "layer3", "layer4"), 64 + 128 + 256 + 512),
            "logits": Level(("fc",)),
        },
        weights=(Weights("ResNet34_Weights.IMAGENET1K_V1", _PUBLISHED + "resnet34-b627a593.pth"),),
        last_layer="fc",
    ),
    "resnet50": Backbone(
        "resnet50",
        None,
        levels={
            "penultimate": Level(("fc:in",), 2048),
            "multi": Level(("layer1", "layer2", "layer3", "layer4"), 256 + 512 + 1024 + 2048),
            "logits": Level(("fc",)),
        },
        weights=(
            Weights("ResNet50_Weights.IMAGENET1K_V2", _PUBLISHED + "resnet50-11ad3fa6.pth"),
            Weights("ResNet50_Weights.IMAGENET1K_V1", _PUBLISHED + "resnet50-0676ba61.pth"),
        ),
        last_layer="fc",
    ),
    "mobilenet_v2": Backbone(
        "mobilenet_v2",
        None,
        levels={
            "penultimate": Level(("classifier.1:in",), 1280),
            "multi": Level(
                ("features.1", "features.3", "features.6", "features.13", "features.18"), 16 + 24 + 32 + 96 + 1280
            ),
            "logits": Level(("classifier.1",)),
        },
        weights=(
            Weights("MobileNet_V2_Weights.IMAGENET1K_V2", _PUBLISHED + "mobilenet_v2-7ebf99e0.pth"),
            Weights("MobileNet_V2_Weights.IMAGENET1K_V1", _PUBLISHED + "mobilenet_v2-b0353104.pth"),
        ),
        last_layer="classifier.1",
    ),
    "densenet121": Backbone(
        "densenet121",
        None,
        levels={
            "penultimate": Level(("classifier:in",), 1024),
            "multi": Level(
                (
                    "features.denseblock1",
                    "features.denseblock2",
                    "features.denseblock3",
                    "features.denseblock4",
                ),
                256 + 512 + 1024 + 1024,
            ),
            "logits": Level(("classifier",)),
        },
        weights=(Weights("DenseNet121_Weights.IMAGENET1K_V1", _PUBLISHED + "densenet121-a639ec97.pth"),),
        last_layer="classifier",
    ),
    "vgg16": Backbone(
        "vgg16",
        None,
        levels={
            "penultimate": Level(("classifier.6:in",), 4096),
            "multi": Level(
                ("features.4", "features.9", "features.16", "features.23", "features.30"), 64 + 128 + 256 + 512 + 512
            ),
            "logits": Level(("classifier.6",)),
        },
        weights=(Weights("VGG16_Weights.IMAGENET1K_V1", _PUBLISHED + "vgg16-397923af.pth"),),
        last_layer="classifier.6",
    ),
}


def get_backbone(name: str | Backbone) -> Backbone:
    """Return the record of a backbone.

    Parameters
    ----------
    name : str or Backbone
        A name of `BACKBONES`, ``timm:<model>`` for any model of timm (extra ``timm``), or a Backbone, which is
        returned as it is.

    Returns
    -------
    Backbone
        For timm, a record without levels: `fusionfer.networks` asks timm for them.

    Raises
    ------
    UnknownNameError
        With the known names and the closest match.
    """
    if isinstance(name, Backbone):
        return name
    if name.startswith("timm:") and len(name) > len("timm:"):
        return Backbone(name, None)
    if name not in BACKBONES:
        raise unknown_name("backbone", name, [*BACKBONES, "timm:<model>"])
    return BACKBONES[name]
