"""A recipe: everything that decides how a network is trained, read strictly from a short file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from fusionfer.exceptions import ModelError, unknown_name

__all__ = ["OPTIMIZERS", "RECIPES", "Recipe", "Settings", "as_value", "read_recipe"]

OPTIMIZERS = ("sgdm", "adam", "rmsprop")
RECIPES = ("fer", "kumar-agarwal-2024", "malik-2025", "praveen-2025", "singh-mandloi-2025")

_BELOW_ONE = 1 - 1e-6


def _number(default: float, low: float, high: float, what: str) -> Any:
    """Describe a number (whole where the default is) from `low` to `high`."""
    return field(default=default, metadata={"what": what, "range": (low, high)})


def _choice(default: str, allowed: tuple[str, ...], what: str) -> Any:
    return field(default=default, metadata={"what": what, "allowed": allowed})


def _flag(default: bool, what: str) -> Any:
    return field(default=default, metadata={"what": what})


def _text(default: str, what: str) -> Any:
    return field(default=default, metadata={"what": what})


def _list(default: tuple[Any, ...], what: str, allowed: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"what": what, "items": allowed})


def _colour(low: float, what: str) -> Any:
    return field(default=(), metadata={"what": what, "colour": low})


@dataclass(frozen=True)
class Settings:
    """What an optimizer is set to; a table of its name in a recipe's file."""

    rate: float = _number(0.01, 0.0, 10.0, "learning rate at its highest")
    momentum: float = _number(0.9, 0.0, _BELOW_ONE, "momentum; adam: the first beta")
    nesterov: bool = _flag(False, "Nesterov's momentum (sgdm only)")
    decay: float = _number(0.0, 0.0, 1.0, "weight decay, an L2 penalty on all weights")
    smoothing: float = _number(0.999, 0.0, _BELOW_ONE, "mean of squares: adam's second beta, rmsprop's alpha")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The fields are the keys of a recipe's file, and what ``--set`` sets.

    Examples
    --------
    >>> recipe = read_recipe("fer", epochs=3)
    >>> recipe.epochs, recipe.settings("sgdm").nesterov
    (3, True)
    """

    name: str = _text("", "the recipe's name; from its file")
    summary: str = _text("", "one line")
    paper: str = _text("", "who published it")
    # What is trained
    networks: tuple[str, ...] = _list(("resnet50",), "networks that are trained if none is named")
    optimizers: tuple[str, ...] = _list(("sgdm",), "optimizers that are used if none is named", OPTIMIZERS)
    weights: str = _text("none", "weights to begin with: none, imagenet or a path; or NETWORK=PATH,NETWORK=PATH")
    stem: str = _choice("standard", ("standard", "small"), "first layers; small: 3 x 3, stride 1, no pooling")
    freeze: tuple[str, ...] = _list((), "parts of the network that are not trained; backbone: all but what is new")
    options: dict[str, Any] = field(default_factory=dict, metadata={"what": "options of the network (a table)"})
    # Pictures
    size: int = _number(0, 0, 4096, "side that pictures are resized to, in pixels; 0: the network's own")
    crop: int = _number(0, 0, 4096, "side of the piece that is cut out of them in training; 0: the whole")
    mean: tuple[float, ...] = _colour(0.0, "mean of red, green and blue, in [0, 1]; none: the network's own")
    std: tuple[float, ...] = _colour(1e-3, "their standard deviations")
    # Augmentation, of pictures of the training split only
    rotation: float = _number(0.0, 0.0, 180.0, "turned by at most so many degrees, to either side")
    zoom: float = _number(0.0, 0.0, 0.9, "enlarged or shrunk by at most this share")
    shift: float = _number(0.0, 0.0, 0.9, "moved by at most this share of the side, along either axis")
    share: float = _number(1.0, 0.0, 1.0, "probability of each of rotation, zoom and shift")
    flip: float = _number(0.0, 0.0, 1.0, "probability of a mirror image (left and right)")
    brightness: float = _number(0.0, 0.0, 0.9, "brighter or darker by at most this share")
    fill: str = _choice("nearest", ("nearest", "reflect", "black"), "what stands where a moved picture has no pixels")
    erasing: float = _number(0.0, 0.0, 1.0, "probability that a rectangle is erased")
    erasing_area: float = _number(0.33, 0.02, 1.0, "its largest area, as a share of the picture's")
    mixup: float = _number(0.0, 0.0, 10.0, "alpha of mixup's Beta(alpha, alpha); 0: none")
    # Training
    batch_size: int = _number(64, 1, 65536, "pictures in a step")
    epochs: int = _number(30, 1, 100_000, "passes over the training split, at most")
    schedule: str = _choice("constant", ("constant", "cosine", "plateau"), "course of the learning rate")
    warmup: int = _number(0, 0, 1000, "epochs in which the rate rises from 0, at most a third of all")
    plateau_factor: float = _number(0.1, 0.01, 0.99, "plateau: the rate is multiplied by this")
    plateau_patience: int = _number(5, 0, 1000, "plateau: after so many epochs without a lower validation loss")
    min_rate: float = _number(0.0, 0.0, 1.0, "the rate does not fall below this")
    patience: int = _number(0, 0, 100_000, "training stops after so many epochs that were not the best; 0: never")
    monitor: str = _choice("accuracy", ("accuracy", "loss"), "what decides on the validation split which epoch is best")
    balance: str = _choice("none", ("none", "loss", "sampler"), "classes weigh the same: in the loss, or by their draw")
    label_smoothing: float = _number(0.0, 0.0, _BELOW_ONE, "share of each target that goes to all classes")
    ema: float = _number(0.0, 0.0, _BELOW_ONE, "decay of an exponential moving average of the weights; 0: none")
    clip: float = _number(0.0, 0.0, 1e6, "largest norm of the gradient; 0: any")
    precision: str = _choice("32-true", ("32-true", "bf16-mixed", "16-mixed"), "of the arithmetic")
    holdout: int = _number(10, 1, 90, "percent of the training split held out where the data bring no validation split")
    tta: str = _choice("none", ("none", "flip", "ten-crop"), "views of a picture whose predictions are averaged")
    average: bool = _flag(False, "several networks: also average them, with weights found on the validation split")
    # Optimizers
    sgdm: Settings = field(default_factory=Settings)
    adam: Settings = field(default_factory=lambda: Settings(rate=0.001))
    rmsprop: Settings = field(default_factory=lambda: Settings(rate=0.001, momentum=0.0, smoothing=0.99))

    def settings(self, optimizer: str) -> Settings:
        """Return what `optimizer` is set to.

        Raises
        ------
        UnknownNameError
            If there is no such optimizer.
        """
        if optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", optimizer, OPTIMIZERS)
        return getattr(self, optimizer)

    def weights_by_network(self) -> dict[str, str]:
        """Return network -> what it begins with; "" stands for all, where none is named."""
        parts = [part.strip().partition("=") for part in self.weights.split(",")]
        if all(equals and "/" not in name for name, equals, _ in parts):
            return {name: weights for name, _, weights in parts}
        return {"": self.weights}

    def weights_of(self, network: str) -> str:
        """Return what a network begins with; random weights ("none") where only others are named."""
        given = self.weights_by_network()
        return given.get(network, given.get("", "none"))

    def describe(self) -> dict[str, Any]:
        """Return everything as JSON knows it; `read_recipe` understands it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def read_recipe(recipe: str | Path | Recipe | Mapping[str, Any], **overrides: Any) -> Recipe:
    """Read a recipe and change what is given.

    Parameters
    ----------
    recipe : str, path, mapping or Recipe
        A name of `RECIPES`, or the path of a TOML file.
    **overrides
        Fields of the recipe; ``rate``, ``momentum``, ``nesterov``, ``decay`` and ``smoothing`` are set for every
        optimizer, ``**{"adam.rate": 1e-4}`` for one, ``**{"options.dropout": 0.3}`` an option of the network.

    Returns
    -------
    Recipe

    Raises
    ------
    UnknownNameError
        If there is no such recipe or key, with the closest match.
    ModelError
        If a file is no TOML, or values have the wrong type or lie outside their range; all complaints at once.

    Examples
    --------
    >>> read_recipe("malik-2025", size=400).size
    400
    """
    content, name = _content(recipe)
    made = _made(Recipe, content, f"The recipe {name}")
    if overrides:
        made = _overridden(made, overrides, name)
    made = replace(made, name=name)
    complaints = _contradictions(made)
    if complaints:
        msg = f"The recipe {name}: {'; '.join(complaints)}."
        raise ModelError(msg)
    return made


