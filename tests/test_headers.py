"""Headers of an endpoint: which are taken, and that none is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.errors import InvalidEndpoint
from geotarget.headers import HIDDEN, MOST_BYTES, check_headers, hide

VALUE = "Bearer tok-4711-hush"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": VALUE, "X-Shop": "7", "user-agent": "shop/1"},
        {"X!#$%&'*+-.^_`|~9": "a b\tc"},
        {"n" * 100: "v" * 1000},
        {f"x-{number}": "v" for number in range(20)},
    ],
)
def test_what_a_post_may_carry_is_taken(headers: dict[str, str]) -> None:
    """Tokens as names, visible ASCII as values, up to the bounds."""
    check_headers(headers)


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Type", "content-length", "Content-Encoding", "HOST", "Transfer-Encoding"),
        *("connection", "TE", "trailer", "Upgrade", "Expect", "Keep-Alive"),
        *("Proxy-Authorization", "proxy-x", "Webhook-Id", "webhook-signature", "WEBHOOK-anything"),
    ],
)
def test_what_is_ours_to_say_is_refused(name: str) -> None:
    """Body, connection and signature, in any case of letters."""
    with pytest.raises(InvalidEndpoint) as refused:
        check_headers({"X-Fine": VALUE, name: VALUE})
    (problem,) = refused.value.problems
    assert (f"$.headers.{name}", "this header is ours to send") == (problem.path, problem.reason)


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a\r\nx", "naïve", "(a)", "a\0", "\ud800", "x" * 101]
)
def test_names_are_tokens(name: str) -> None:
    """Of up to 100 characters; what can't be shown is escaped, and a longer one is cut."""
    with pytest.raises(InvalidEndpoint, match="the name of a header") as refused:
        check_headers({name: "v"})
    path = refused.value.problems[0].path
    assert path.isprintable()
    assert len(path.encode()) <= 115


@pytest.mark.parametrize(
    "value", ["", " a", "a ", "a\r\nX: b", "a\nb", "a\0", "é", "\t", "a\x7f", "v" * 1001]
)
def test_values_are_visible_ascii_and_not_repeated(value: str) -> None:
    """No second header comes in with a value; the message does not show it."""
    with pytest.raises(InvalidEndpoint, match="the value of a header") as refused:
        check_headers({"X-Token": value})
    (problem,) = refused.value.problems
    assert ("$.headers.X-Token", "") == (problem.path, problem.value)


def test_number_and_size_are_bounded() -> None:
    """Twenty of them, 8 KiB in all, each name once in whatever case."""
    with pytest.raises(InvalidEndpoint, match=r"may be at most 20 \(21 headers\)"):
        check_headers({f"x-{number}": "v" for number in range(21)})
    with pytest.raises(InvalidEndpoint, match=f"may have {MOST_BYTES} in all"):
        check_headers({f"x-{number}": "v" * 1000 for number in range(9)})
    with pytest.raises(InvalidEndpoint, match="named twice"):
        check_headers({"X-Token": "a", "x-token": "b"})


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40),
    st.text(max_size=50),
    st.text(max_size=50),
    st.integers(0, 150),
)
def test_a_value_is_hidden_wherever_it_stands(
    value: str, before: str, after: str, most: int
) -> None:
    """Whole or cut off by the end of what was kept, down to eight characters."""
    text = f"{before}{value}{after}"[:most]
    hidden = hide(text, {"X-Token": value})
    if value not in HIDDEN + HIDDEN:
        assert value not in hidden
    if value in text:
        assert HIDDEN in hidden


def test_words_of_a_value_are_hidden_and_the_rest_stays() -> None:
    """A receiver may send back the token without the word before it."""
    text = '{"token": "tok-4711-hush", "status": "Bearer of bad news"}'
    expected = '{"token": "[hidden]", "status": "Bearer of bad news"}'
    assert expected == hide(text, {"Authorization": VALUE, "X-Shop": "7"})
    assert "you sent [hidden]" == hide("you sent tok-4711-hu", {"Authorization": VALUE})
    assert "" == hide("", {"Authorization": VALUE})
