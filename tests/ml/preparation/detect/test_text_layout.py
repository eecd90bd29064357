"""Detection of a text file's columns: by its header, or in the order of MovieLens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.dialect import split_line
from ml.preparation.detect.hints import FORMATS, TextHints
from ml.preparation.detect.layout import TextLayout
from ml.preparation.detect.text_layout import detect_text
from ml.preparation.detect.times import is_time
from ml.preparation.errors import InputError

NO_NAMES = ColumnNames()


def layout(*lines: str, file_format: str = "auto", names: ColumnNames = NO_NAMES) -> TextLayout:
    found = detect_text("\n".join(lines), TextHints(FORMATS.get(file_format)), names, "events")
    assert found is not None
    return found.layout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("196\t242\t3\t881250949", TextLayout("\t", None, 4, 0, 1, 3)),
        ("1::1193::5::978300760", TextLayout("::", None, 4, 0, 1, 3, quote=None)),
        ("u1,i1,881250949", TextLayout(",", None, 3, 0, 1, 2)),
        ("u1,i1,2024-05-01T10:00:00Z", TextLayout(",", None, 3, 0, 1, 2)),
    ],
)
def test_file_without_a_header_has_the_order_of_movielens(line: str, expected: TextLayout) -> None:
    assert layout(line) == expected


@pytest.mark.parametrize(
    ("header", "positions"),
    [
        ("user,item,timestamp", (0, 1, 2)),
        ("userId,movieId,rating,timestamp", (0, 1, 3)),
        ("Time;ignored,Product ID,USER_ID,ts", (2, 1, 3)),
        ("event_time,event_type,product_id,price,user_id", (4, 2, 0)),
        ('"user_id","item_id","timestamp"', (0, 1, 2)),
        ("id,user,user_id,item_id,date,timestamp", (2, 3, 5)),
    ],
)
def test_common_spellings_are_found_in_any_order(header: str, positions: tuple[int, int, int]) -> None:
    found = layout(header, "a,b,c")
    assert (found.user, found.item, found.time) == positions
    assert found.header == header


def test_configured_column_takes_precedence_over_spellings() -> None:
    names = ColumnNames(user="buyer", time="ts2")
    found = layout("user_id,buyer,item,ts,ts2", names=names)
    assert (found.user, found.item, found.time) == (1, 2, 4)


@pytest.mark.parametrize(
    ("lines", "names", "message"),
    [
        (
            ["name,price,stock"],
            NO_NAMES,
            "events: no user column; columns found: name, price, stock; name it",
        ),
        (
            ["user_id,item_id"],
            NO_NAMES,
            "no time column; columns found: user_id, item_id; name it with --time",
        ),
        (["user,item,ts"], ColumnNames(item="sku"), "no column 'sku'; columns found: user, item, ts"),
        (["1\t2\t3\t881250949"], ColumnNames(user="user"), "no column 'user'; columns found: 1, 2, 3"),
        (
            ["user_id~item_id~timestamp", "1~2~881250949"],
            NO_NAMES,
            "columns found: user_id~item_id~timestamp",
        ),
        (["who,what,when", "1,2,881250949"], NO_NAMES, "columns found: who, what, when"),
        (
            ["1,2,3,4,881250949"],
            NO_NAMES,
            "no header, and 4 columns look like ids; first row: #1 = 1, #2 = 2",
        ),
        (
            ["1\t2\tthree", "1\t2\tfour"],
            NO_NAMES,
            "no header and no column of times in it; first row: #1 = 1, #2 = 2, #3",
        ),
        (["user_id,user_id,item_id,ts"], NO_NAMES, "column 'user_id' appears more than once"),
        (["u1,i1,881250949"], ColumnNames(weight="rating"), "no column 'rating'; columns found: #1, #2"),
        (["u,i,5,881250949"], ColumnNames(weight="stars"), "no column 'stars'; columns found: u, i, 5"),
        (["user,item,ts"], ColumnNames(needs_event=True), "no event column; columns found: user, item, ts"),
        (["," * 2000], NO_NAMES, "2001 columns in its first line; give at most 2000"),
        (["\x00\x1b[2Juser"], NO_NAMES, r"columns found: ??[2Juser;"),
    ],
)
def test_error_lists_the_columns_found(lines: list[str], names: ColumnNames, message: str) -> None:
    with pytest.raises(InputError) as caught:
        layout(*lines, names=names)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("header", "names", "position"),
    [
        ("user,item,ts,Event Type", ColumnNames(needs_event=True), 3),
        ("user,item,ts,kind,event", ColumnNames(event="kind", needs_event=True), 3),
        ("user,stars,item,ts", ColumnNames(weight="stars"), 1),
        ("1\t2\t5\t881250949", ColumnNames(weight="rating"), 2),
    ],
)
def test_column_of_the_weight_is_found(header: str, names: ColumnNames, position: int) -> None:
    assert layout(header, names=names).value == position


def test_malformed_first_line_does_not_prevent_detection() -> None:
    good = [f"u{n}\ti{n}\t5\t881250949" for n in range(3)]
    assert layout("u0\ti0\t5\tnever", *good) == layout(*good)


def test_configured_format_is_used() -> None:
    assert layout("a::b,1,881250949", file_format="csv").separator == ","
    with pytest.raises(InputError, match="columns found: u,i,881250949"):
        layout("u,i,881250949", file_format="tsv")


@given(
    st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=5),
    st.sampled_from(["auto", *FORMATS]),
)
def test_any_text_has_a_layout_or_is_an_error(lines: list[str], file_format: str) -> None:
    try:
        found = layout(*lines, file_format=file_format)
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert found.time is not None
        assert max(found.user, found.item, found.time) < found.n_columns
    assert message == "" or message.startswith("events: ")
    assert message.isprintable()


@given(
    st.lists(
        st.text(st.characters(exclude_characters='\t"\r\n', exclude_categories=["Z", "C"]), min_size=1),
        min_size=1,
    )
)
def test_joined_fields_are_split_again(fields: list[str]) -> None:
    assert split_line("\t".join(fields), "\t") == fields


@pytest.mark.parametrize(
    "field", ["631152000", "4102444799", "881250949.5", "1990-01-01", "2099-12-31 23:59"]
)
def test_time_from_1990_to_2099_is_a_time(field: str) -> None:
    assert is_time(field)


@pytest.mark.parametrize(
    "field", ["631151999", "4102444800", "-1", "nan", "inf", "", "1989-12-31", "2100-01-01"]
)
def test_any_other_text_is_not_a_time(field: str) -> None:
    assert not is_time(field)


ROWS = [f"u{n};i{n};88125094{n}" for n in range(9)]


@pytest.mark.parametrize(
    ("lines", "hints", "expected"),
    [
        (["u1~i1~881250949"], TextHints("~"), TextLayout("~", None, 3, 0, 1, 2)),
        (["u1 i1 881250949"], TextHints(quote=""), TextLayout(" ", None, 3, 0, 1, 2, quote=None)),
        (
            ["user|item|ts", "'u'|i|881250949"],
            TextHints(quote="'", escape="backslash"),
            TextLayout("|", "user|item|ts", 3, 0, 1, 2, quote="'", escape="\\"),
        ),
        (["u1,i1,881250949"], TextHints(has_header=False), TextLayout(",", None, 3, 0, 1, 2)),
    ],
)
def test_configured_property_takes_precedence_over_the_detected(
    lines: list[str], hints: TextHints, expected: TextLayout
) -> None:
    found = detect_text("\n".join(lines), hints, NO_NAMES, "events")
    assert found is not None
    assert found.layout == expected


@pytest.mark.parametrize(
    ("lines", "hints", "names", "advice"),
    [
        (["user_id~item_id~ts", "u~i~1"], TextHints(), NO_NAMES, "give --separator if the columns are"),
        (["\ufffd\ufffd,\ufffd"], TextHints(), NO_NAMES, "or give --encoding if the names are not readable"),
        (ROWS, TextHints(), ColumnNames(user="u0"), "or give --header none if this line is a row"),
        (ROWS, TextHints(), ColumnNames(user="client"), "or give --header first-line if it is one"),
    ],
)
def test_error_names_the_option_of_the_property_that_may_be_wrong(
    lines: list[str], hints: TextHints, names: ColumnNames, advice: str
) -> None:
    with pytest.raises(InputError) as caught:
        detect_text("\n".join(lines), hints, names, "events")
    assert advice in str(caught.value)


def test_column_with_one_value_is_not_taken_for_the_user_beside_another() -> None:
    lines = [f"U{n % 7}\tN7{n}-0\t88125094{n:02d}\tsession-0017" for n in range(40)]
    names = ColumnNames(item="#2", time="#3")
    with pytest.raises(InputError, match="2 columns could be the user"):
        detect_text("\n".join(lines), TextHints(), names, "events")
