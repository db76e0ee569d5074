"""Liquid within bounds: one string in, text out, whatever its author and its data are up to.

What is undefined renders as nothing, so that ``default`` can step in, but an unknown first name
(``profle``) is an error when the template is parsed. There is no clock, no randomness and no file
behind a template: the same scope renders the same bytes. The ``date`` filter formats in a time
zone that the caller names, and its "now" is the caller's time.

Who may write templates must not be able to stop ingest: text, lists and numbers are bounded, and
every loop iteration, look-up and filter is paid for from one budget per offer, filters by the size
of what they work on. Rendering costs some 15 µs a string; a string without ``{{`` and ``{%`` costs
nothing. Parsed templates are remembered by their text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, NamedTuple

from liquid import BoundTemplate, Environment, RenderContext
from liquid.exceptions import LiquidError
from liquid.filter import with_context
from liquid.output import LimitedStringIO
from liquid.token import Token
from liquid.undefined import is_undefined

ROOTS = ("profile", "behaviour", "zone", "visit", "transition", "campaign", "now")
"""The names that a template may start from."""

MAX_TEMPLATE_BYTES = 8 * 1024
MAX_OFFER_BYTES = 64 * 1024
MAX_ITEMS = 1_000  # of a list or range inside a template
MAX_BITS = 1_024  # of a number inside a template
BUDGET = 10_000  # loop iterations and look-ups; a filter costs ten, and more on long texts
_FILTER_COST = 10
# a step takes some 5 µs; what one step pays for:
_TEXT_A_STEP = 100  # characters that a filter works on, or that are written
_TEXT_AT_ONCE = 1_000  # characters that are compared or searched
_ITEMS_AT_ONCE = 30  # items of a list that are looked at
_INSIDE_A_STEP = 50  # characters within the tags of a template that are gone through
_REMEMBERED = 4_096  # parsed templates: about 10 KiB each at most
_NO_TAGS = ("include", "render")  # there are no other templates to include


class TemplateError(Exception):
    """A template that can't be parsed or rendered; `line` is None where nobody knows it."""

    def __init__(self, reason: str, line: int | None, path: str = "$.offer") -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.path = path

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class _Context(RenderContext):
    """Liquid's context with a budget over all strings of an offer, and the decision's time."""

    __slots__ = ("now", "spent", "weight")

    now: dt.datetime
    spent: list[int]  # one number, shared by the contexts of an offer
    weight: int  # steps that one turn of a loop takes: the whole string may be in it

    def spend(self, amount: int) -> None:
        self.spent[0] += amount
        if self.spent[0] > BUDGET:
            message = f"does too much: more than {BUDGET} steps (a filter counts {_FILTER_COST})"
            raise LiquidError(message, token=None)

    def get(self, path: list[object], *, token: Token | None, **options: Any) -> object:
        self.spend(1)
        found = super().get(path, token=token, **options)
        # whatever is done with it takes time by its size
        if isinstance(found, str):
            self.spend(len(found) // _TEXT_AT_ONCE)
        elif isinstance(found, list | tuple | Mapping):
            self.spend(len(found) // _ITEMS_AT_ONCE)
        return found

    def get_buffer(self, buf: object = None) -> LimitedStringIO:
        return _Buffer(self, getattr(buf, "limit", MAX_OFFER_BYTES) - getattr(buf, "size", 0))

    def assign(self, key: str, val: Any) -> None:
        self.spend(1)
        super().assign(key, val)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.spend(length * self.weight)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        self.spend(_FILTER_COST)
        return partial(_bounded, self, name, super().filter(name, token))


class _Buffer(LimitedStringIO):
    """Output that is paid for: an object becomes a text of any length without further look-ups."""

    def __init__(self, context: _Context, limit: int) -> None:
        super().__init__(limit)
        self._context = context

    def write(self, text: str) -> int:
        self._context.spend(len(text) // _TEXT_A_STEP)
        return int(super().write(text))


class _Template(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Template
    context_depth_limit = 30
    loop_iteration_limit = MAX_ITEMS
    local_namespace_limit = 2 * MAX_OFFER_BYTES
    output_stream_limit = MAX_OFFER_BYTES


class Parsed(NamedTuple):
    """A template, the names that it starts from, and the steps that going through it once takes."""

    template: BoundTemplate
    names: frozenset[str]
    weight: int


class Renderer:
    """Renders the strings of one offer: they share one scope and one budget.

    Parameters
    ----------
    scope
        Given a name of `ROOTS`, returns its value; called once a name, when a string needs it.
    now
        What the ``date`` filter takes for now, with its time zone.
    """

    __slots__ = ("_known", "_now", "_scope", "_spent")

    def __init__(self, scope: Callable[[str], Any], now: dt.datetime) -> None:
        self._scope = scope
        self._now = now
        self._known: dict[str, Any] = {}
        self._spent = [0]

    def __call__(self, text: str, path: str) -> str:
        """Return a string filled in; `path` is where it stands, for the error.

        Raises
        ------
        TemplateError
            It does not parse, does not render, or does too much.
        """
        if not is_template(text):
            return text
        try:
            parsed = parse(text)
            for name in parsed.names:
                if name not in self._known:
                    self._known[name] = self._scope(name)
            context = _Context(parsed.template, globals=self._known)
            context.spent, context.now = self._spent, self._now
            context.weight = parsed.weight
            context.spend(parsed.weight)
            out = _Buffer(context, MAX_OFFER_BYTES)
            parsed.template.render_with_context(context, out)
        except TemplateError as error:
            raise TemplateError(error.reason, error.line, path) from error
        except LiquidError as error:
            raise TemplateError(str(error.message), _line(error, text), path) from error
        except Exception as error:
            # Filters leak whatever Python raises for odd operands (OverflowError, ValueError,
            # RecursionError …). The author's mistake must end here, not in the pipeline.
            raise TemplateError(f"{type(error).__name__}: {error}", None, path) from error
        return out.getvalue()


def is_template(text: str) -> bool:
    """Return whether a string has anything to fill in."""
    return "{{" in text or "{%" in text


@lru_cache(maxsize=_REMEMBERED)
def parse(text: str) -> Parsed:
    """Parse one string and check its names and filters; raises TemplateError."""
    if len(text) > MAX_TEMPLATE_BYTES:
        raise TemplateError(f"longer than {MAX_TEMPLATE_BYTES} characters", None)
    try:
        template = _ENVIRONMENT.from_string(text)
        found = template.analyze(include_partials=False)
    except RecursionError as error:
        raise TemplateError("nested too deep", None) from error
    except LiquidError as error:
        if isinstance(error.__cause__, RecursionError):
            raise TemplateError("nested too deep", None) from error
        raise TemplateError(str(error.message), _line(error, text)) from error
    for name, uses in found.globals.items():
        if name not in ROOTS:
            reason = f"unknown name {name!r}; there are {', '.join(ROOTS)}"
            raise TemplateError(reason, text.count("\n", 0, uses[0].span.index) + 1)
    for name, places in found.filters.items():
        if name not in _ENVIRONMENT.filters:
            reason = f"unknown filter {name!r}"
            raise TemplateError(reason, text.count("\n", 0, places[0].index) + 1)
    inside = sum(map(len, _INSIDE.findall(text)))
    return Parsed(template, frozenset(found.globals), 1 + inside // _INSIDE_A_STEP)


_INSIDE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)


def _line(error: LiquidError, text: str) -> int | None:
    if error.token is not None and error.token.start_index >= 0:
        return text.count("\n", 0, error.token.start_index) + 1
    return None if "\n" in text else 1


def _bounded(
    context: _Context, name: str, function: Callable[..., object], *args: Any, **options: Any
) -> object:
    """Call a filter within bounds: what goes in, what would be multiplied, what comes out."""
    for value in args:
        _check(value)
        if isinstance(value, str | list | tuple | dict):
            context.spend(len(value) // (_TEXT_A_STEP if isinstance(value, str) else 1))
    if name in _MULTIPLYING and len(args) > 1:
        left, by = args[0], args[-1]
        if isinstance(left, list | tuple):
            times = len(left)
        else:
            times = str(left).count(str(args[1])) if name == "replace" else 1
        if times * len(str(by)) > MAX_OFFER_BYTES:
            raise LiquidError(f"{name} would make more than {MAX_OFFER_BYTES} bytes", token=None)
    result = function(*args, **options)
    _check(result)
    if isinstance(result, str):
        context.spend(len(result) // _TEXT_A_STEP)
    return result


_MULTIPLYING = frozenset({"replace", "join"})


def _check(value: object) -> None:
    if isinstance(value, str):
        if len(value) > MAX_OFFER_BYTES:
            raise LiquidError(f"text of more than {MAX_OFFER_BYTES} characters", token=None)
    elif isinstance(value, list | tuple | dict):
        if len(value) > MAX_ITEMS:
            raise LiquidError(f"a list of more than {MAX_ITEMS} items", token=None)
    elif isinstance(value, range):
        if value.stop - value.start > MAX_ITEMS:
            raise LiquidError(f"a range of more than {MAX_ITEMS} items", token=None)
    elif isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise LiquidError(f"a number of more than {MAX_BITS} bits", token=None)
    elif isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > MAX_BITS:
        raise LiquidError("a number beyond any use", token=None)


@with_context
def _date(value: object, pattern: object = None, *, context: _Context) -> object:
    """Liquid's ``date`` in the zone's time zone, without a clock: "now" is the decision's time."""
    if is_undefined(value) or value is None:
        return ""
    if pattern is None or is_undefined(pattern):
        return str(value)
    moment = _moment(value, context)
    return value if moment is None else moment.strftime(str(pattern))


def _moment(value: object, context: _Context) -> dt.datetime | None:
    """Read epoch seconds or ISO 8601; None for anything else, which stays as it is."""
    zone = context.now.tzinfo
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, zone)
    text = str(value).strip()
    if text in ("now", "today"):
        return context.now
    try:
        if text.isascii() and text.isdigit():
            # eight digits are a date for ISO 8601, but seconds for Liquid
            return dt.datetime.fromtimestamp(int(text), zone)
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _environment() -> Environment:
    environment = _Environment()
    for tag in _NO_TAGS:
        del environment.tags[tag]
    environment.add_filter("date", _date)
    return environment


_ENVIRONMENT = _environment()
