"""A protocol: everything that decides a published figure, read strictly from a short file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from fusionfer.exceptions import DataError, FusionferError, unknown_name
from fusionfer.images import SPLITS

__all__ = ["PROTOCOLS", "VERSION", "Protocol", "change_protocol", "idle_keys", "read_protocol"]

VERSION = 1

#: ``features.weights`` of backbones that each run trains on its own training faces.
TRAINED = "trained"

#: In the order of the page: the papers', then those of data sets.
PROTOCOLS = (
    "singh-mandloi-2025",
    "malik-2025",
    "multilevel-xgb",
    "praveen-2025",
    "kumar-agarwal-2024",
    "fer2013/private-test",
    "fer2013/private-test-clean",
    "ferplus/majority",
    "ckplus/subject-10fold",
    "ckplus/random-80-20",
)


def _one_of(default: str, *allowed: str, what: str) -> Any:
    return field(default=default, metadata={"allowed": allowed, "what": what})


def _number(default: float, low: float, high: float, what: str) -> Any:
    return field(default=default, metadata={"range": (low, high), "what": what})


def _text(default: str, what: str) -> Any:
    return field(default=default, metadata={"what": what})


def _names(default: tuple[str, ...], what: str, among: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"among": among, "what": what})


@dataclass(frozen=True)
class Claim:
    """What was published."""

    accuracy: float = _number(0.0, 0.0, 100.0, "percent; 0: no figure was to be found")
    where: str = _text("", "where it stands, and of what it is")


@dataclass(frozen=True)
class Data:
    """Which faces."""

    name: str = _text("", "the data set of the paper")
    labels: str = _one_of("given", "given", "ferplus", what="ferplus: the majority of FER+'s annotators (--labels)")
    known: str = _one_of("leave-out", "leave-out", "keep", what="faces to be scored that the weights were trained on")


@dataclass(frozen=True)
class Cleaning:
    """What is taken out, or kept together, before anything is drawn."""

    non_faces: str = _one_of("keep", "keep", "remove", what="pictures that FER+'s annotators call no face (--labels)")
    copies: str = _one_of("keep", "keep", "apart", what="apart: copies of one picture stand on one side of the split")


@dataclass(frozen=True)
class Split:
    """How training and test faces are told apart."""

    how: str = _one_of("released", "released", "draw", "folds", what="as the data bring it, at random, or in folds")
    train: tuple[str, ...] = _names(("train",), "released: splits that are trained on", SPLITS)
    test: tuple[str, ...] = _names(("test",), "released: splits that are scored", SPLITS)
    parts: str = _text("70/30", "draw: train and test in percent, per label")
    folds: int = _number(10, 2, 1000, "folds: how many; their predictions are scored together")
    groups: str = _one_of("respect", "respect", "ignore", what="whether persons, and copies, stay on one side")


@dataclass(frozen=True)
class Augmenting:
    """Stored copies of faces; what a network is shown on the fly is its recipe's."""

    when: str = _one_of("never", "never", "before-split", "after-split", what="after-split: of training faces only")
    recipe: str = _text("fer", "recipe of fusionfer train that says how copies differ")
    copies: int = _number(2, 1, 1000, "of each face")


@dataclass(frozen=True)
class FeatureBlocks:
    """Features of backbones, which a head classifies."""

    backbones: tuple[str, ...] = _names(("resnet34", "resnet50"), "backbones")
    level: str = _text("penultimate", "penultimate, multi, logits or a node")
    size: int = _number(0, 0, 4096, "side of the pictures in pixels; 0: the backbones' own")
    weights: str = _text(
        "imagenet", "imagenet, none, or trained (in each run, by network.recipe); --weights names files"
    )


@dataclass(frozen=True)
class Head:
    """The classifier of the features."""

    name: str = _text("ecoc", "as fusionfer heads lists it")


@dataclass(frozen=True)
class Network:
    """Networks that are trained: in the place of features and a head, or (features.weights) to give the features."""

    recipe: str = _text("", "recipe of fusionfer train; none: features and a head")
    networks: tuple[str, ...] = _names((), "networks; none: the recipe's")
    optimizers: tuple[str, ...] = _names((), "optimizers; none: the recipe's", ("sgdm", "adam", "rmsprop"))


@dataclass(frozen=True)
class Choice:
    """By what the best candidate (A, B or A+B) or epoch is chosen."""

    by: str = _one_of("training", "training", "test", what="folds (or a tenth) of the training faces, or the test")


