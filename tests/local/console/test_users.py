"""Titles of items from a file."""

from pathlib import Path

import pytest

from local.console.users import read_titles
from local.errors import BadInputError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'item_id,title\n7,Red shoes\n8,"Shoes, blue"\n', {"7": "Red shoes", "8": "Shoes, blue"}),
        ("1|Amélie (2001)|x\n2|Toy Story|x\n".encode("latin-1"), {"1": "Amélie (2001)", "2": "Toy Story"}),
        ("\ufeff1\t빨간 구두\n2\t파란 구두\n".encode(), {"1": "빨간 구두", "2": "파란 구두"}),
    ],
)
def test_first_two_columns_are_item_and_title(
    tmp_path: Path, content: bytes, expected: dict[str, str]
) -> None:
    path = tmp_path / "titles"
    path.write_bytes(content)
    assert read_titles(path).items() >= expected.items()


def test_file_without_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "titles.txt"
    path.write_text("shoes\nhat\n")
    with pytest.raises(BadInputError, match=r"titles\.txt"):
        read_titles(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nowhere"):
        read_titles(tmp_path / "nowhere")
