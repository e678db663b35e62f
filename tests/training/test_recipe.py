"""Recipes: the files that ship, strict parsing, overrides."""

import re
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path

import pytest

from fusionfer.exceptions import ModelError, UnknownNameError
from fusionfer.networks import get_architecture
from fusionfer.training import RECIPES, Recipe, Settings, as_value, read_recipe

FOLDER = files("fusionfer.training") / "recipes"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_its_paper_and_networks_that_exist(name):
    """A recipe that ships can be read, says in its comments whose it is, and trains networks that there are."""
    recipe = read_recipe(name)
    text = (FOLDER / f"{name}.toml").read_text()
    year = recipe.paper[-4:]
    assert year in text.partition("summary")[0]
    assert all(get_architecture(network) for network in recipe.networks)
    assert "paper" not in recipe.freeze or all(get_architecture(network).frozen for network in recipe.networks)
    assert recipe.summary
    assert recipe.name == name


def test_malik_freezes_what_gives_the_papers_count():
    """The paper trains 22,779,527 of 29,996,295 parameters: the record knows the parts, the recipe names them."""
    assert read_recipe("malik-2025").freeze == ("paper",)


def test_the_list_of_recipes_is_that_of_the_files():
    """No file is forgotten in the list, and none is listed that is not there."""
    assert {path.name for path in FOLDER.iterdir() if path.name.endswith(".toml")} == {f"{n}.toml" for n in RECIPES}


def test_a_recipe_survives_json():
    """What `describe` returns reads back as the same recipe."""
    for name in RECIPES:
        recipe = read_recipe(name)
        assert replace(read_recipe(recipe.describe()), name=name) == recipe


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        ({"epoch": 3}, UnknownNameError, r"Unknown key of a recipe 'epoch'.*Did you mean 'epochs'"),
        ({"epochs": 0}, ModelError, "epochs must be a whole number from 1 to 100000, got 0"),
        ({"epochs": 2.5}, ModelError, "epochs must be a whole number"),
        ({"epochs": True}, ModelError, "epochs must be a whole number"),
        ({"flip": "yes"}, ModelError, "flip must be a number from 0 to 1, got 'yes'"),
        ({"fill": "wrap"}, ModelError, "fill must be nearest or reflect or black, got 'wrap'"),
        ({"average": 1}, ModelError, "average must be true or false"),
        ({"mean": [0.5]}, ModelError, "mean must be three numbers"),
        ({"mean": [0.5, 0.5, 0.5]}, ModelError, "mean and std are given together"),
        ({"optimizers": ["adamw"]}, ModelError, "optimizers must be a list of names among sgdm, adam, rmsprop"),
        ({"networks": []}, ModelError, "networks must be a list of names"),
        ({"adam": 0.1}, ModelError, "adam must be a table"),
        ({"adam": {"rates": 0.1}}, UnknownNameError, "Did you mean 'rate'"),
        ({"adam": {"rate": -1}}, ModelError, r"\[adam\]: rate must be a number from 0 to 10, got -1"),
        ({"adam": {"nesterov": True}}, ModelError, "adam has no Nesterov"),
        ({"options": 3}, ModelError, "options must be a table"),
        ({"size": 40, "crop": 44}, ModelError, "crop is at most size"),
        ({"size": 40, "tta": "ten-crop"}, ModelError, "ten-crop needs 0 < crop < size"),
    ],
)
def test_wrong_recipes_are_refused(content, error, text):
    """Unknown keys, wrong types, values out of range and contradictions have clear errors."""
    with pytest.raises(error, match=text):
        read_recipe(content)


def test_all_complaints_come_at_once():
    """Two wrong values are one error."""
    with pytest.raises(ModelError, match=r"epochs must .*; flip must"):
        read_recipe({"epochs": -1, "flip": 2})


def test_files_that_are_no_recipe(tmp_path):
    """A missing file, broken TOML and an unknown name are named."""
    broken = tmp_path / "mine.toml"
    with pytest.raises(ModelError, match=r"mine.toml cannot be read: No such file"):
        read_recipe(broken)
    broken.write_text("epochs = ")
    with pytest.raises(ModelError, match="is no TOML"):
        read_recipe(broken)
    with pytest.raises(UnknownNameError, match="Did you mean 'malik-2025'"):
        read_recipe("malik2025")


def test_a_file_of_the_users_own(tmp_path):
    """What it does not say is the default."""
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 7\n[sgdm]\nrate = 1\n")
    recipe = read_recipe(path)
    assert (recipe.name, recipe.epochs, recipe.sgdm.rate, recipe.sgdm.momentum) == ("mine", 7, 1.0, 0.9)


def test_overrides():
    """A field, a setting of one optimizer, of all, and an option of the network."""
    recipe = read_recipe("fer", epochs=9, rate=0.5, **{"adam.rate": 0.25, "options.dropout": 0.3})
    assert (recipe.epochs, recipe.sgdm.rate, recipe.adam.rate, recipe.rmsprop.rate) == (9, 0.5, 0.25, 0.5)
    assert recipe.options == {"dropout": 0.3}
    assert recipe.sgdm.nesterov
    with pytest.raises(UnknownNameError, match="Did you mean 'label_smoothing'"):
        read_recipe("fer", label_smooth=0.1)
    with pytest.raises(UnknownNameError, match="Unknown key of a recipe 'name'"):
        read_recipe("fer", name="mine")


@pytest.mark.parametrize(
    ("weights", "resnet34", "resnet50"),
    [
        ("none", "none", "none"),
        ("a/b=c,d.pth", "a/b=c,d.pth", "a/b=c,d.pth"),
        ("resnet34=x/a=b.pth, resnet50=imagenet", "x/a=b.pth", "imagenet"),
        ("resnet50=b.pth", "none", "b.pth"),
    ],
)
def test_weights_may_be_named_for_each_network(weights, resnet34, resnet50):
    """One for all, or NETWORK=WEIGHTS for each; a path may hold commas and equals signs behind a slash."""
    recipe = read_recipe("fer", weights=weights)
    assert (recipe.weights_of("resnet34"), recipe.weights_of("resnet50")) == (resnet34, resnet50)


def test_texts_of_the_command_line():
    """TOML where it is TOML, a plain text where it is not."""
    assert [as_value(t) for t in ("3", "0.5", "true", "[1, 2]", "cosine", "a/b.pth", "1e-4")] == [
        3, 0.5, True, [1, 2], "cosine", "a/b.pth", 1e-4,
    ]  # fmt: skip


def test_every_key_has_a_meaning_and_is_on_its_page():
    """docs/training.md explains each key that a recipe may have."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    for one in [*fields(Recipe)[1:], *fields(Settings)]:
        assert one.metadata["what"] if one.metadata else one.name in ("sgdm", "adam", "rmsprop")
        assert re.search(rf"`{one.name}`|\[{one.name}\]", page), one.name