@dataclass(frozen=True)
class Scoring:
    """Whose accuracy is reported."""

    on: str = _one_of("test", "test", "train", what="faces that are scored")


@dataclass(frozen=True)
class Protocol:
    """A protocol; the sections are the tables of its file, and ``SECTION.KEY`` what ``--set`` sets.

    Examples
    --------
    >>> protocol = read_protocol("singh-mandloi-2025")
    >>> protocol.augmentation.when, protocol.split.groups, protocol.choice.by
    ('before-split', 'ignore', 'test')
    """

    name: str = ""
    summary: str = ""
    paper: str = ""
    claim: Claim = field(default_factory=Claim)
    data: Data = field(default_factory=Data)
    cleaning: Cleaning = field(default_factory=Cleaning)
    split: Split = field(default_factory=Split)
    augmentation: Augmenting = field(default_factory=Augmenting)
    features: FeatureBlocks = field(default_factory=FeatureBlocks)
    head: Head = field(default_factory=Head)
    network: Network = field(default_factory=Network)
    choice: Choice = field(default_factory=Choice)
    score: Scoring = field(default_factory=Scoring)

    @property
    def ends_in_head(self) -> bool:
        """Whether a head on features is scored: of weights as they are, or as each run trains them."""
        return not self.network.recipe or self.features.weights == TRAINED

    def describe(self) -> dict[str, Any]:
        """Return everything as JSON knows it."""
        return {"version": VERSION, **_plain(asdict(self))}


_SECTIONS = {one.name: one for one in fields(Protocol) if one.name not in ("name", "summary", "paper")}


def read_protocol(protocol: str | Path, **changes: Any) -> Protocol:
    """Read a protocol and change what is given.

    Parameters
    ----------
    protocol : str or path
        A name of `PROTOCOLS`, or the path of a TOML file.
    **changes
        ``**{"features.size": 48}``: section and key.

    Returns
    -------
    Protocol

    Raises
    ------
    UnknownNameError
        If there is no such protocol, section or key, with the closest match.
    DataError
        If a file cannot be read, is no TOML or of another version, or values are not allowed; all complaints at once.
    """
    text = str(protocol)
    try:
        if text in PROTOCOLS:
            source = (files("fusionfer.protocols") / "files" / f"{text.replace('/', '-')}.toml").read_bytes()
        elif text.endswith(".toml"):
            source = Path(text).read_bytes()
        else:
            raise unknown_name("protocol", text, [*PROTOCOLS, "<path>.toml"])
        content = tomllib.loads(source.decode("utf-8"))
    except OSError as error:
        msg = f"The protocol {text} cannot be read: {error.strerror or error}."
        raise DataError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"The protocol {text} is no TOML: {error}."
        raise DataError(msg) from error
    name = text if text in PROTOCOLS else Path(text).stem
    if content.pop("version", None) != VERSION:
        msg = f"The protocol {text} must say version = {VERSION}, which is the one that this fusionfer reads."
        raise DataError(msg)
    texts = {key: content.pop(key, "") for key in ("summary", "paper")}
    wrong = [f"{key} must be a text, got {value!r}" for key, value in texts.items() if not isinstance(value, str)]
    made = _made(Protocol(name, **texts), content, wrong)
    return change_protocol(made, changes) if changes else made


def change_protocol(protocol: Protocol, changes: Mapping[str, Any]) -> Protocol:
    """Return `protocol` with other values: section and key, as in ``{"features.size": 48}``.

    Raises
    ------
    UnknownNameError, DataError
        As `read_protocol`.
    """
    tables: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        section, dot, inner = key.partition(".")
        if not dot:
            raise unknown_name("key of a protocol", key, _keys(), plural="keys")
        tables.setdefault(section, {})[inner] = value
    return _made(protocol, tables, [])


def _keys() -> list[str]:
    return [f"{name}.{one.name}" for name in _SECTIONS for one in fields(getattr(Protocol(), name))]