def as_value(text: str) -> Any:
    """Return what a text means in TOML: a number, a flag, a list; the text itself where it is none of these.

    Examples
    --------
    >>> as_value("3"), as_value("true"), as_value("cosine")
    (3, True, 'cosine')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _content(recipe: str | Path | Recipe | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the keys of a recipe, and its name."""
    if isinstance(recipe, Recipe | Mapping):
        content = recipe.describe() if isinstance(recipe, Recipe) else dict(recipe)
        return content, str(content.pop("name", "") or "given")
    text = str(recipe)
    try:
        if text in RECIPES:
            source = (files("fusionfer.training") / "recipes" / f"{text}.toml").read_bytes()
        elif text.endswith(".toml"):
            source = Path(text).read_bytes()
        else:
            raise unknown_name("recipe", text, [*RECIPES, "<path>.toml"])
        return tomllib.loads(source.decode("utf-8")), text.removesuffix(".toml").rpartition("/")[2]
    except OSError as error:
        msg = f"The recipe {text} cannot be read: {error.strerror or error}."
        raise ModelError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"The recipe {text} is no TOML: {error}."
        raise ModelError(msg) from error


def _made(kind: type[Any], content: Mapping[str, Any], where: str, base: Any = None) -> Any:
    """Return a `kind` of checked values; what is not given stays as in `base`."""
    base = kind() if base is None else base
    known = {one.name: one for one in fields(kind)}
    complaints, values = [], {}
    for key, value in content.items():
        if key not in known or key == "name":
            raise unknown_name("key of a recipe", key, sorted(set(known) - {"name"}), plural="keys")
        if key in OPTIMIZERS:
            if not isinstance(value, Mapping):
                complaints.append(f"{key} must be a table, such as [{key}] with rate = 0.01")
                continue
            values[key] = _made(Settings, value, f"{where}, [{key}]", getattr(base, key))
            continue
        values[key], complaint = _checked(value, known[key].metadata, getattr(base, key))
        complaints += [f"{key} must be {complaint}, got {value!r}"] if complaint else []
    if complaints:
        msg = f"{where}: {'; '.join(complaints)}."
        raise ModelError(msg)
    return replace(base, **values)


