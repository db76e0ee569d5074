"""Rows of profile files: what they say, what is wrong with them and on which line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.errors import InvalidInput
from geotarget.model import Hours, Profile
from geotarget.profile_files import MOST_ROW_BYTES, rows_of

NDJSON, CSV = "application/x-ndjson", "text/csv"


def read(data: bytes | Iterable[bytes], media: str) -> list[tuple[int, Any]]:
    """Return what each row says, by its line: a profile and its links, or paths of problems."""
    pieces = [data] if isinstance(data, bytes) else data
    told: list[tuple[int, Any]] = []
    for row in rows_of(pieces, media):
        try:
            told.append((row.line, row.read()))
        except InvalidInput as error:
            told.append((row.line, [(each.path, each.value) for each in error.problems]))
    return told


def test_a_row_of_ndjson_is_a_profile() -> None:
    """Every member; devices that are left out keep the links as they are; empty lines are none."""
    data = (
        b'{"id": "a", "attributes": {"n": [1, {"b": null}]}, "consent": {"marketing": true},'
        b' "external_ids": {"crm": "1"}, "devices": ["d2", "d1", "d2"],'
        b' "quiet_hours": {"from": "22:00", "to": "07:00"}}\r\n\n{"id": "b"}'
    )
    full = Profile(
        "a",
        {"n": [1, {"b": None}]},
        {"marketing": True},
        {"crm": "1"},
        ("d2", "d1"),
        Hours("22:00", "07:00"),
    )
    assert [(1, (full, False)), (3, (Profile("b"), True))] == read(data, NDJSON)


def test_a_row_of_csv_is_the_same_profile() -> None:
    """Columns by name, quoted cells with commas and line breaks, a byte order mark."""
    data = (
        "\ufeffid,first_name,attributes.id,consent.marketing,external_ids.crm,devices,quiet_hours\r\n"
        'a,"Aino, ""the\nfirst""",7,yes,0011,d2 d1,22:00-07:00\r\n'
        "b,,,no,,,\r\n"
    ).encode()
    full = Profile(
        "a",
        {"first_name": 'Aino, "the\nfirst"', "id": 7},
        {"marketing": True},
        {"crm": "0011"},
        ("d2", "d1"),
        Hours("22:00", "07:00"),
    )
    plain = Profile("b", {}, {"marketing": False})
    assert [(2, (full, False)), (4, (plain, True))] == read(data, CSV)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("gold", "gold"),
        ("7", 7),
        ("-2.50", -2.5),
        ("00123", "00123"),
        ("+358 40 123", "+358 40 123"),
        ("true", True),
        ("True", "True"),
        ("null", None),
        ("nullable", "nullable"),
        ('["a", 1]', ["a", 1]),
        ('{"a": {}}', {"a": {}}),
        ('"7"', "7"),
        ("{name}", "{name}"),
        ("2026-01-01", "2026-01-01"),
        (" x ", " x "),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
    ],
)
def test_cells_of_attributes_are_json_where_they_can_be(cell: str, value: Any) -> None:
    """The documented rule: what is JSON is that value, all else is text."""
    quoted = '"' + cell.replace('"', '""') + '"'
    ((_, (profile, _)),) = read(f"id,x\np,{quoted}\n".encode(), CSV)
    assert ({"x": value}, type(value)) == (profile.attributes, type(profile.attributes["x"]))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"{", "$"),
        (b"[]", "$"),
        (b'"a"', "$"),
        (b"\xff", "$"),
        (b'{"a": NaN}', "$"),
        (b"[" * 5_000, "$"),
        (b"{}", "$.id"),
        (b'{"id": 7}', "$.id"),
        (b'{"id": "a//b"}', "$.id"),
        (b'{"id": "p", "name": 1}', "$.name"),
        (b'{"id": "p", "attributes": []}', "$.attributes"),
        (b'{"id": "p", "attributes": {"a": ["\\u0000"]}}', "$.attributes.a[0]"),
        (b'{"id": "p", "attributes": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}", "$.attributes.a"),
        (b'{"id": "p", "consent": {"marketing": "yes"}}', "$.consent.marketing"),
        (b'{"id": "p", "consent": {"": true}}', "$.consent"),
        (b'{"id": "p", "external_ids": {"crm": 7}}', "$.external_ids.crm"),
        (b'{"id": "p", "devices": "d"}', "$.devices"),
        (b'{"id": "p", "devices": ["d", 7]}', "$.devices[1]"),
        (b'{"id": "p", "quiet_hours": "22-7"}', "$.quiet_hours"),
        (b'{"id": "p", "quiet_hours": {"from": "24:00", "to": "07:00"}}', "$.quiet_hours"),
    ],
)
def test_a_row_that_is_none_says_where(line: bytes, path: str) -> None:
    """The others are read; the line is the row's."""
    told = read(b'{"id": "a"}\n' + line + b'\n{"id": "b"}\n', NDJSON)
    assert [1, 2, 3] == [number for number, _ in told]
    ((found, _), *_) = told[1][1]
    assert found.startswith(path)
    assert (Profile("b"), True) == told[2][1]


@pytest.mark.parametrize(
    ("row", "path", "value"),
    [
        (b"p", "$", "p"),
        (b"p,1,yes,x", "$", "p,1,yes,x"),
        (b",1,yes", "$.id", ""),
        (b"p,1,perhaps", "$.consent.marketing", "perhaps"),
        (b"p,\xff,yes", "$.attributes.n", "\ufffd"),
    ],
)
def test_a_row_of_csv_that_is_none_says_where(row: bytes, path: str, value: str) -> None:
    """Too few or too many cells, values that are none, bytes that are no text."""
    told = read(b"id,n,consent.marketing\na,1,yes\n" + row + b"\nb,1,no\n", CSV)
    assert [2, 3, 4] == [number for number, _ in told]
    assert [(path, value)] == told[1][1]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("name,tier", "one of them id"),
        ("id,id", "names a column twice"),
        ("id,tier,attributes.tier", "names a column twice"),
        ("id,consent.", "needs a name"),
        ("id,,x", "needs a name"),
        ("", "one of them id"),
    ],
)
def test_a_file_without_usable_columns_is_refused(header: str, said: str) -> None:
    """Before any row is read."""
    with pytest.raises(InvalidInput, match=said):
        read(f"{header}\na,b\n".encode(), CSV)


@pytest.mark.parametrize(
    ("media", "start"), [(NDJSON, b""), (CSV, b"id\n"), (CSV, b'id,x\na,"')], ids=str
)
def test_a_row_without_an_end_is_not_kept(media: str, start: bytes) -> None:
    """Whoever sends one line of a gigabyte is stopped at the bound of a row."""
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        yield start
        while True:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    with pytest.raises(InvalidInput, match=str(MOST_ROW_BYTES)):
        read(pieces(), media)
    assert sent <= 2 * MOST_ROW_BYTES


@given(
    st.lists(st.integers(0, 200), max_size=30),
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), max_size=8),
)
def test_where_the_pieces_are_cut_makes_no_difference(cuts: list[int], names: list[str]) -> None:
    """Also through a character or a quote."""
    rows = ['p{},"{}"'.format(n, name.replace('"', '""')) for n, name in enumerate(names)]
    data = "\n".join(["id,name", *rows]).encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert read(data, CSV) == read(pieces, CSV)
    assert len(names) == len(read(pieces, CSV))