def _made(base: Protocol, content: Mapping[str, Any], complaints: list[str]) -> Protocol:
    """Return `base` with the checked values of `content` in their places."""
    new: dict[str, Any] = {}
    for name, table in content.items():
        if name not in _SECTIONS:
            raise unknown_name("section of a protocol", name, _SECTIONS, plural="sections")
        if not isinstance(table, Mapping):
            complaints.append(f"{name} must be a table, such as [{name}]")
            continue
        section = getattr(base, name)
        known = {one.name: one for one in fields(section)}
        values = {}
        for key, value in table.items():
            if key not in known:
                raise unknown_name("key of a protocol", f"{name}.{key}", _keys(), plural="keys")
            values[key], complaint = _checked(value, known[key].metadata, getattr(section, key))
            complaints += [f"{name}.{key} must be {complaint}, got {value!r}"] if complaint else []
        new[name] = replace(section, **values)
    if not complaints:
        made = replace(base, **new)
        complaints += _contradictions(made)
    if complaints:
        msg = f"The protocol {base.name}: {'; '.join(complaints)}."
        raise DataError(msg)
    return made


def _checked(value: Any, rule: Mapping[str, Any], default: Any) -> tuple[Any, str]:
    """Return the value as it is kept, and what is allowed where it is not."""
    if "range" in rule:
        low, high = rule["range"]
        whole = isinstance(default, int)
        good = (
            isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and low <= value <= high
        )
        kind = "a whole number" if whole else "a number"
        return (value if whole or not good else float(value)), "" if good else f"{kind} from {low:g} to {high:g}"
    if "allowed" in rule:
        return value, "" if value in rule["allowed"] else " or ".join(rule["allowed"])
    if "among" in rule:
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        among = rule["among"]
        good = all(isinstance(one, str) and (among is None or one in among) for one in values)
        good = good and bool(values or not default)
        return values, "" if good else f"a list of names{' among ' + ', '.join(among) if among else ''}"
    return value, "" if isinstance(value, str) else "a text"


def _contradictions(made: Protocol) -> list[str]:
    found = []
    parts = made.split.parts.split("/")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 2 or min(numbers) <= 0 or sum(numbers) != 100:
        found.append(f"split.parts must be two percentages that sum to 100, such as 70/30, got {made.split.parts!r}")
    both = sorted(set(made.split.train) & set(made.split.test))
    if both:
        found.append(
            f"split.train and split.test both name {', '.join(both)}; score.on = 'train' scores training faces"
        )
    if made.split.how == "released" and made.split.groups == "ignore":
        found.append("split.groups = 'ignore' is for splits that are drawn")
    if made.cleaning.copies == "apart" and made.split.groups == "ignore":
        found.append("cleaning.copies = 'apart' needs split.groups = 'respect', which keeps copies together")
    if made.features.weights == TRAINED and not made.network.recipe:
        found.append(f"features.weights = '{TRAINED}' needs network.recipe, by which they are trained")
    if made.network.recipe and made.split.how == "folds":
        found.append("a network is not trained in folds")
    for key, name in [("augmentation.recipe", made.augmentation.recipe), ("network.recipe", made.network.recipe)]:
        complaint = _recipe_complaint(name)
        found += [f"{key}: {complaint}"] if complaint else []
    return found


def idle_keys(protocol: Protocol, keys: Iterable[str]) -> dict[str, str]:
    """Return those of `keys` that decide nothing in `protocol`, each with what they are for."""
    network, how = bool(protocol.network.recipe), protocol.split.how
    no_head = "" if protocol.ends_in_head else "is for protocols of features and a head"
    both = network and protocol.ends_in_head
    unused = {
        "features.size": "is the networks' (size, of their recipe)" if both else no_head,
        "features.": no_head,
        "head.": no_head,
        "network.networks": "is features.backbones where features come from trained networks" if both else "",
        "network.": "" if network else "is for protocols with network.recipe",
        "split.train": "" if how == "released" else "is for split.how = 'released'",
        "split.test": "" if how == "released" else "is for split.how = 'released'",
        "split.parts": "" if how == "draw" else "is for split.how = 'draw'",
        "split.folds": "" if how == "folds" else "is for split.how = 'folds'",
        "augmentation.recipe": "needs augmentation.when" if protocol.augmentation.when == "never" else "",
        "augmentation.copies": "needs augmentation.when" if protocol.augmentation.when == "never" else "",
    }
    return {key: why for key in keys for start, why in unused.items() if why and key.startswith(start)}


def _recipe_complaint(name: str) -> str:
    from fusionfer.training import read_recipe

    if not name:
        return ""
    try:
        read_recipe(name)
    except FusionferError as error:
        return str(error).rstrip(".")
    return ""


def _plain(value: Any) -> Any:
    """Return tuples as lists."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