def _checked(value: Any, rule: Mapping[str, Any], default: Any) -> tuple[Any, str]:
    """Return the value as it is kept, and what is allowed where it is not."""
    if isinstance(default, bool):
        return value, "" if isinstance(value, bool) else "true or false"
    if isinstance(default, dict):
        return value, "" if isinstance(value, dict) else "a table"
    if "range" in rule:
        low, high = rule["range"]
        whole = isinstance(default, int)
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        kind = "a whole number" if whole else "a number"
        good = fits and low <= value <= high
        return (value if whole or not good else float(value)), "" if good else f"{kind} from {low:g} to {high:g}"
    if "allowed" in rule:
        return value, "" if value in rule["allowed"] else " or ".join(rule["allowed"])
    if isinstance(default, tuple):
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        if "colour" in rule:
            low = rule["colour"]
            good = len(values) in (0, 3) and all(isinstance(v, int | float) and low <= v <= 1 for v in values)
            return tuple(map(float, values)) if good else values, "" if good else f"three numbers from {low:g} to 1"
        names = rule["items"]
        good = bool(values or not default) and all(isinstance(v, str) and (names is None or v in names) for v in values)
        return values, "" if good else f"a list of names{' among ' + ', '.join(names) if names else ''}"
    return value, "" if isinstance(value, str) else "a text"


def _overridden(recipe: Recipe, overrides: Mapping[str, Any], name: str) -> Recipe:
    where = f"The recipe {name}"
    of_all = {one.name for one in fields(Settings)}
    plain: dict[str, Any] = {}
    for key, value in overrides.items():
        table, _, inner = key.partition(".")
        if key in of_all:
            for optimizer in OPTIMIZERS:
                recipe = _made(Recipe, {optimizer: {key: value}}, where, recipe)
        elif inner and table in OPTIMIZERS:
            recipe = _made(Recipe, {table: {inner: value}}, where, recipe)
        elif inner and table == "options":
            recipe = replace(recipe, options={**recipe.options, inner: value})
        elif key in {one.name for one in fields(Recipe)} - {"name"}:
            plain[key] = value
        else:
            keys = [*(one.name for one in fields(Recipe) if one.name != "name"), *of_all]
            raise unknown_name("key of a recipe", key, keys, plural="keys")
    return _made(Recipe, plain, where, recipe)


def _contradictions(recipe: Recipe) -> list[str]:
    found = []
    if recipe.crop and recipe.size and recipe.crop > recipe.size:
        found.append(f"crop is at most size ({recipe.size}), got {recipe.crop}")
    if bool(recipe.mean) != bool(recipe.std):
        found.append("mean and std are given together or not at all")
    found += [
        f"{name} has no Nesterov's momentum; only sgdm with momentum above 0 has"
        for name in OPTIMIZERS
        if getattr(recipe, name).nesterov and (name != "sgdm" or not recipe.sgdm.momentum)
    ]
    if recipe.tta == "ten-crop" and not (0 < recipe.crop < recipe.size):
        found.append(f"tta ten-crop needs 0 < crop < size, got crop {recipe.crop} and size {recipe.size}")
    return found
