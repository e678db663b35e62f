"""Which networks can be trained end to end: the record of each, with its paper, size and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fusionfer.backbones import get_backbone
from fusionfer.exceptions import ModelError, UnknownNameError, unknown_name

__all__ = ["NETWORKS", "Architecture", "Option", "get_architecture"]


@dataclass(frozen=True)
class Option:
    """One size of a network that may be set.

    Attributes
    ----------
    default : int, float or str
        As published, or stated as ours in `what`.
    what : str
        What it is, in one line.
    allowed : tuple
        For a text its values; for a number its smallest and largest.
    """

    default: int | float | str
    what: str
    allowed: tuple[Any, ...]

    def check(self, value: Any) -> str | None:
        """Say what is allowed, or None where `value` is."""
        if isinstance(self.default, str):
            return None if value in self.allowed else " or ".join(repr(text) for text in self.allowed)
        low, high = self.allowed
        kind = "whole number" if isinstance(self.default, int) else "number"
        number = isinstance(value, int if kind == "whole number" else (int, float)) and not isinstance(value, bool)
        return None if number and low <= value <= high else f"a {kind} from {low} to {high}"


@dataclass(frozen=True)
class Architecture:
    """One network that maps pictures to classes.

    Attributes
    ----------
    name : str
        Short name, as in ``fusionfer train --network NAME``.
    summary : str
        One line.
    backbone : str
        The backbone that it extends, by its name in `fusionfer.backbones`: with its weights the network may begin, and
        its features a checkpoint of the network can give.
    size : int
        Side of the input in pixels, as published.
    paper : str
        Who published it.
    head : {"last_layer", "flatten", "gru"}
        What follows the backbone: its own last layer with another number of classes, or a head of its own (the
        network is then composed of ``backbone`` and ``head``).
    options : mapping of str to Option
        What may be set.
    frozen : tuple of str
        Parts that were not trained, where the paper's figures tell.
    """

    name: str
    summary: str
    backbone: str
    size: int = 224
    paper: str = ""
    head: str = "last_layer"
    options: Mapping[str, Option] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()

    @property
    def composed(self) -> bool:
        """Whether the network consists of ``backbone`` and ``head``."""
        return self.head != "last_layer"

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options, with defaults for those that are not given.

        Raises
        ------
        UnknownNameError
            If an option does not exist.
        ModelError
            If values are not allowed; all complaints at once.
        """
        for name in options:
            if name not in self.options:
                raise unknown_name(f"option of {self.name}", name, self.options, plural=f"options of {self.name}")
        allowed = {name: self.options[name].check(value) for name, value in options.items()}
        wrong = [f"{name} must be {text}, got {options[name]!r}" for name, text in allowed.items() if text]
        if wrong:
            msg = f"{self.name}: {'; '.join(wrong)}."
            raise ModelError(msg)
        return {**{name: option.default for name, option in self.options.items()}, **options}


_SINGH = "He et al. 2016; for expressions Singh and Mandloi 2025"
_PRAVEEN = "Sandler et al. 2018; for expressions Praveen et al. 2025"
_KUMAR = "Kumar and Agarwal 2024"


def _units(default: int, what: str) -> Option:
    return Option(default, what, (1, 65536))


def _share(default: float, what: str) -> Option:
    return Option(default, what, (0.0, 0.95))


def _steps(default: str) -> Option:
    what = "how the map is read as a sequence: a step for each place, for each row of places, or one step in all"
    return Option(default, what, ("positions", "rows", "one"))


# All but the last 50 of the 190 layers of Keras' ResNet50V2, up to conv4_block5_2_bn: the only cut that gives the
# 22,779,527 trained parameters of Malik et al. (docs/networks.md counts them).
_KERAS_BUT_50 = (
    *("stem", "stages.0", "stages.1", *(f"stages.2.blocks.{i}" for i in range(4))),
    *(f"stages.2.blocks.4.{layer}" for layer in ("norm1", "conv1", "norm2", "conv2", "norm3")),
)

