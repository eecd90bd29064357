"""Declared settings are validated, read from objects and converted to flags and back."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from ml.settings import fields
from ml.settings.fields import REQUIRED, SettingError, Settings, read, setting
from ml.settings.flags import add_flags, as_flags, given_flags


@dataclass(frozen=True)
class Oven(Settings):
    """A nested group."""

    celsius: int = setting(at_least=50, at_most=300, unit="degrees", help="temperature")


@dataclass(frozen=True)
class Bread(Settings):
    """A group with a setting of every type."""

    name: str = setting(pattern=r"[a-z]+", wanted="a name such as rye", help="name")
    oven: Oven = setting(Oven(celsius=230), help="oven")
    loaves: int = setting(1, at_least=1, help="loaves")
    salt_share: float = setting(0.02, at_least=0, less_than=1, help="salt, 2 % of the flour")
    minutes: float | None = setting(None, more_than=0, help="baking time")
    flour: Literal["rye", "wheat"] = setting("rye", help="flour")
    is_sliced: bool = setting(False, help="sliced")
    toppings: Mapping[str, float] = setting(
        {}, at_least=0, key_pattern="[a-z=]+", flag="topping", metavar="NAME=GRAMS", help="toppings"
    )
    floors: Mapping[str, float] = setting(
        {"taste": 0.5}, keys={"taste": REQUIRED, "smell": 0.25}, at_least=0, at_most=1, help="floors"
    )


def test_values_are_read_and_defaults_fill_the_rest() -> None:
    bread = read(Bread, {"name": "rye", "oven": {"celsius": 250}, "floors": {"taste": 1}, "loaves": 3})
    assert (bread.name, bread.oven.celsius, bread.loaves, bread.minutes) == ("rye", 250, 3, None)
    assert bread.floors == {"taste": 1, "smell": 0.25}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"loaf": 1},
            "loaf is not known: write one of floors, flour, is_sliced, loaves, ",
        ),
        ({"name": REQUIRED}, "name is missing"),
        ({"name": "Rye"}, "name is 'Rye': write a name such as rye"),
        ({"name": 7}, "name is 7: write a name such as rye"),
        ({"loaves": 0}, "loaves is 0: write a whole number of at least 1"),
        ({"loaves": True}, "loaves is True: write a whole number of at least 1"),
        ({"loaves": 1.0}, "loaves is 1.0: write a whole number of at least 1"),
        ({"loaves": None}, "loaves is None: write a whole number of at least 1"),
        ({"salt_share": 1}, "salt_share is 1: write a number of at least 0 and less than 1"),
        ({"salt_share": float("nan")}, "salt_share is nan: write a number of at least 0 and less than 1"),
        ({"minutes": 0}, "minutes is 0: write a number greater than 0"),
        ({"minutes": float("inf")}, "minutes is inf: write a number greater than 0"),
        ({"flour": "oat"}, "flour is 'oat': write rye or wheat"),
        ({"is_sliced": "yes"}, "is_sliced is 'yes': write true or false"),
        ({"oven": 250}, "oven is 250: write an object"),
        ({"oven": {"celsius": 20}}, "oven.celsius is 20: write a whole number of degrees from 50 to 300"),
        ({"oven": {}}, "oven.celsius is missing"),
        ({"oven": {"celsius": 250, "fan": 1}}, "oven.fan is not known: write one of celsius"),
        ({"toppings": []}, "toppings is []: write an object"),
        ({"toppings": {"seed": -1}}, "toppings.seed is -1: write a number of at least 0"),
        ({"toppings": {"a;b": 1}}, "a name in toppings is 'a;b': write a name that matches [a-z=]+"),
        ({"floors": {"smell": 1}}, "floors.taste is missing"),
        ({"floors": {"taste": 1, "look": 1}}, "floors.look is not known: write one of smell, taste"),
        ({"floors": {"taste": 2}}, "floors.taste is 2: write a number from 0 to 1"),
    ],
)
def test_wrong_value_is_named_with_what_to_write(change: dict[str, Any], message: str) -> None:
    document = {key: value for key, value in {"name": "rye", **change}.items() if value is not REQUIRED}
    with pytest.raises(SettingError) as caught:
        read(Bread, document)
    assert str(caught.value).startswith(message)


def test_document_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^the value is \[\]: write an object$"):
        read(Bread, [])


def test_direct_construction_is_checked() -> None:
    with pytest.raises(SettingError, match=r"^loaves is 0: "):
        Bread(name="rye", loaves=0)
    with pytest.raises(SettingError, match=r"^name is missing$"):
        Bread()


def parsed(argv: list[str], **options: bool) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, Bread, **options)
    return given_flags(Bread, parser.parse_args(argv))


def test_flags_give_only_the_settings_that_are_written() -> None:
    argv = [
        "--name",
        "rye",
        "--salt-share",
        "0.1",
        "--is-sliced",
        "--topping",
        "seed=3",
        "--topping",
        "a=b=1",
    ]
    assert parsed(argv) == {
        "name": "rye",
        "salt_share": 0.1,
        "is_sliced": True,
        "toppings": {"seed": 3.0, "a=b": 1.0},
    }


def test_sagemaker_flags_take_underscores_and_booleans_as_text() -> None:
    given = parsed(["--name", "rye", "--salt_share", "0.1", "--is-sliced", "False"], sagemaker=True)
    assert given == {"name": "rye", "salt_share": 0.1, "is_sliced": False}


def test_required_flag_is_required_unless_its_group_is_optional() -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parsed(["--loaves", "2"])
    assert parsed(["--loaves", "2"], is_optional=True) == {"loaves": 2}


def test_flags_of_values_parse_back_to_the_values() -> None:
    values = {
        "name": "rye",
        "loaves": 2,
        "minutes": None,
        "is_sliced": True,
        "toppings": {"b": 1.5, "a": 2.0},
    }
    flags = list(as_flags(Bread, values))
    assert flags[-4:] == ["--topping", "a=2.0", "--topping", "b=1.5"]
    assert parsed(flags) == {key: value for key, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["seed"], "toppings 'seed': give NAME=GRAMS, such as view=1"),
        (["=1"], "toppings '=1': give NAME=GRAMS"),
        (["seed=much"], "toppings.seed 'much': give a number of at least 0"),
        (["a=1", "a=2"], "toppings.a is given more than once"),
    ],
)
def test_wrong_flag_of_a_mapping_is_named(given: list[str], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parsed(["--name", "rye", *(part for each in given for part in ("--topping", each))])
    assert caught.value.flag_text(str).startswith(message)


def test_help_text_states_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "salt, 2 % of the flour (default 0.02)" in text
    assert "--topping NAME=GRAMS" in text


def test_error_formats_the_names_of_other_settings_too() -> None:
    error = SettingError("user", "and {0}: give both or neither", "password")
    assert str(error) == "user and password: give both or neither"
    assert error.flag_text("--{}".format) == "--user and --password: give both or neither"
    assert str(error.below("store")) == "store.user and password: give both or neither"


SOURCES = sorted(Path(fields.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_module_of_settings_is_python_3_9(path: Path) -> None:
    """EMR 7 runs Python 3.9, and `get_type_hints` evaluates the annotations there."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    nodes = list(ast.walk(tree))
    annotations = [node.annotation for node in nodes if isinstance(node, ast.AnnAssign | ast.arg)]
    annotations += [node.returns for node in nodes if isinstance(node, ast.FunctionDef) and node.returns]
    unions = [node for each in annotations if each for node in ast.walk(each) if isinstance(node, ast.BinOp)]
    assert [ast.unparse(node) for node in unions] == []
    keywords = {word.arg for node in nodes if isinstance(node, ast.Call) for word in node.keywords}
    assert not keywords & {"strict", "kw_only", "slots"}
    assert not [node for node in nodes if isinstance(node, ast.Match)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_module_of_settings_imports_only_the_standard_library_and_settings_modules(path: Path) -> None:
    import sys

    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("ml.settings.")