#: Name -> record of every network that `build_network` knows besides ``timm:<model>``.
NETWORKS: dict[str, Architecture] = {
    network.name: network
    for network in (
        Architecture("resnet34", "ResNet34, last layer of n classes", "resnet34", paper=_SINGH),
        Architecture("resnet50", "ResNet50, last layer of n classes", "resnet50", paper=_SINGH),
        Architecture("mobilenet_v2", "MobileNetV2, last layer of n classes", "mobilenet_v2", paper=_PRAVEEN),
        Architecture("densenet121", "DenseNet121, last layer of n classes", "densenet121", paper="Huang et al. 2017"),
        Architecture("vgg16", "VGG16, last layer of n classes", "vgg16", paper="Simonyan and Zisserman 2015"),
        Architecture(
            "resnet50v2",
            "ResNet50V2, its map flattened, one dense layer between dropout and batch norm",
            "timm:resnetv2_50",
            paper="Malik, Ayoubi and Alsuedani 2025",
            head="flatten",
            options={
                "dropout_map": _share(0.25, "share of the map's values that is dropped (0.25 in the paper)"),
                "dense": _units(64, "units of the dense layer (64 in the paper)"),
                "dropout": _share(0.5, "share dropped before the last layer (0.5 in the paper)"),
            },
            frozen=tuple(f"backbone.{part}" for part in _KERAS_BUT_50),
        ),
        Architecture(
            "densenet121-gru",
            "DenseNet121, its map read as a sequence by two GRUs, one dense layer",
            "densenet121",
            paper=_KUMAR,
            head="gru",
            options={
                "steps": _steps("positions"),
                "gru": _units(256, "units of the first GRU (256 in the paper)"),
                "gru_2": Option(128, "units of the second GRU, 0 for none (128 in the paper)", (0, 65536)),
                "dense": Option(256, "units of the dense layer, 0 for none (256 in the paper)", (0, 65536)),
                "dropout": _share(0.0, "share dropped before the last layer (none in the paper)"),
            },
        ),
        Architecture(
            "vgg16-gru",
            "VGG16, the mean of its map as one step of a GRU",
            "vgg16",
            paper=_KUMAR,
            head="gru",
            options={
                "pooling": Option("mean", "what pools the map first", ("mean", "max", "none")),
                "steps": _steps("positions"),
                "gru": _units(256, "units of the GRU (ours)"),
                "gru_2": Option(0, "units of a second GRU, 0 for none", (0, 65536)),
                "dense": Option(0, "units of a dense layer, 0 for none", (0, 65536)),
                "dropout": _share(0.0, "share dropped before the last layer (none in the paper)"),
            },
        ),
        Architecture(
            "xception-gru",
            "Xception, its map pooled by maximum and read by a GRU, one dense layer, dropout",
            "timm:legacy_xception",
            size=299,
            paper=_KUMAR,
            head="gru",
            options={
                "pooling": Option("max", "what pools the map first", ("mean", "max", "none")),
                "steps": _steps("positions"),
                "gru": _units(256, "units of the GRU (ours)"),
                "gru_2": Option(0, "units of a second GRU, 0 for none", (0, 65536)),
                "dense": Option(256, "units of the dense layer, 0 for none (ours)", (0, 65536)),
                "dropout": _share(0.5, "share dropped before the last layer (ours)"),
            },
        ),
    )
}


def get_architecture(name: str) -> Architecture:
    """Return the record of a network.

    Parameters
    ----------
    name : str
        A name of `NETWORKS`, or ``timm:<model>`` for any model of timm (extra ``timm``).

    Raises
    ------
    UnknownNameError
        With the known names and the closest match.

    Examples
    --------
    >>> get_architecture("xception-gru").size
    299
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if name.startswith("timm:"):
        try:
            return Architecture(name, f"{name}, last layer of n classes", get_backbone(name).name, paper="see timm")
        except UnknownNameError:
            pass
    raise unknown_name("network", name, [*NETWORKS, "timm:<model>"])
