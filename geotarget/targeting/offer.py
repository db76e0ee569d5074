"""Personal content: a JSON document whose strings are Liquid templates.

Templates see ``profile`` (its attributes and ``id``), ``zone`` (``id``, ``name``, ``tags``,
``properties``), ``transition``, ``campaign`` and ``now``; never coordinates. What is undefined
renders as nothing, so that ``default`` can step in, but an unknown first name (``profle``) is an
error when the campaign is saved. Times are ISO 8601 in the zone's own time zone, and the ``date``
filter formats in it too. There is no clock, no randomness and no file behind a template: the same
transition renders the same bytes.

Who may write campaigns must not be able to stop ingest: text, lists and numbers are bounded, and
every loop iteration, look-up and filter is paid for from one budget per offer. Rendering costs
some 15 µs a string; a string without ``{{`` and ``{%`` costs nothing. Parsed templates are
remembered by their text, so a campaign is parsed once, not per decision.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from liquid import BoundTemplate, Environment, RenderContext
from liquid.exceptions import LiquidError
from liquid.filter import with_context
from liquid.output import LimitedStringIO
from liquid.token import Token
from liquid.undefined import is_undefined

from geotarget.errors import InvalidCampaign, Problem
from geotarget.targeting.case import Case, Refusal

ROOTS = ("profile", "zone", "transition", "campaign", "now")
"""The names that a template may start from."""

MAX_TEMPLATE_BYTES = 8 * 1024
MAX_OFFER_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_ITEMS = 1_000  # of a list or range inside a template
MAX_BITS = 1_024  # of a number inside a template
BUDGET = 10_000  # loop iterations and look-ups; a filter costs ten
_FILTER_COST = 10
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

    __slots__ = ("now", "spent", "time_zone")

    now: dt.datetime
    time_zone: ZoneInfo
    spent: list[int]  # one number, shared by the contexts of an offer

    def spend(self, amount: int) -> None:
        self.spent[0] += amount
        if self.spent[0] > BUDGET:
            message = f"does too much: more than {BUDGET} steps (a filter counts {_FILTER_COST})"
            raise LiquidError(message, token=None)

    def get(self, path: list[object], *, token: Token | None, **options: Any) -> object:
        self.spend(1)
        return super().get(path, token=token, **options)

    def assign(self, key: str, val: Any) -> None:
        self.spend(1)
        super().assign(key, val)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.spend(length)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        self.spend(_FILTER_COST)
        return partial(_bounded, name, super().filter(name, token))


class _Template(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Template
    context_depth_limit = 30
    loop_iteration_limit = MAX_ITEMS
    local_namespace_limit = 2 * MAX_OFFER_BYTES
    output_stream_limit = MAX_OFFER_BYTES


def validate_offer(template: Mapping[str, Any], *, path: str = "$.offer") -> None:
    """Check an offer template: JSON, size, syntax, filters and the names it starts from.

    Raises
    ------
    InvalidCampaign
        With one problem per string that is wrong: its JSON path, its line, and the reason.

    Examples
    --------
    >>> validate_offer({"text": "Hello {{ profile.first_name | default: 'you' }}"})
    """
    if not isinstance(template, Mapping):
        raise InvalidCampaign(Problem(path, repr(template)[:80], "an offer must be a JSON object"))
    problems = [
        Problem(place, shown, str(reason))
        for place, shown, reason in _problems(template, path, depth=1)
    ]
    if not problems:
        size = len(msgspec.json.encode(template))
        if size > MAX_TEMPLATE_BYTES:
            reason = f"an offer template may have {MAX_TEMPLATE_BYTES} bytes"
            problems.append(Problem(path, f"{size} bytes", reason))
    if problems:
        raise InvalidCampaign(*problems)


def gate(case: Case) -> Refusal | None:
    """Render the offer into the case, or refuse with the line and the reason."""
    try:
        case.offer = render(case)
    except TemplateError as error:
        return Refusal(
            f"the offer does not render: {error.path}, {error}",
            {"path": error.path, "line": error.line, "campaign_version": case.campaign.version},
        )
    return None


def render(case: Case) -> Mapping[str, Any]:
    """Fill in the campaign's offer for one transition and profile.

    Raises
    ------
    TemplateError
        If a string does not parse or render, or the whole exceeds 64 KiB of JSON.
    """
    filled = _fill(case.campaign.offer, "$.offer", _Filler(case))
    try:
        size = len(msgspec.json.encode(filled))
    except (TypeError, ValueError) as error:  # such as a lone surrogate
        raise TemplateError(f"is not JSON: {error}", None) from error
    if size > MAX_OFFER_BYTES:
        raise TemplateError(f"renders to {size} bytes, at most {MAX_OFFER_BYTES} may be", None)
    assert isinstance(filled, Mapping)
    return filled


class _Filler:
    """What the strings of one offer share; the scope is built when the first one needs it."""

    __slots__ = ("_case", "_now", "_scope", "_spent", "_zone")

    def __init__(self, case: Case) -> None:
        self._case = case
        self._scope: dict[str, Any] | None = None
        self._spent = [0]

    def __call__(self, text: str, path: str) -> str:
        if not _is_template(text):
            return text
        try:
            template = _parse(text)
            context = _Context(template, globals=self._globals())
            context.spent, context.now, context.time_zone = self._spent, self._now, self._zone
            out = LimitedStringIO(limit=MAX_OFFER_BYTES)
            template.render_with_context(context, out)
        except TemplateError as error:
            raise TemplateError(error.reason, error.line, path) from error
        except LiquidError as error:
            raise TemplateError(str(error.message), _line(error, text), path) from error
        except Exception as error:
            # Filters leak whatever Python raises for odd operands (OverflowError, ValueError,
            # RecursionError …). The author's mistake must end here, not in the pipeline.
            raise TemplateError(f"{type(error).__name__}: {error}", None, path) from error
        return out.getvalue()

    def _globals(self) -> dict[str, Any]:
        if self._scope is not None:
            return self._scope
        case = self._case
        transition, zone = case.transition, case.zone
        self._zone = ZoneInfo(zone.time_zone)
        self._now = _local(transition.decided_ms, self._zone)
        self._scope = {
            "profile": {**case.profile.attributes, "id": case.profile.id},
            "zone": {
                "id": zone.id,
                "name": zone.name,
                "tags": list(zone.tags),
                "properties": zone.properties,
            },
            "transition": {
                "id": transition.id,
                "visit": transition.visit,
                "kind": transition.kind.value,
                "time": _local(transition.ts_ms, self._zone).isoformat(timespec="seconds"),
                "confidence": transition.confidence,
                "p": transition.p,
                "initial": transition.initial,
                "dwell_s": transition.threshold_s,
                "duration_s": transition.duration_s,
            },
            "campaign": {"id": case.campaign.id, "name": case.campaign.name},
            "now": self._now.isoformat(timespec="seconds"),
        }
        return self._scope


def _fill(value: Any, path: str, fill: Callable[[str, str], str]) -> Any:
    if isinstance(value, str):
        return fill(value, path)
    if isinstance(value, Mapping):
        return {key: _fill(inner, _member(path, key), fill) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(inner, f"{path}[{place}]", fill) for place, inner in enumerate(value)]
    return value


def _problems(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, object]]:
    """Yield (path, what stood there, what is wrong) for everything wrong in a template."""
    if depth > MAX_DEPTH:
        yield path, "", f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, str):
        yield from _text_problems(value, path)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            wrong = _key_problem(key)
            if wrong:
                yield path, ascii(key)[:80], wrong
            else:
                yield from _problems(inner, _member(path, key), depth + 1)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _problems(inner, f"{path}[{place}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, str(value), "must be finite"
    elif not isinstance(value, bool | int | float | None):
        yield path, type(value).__name__, "is not JSON"


def _key_problem(key: object) -> str:
    if not isinstance(key, str) or not _is_unicode(key):
        return "a key must be a string"
    return "keys are not rendered; put templates into values" if _is_template(key) else ""


def _text_problems(text: str, path: str) -> Iterator[tuple[str, str, object]]:
    if not _is_unicode(text):
        yield path, ascii(text)[:80], "contains half of a surrogate pair"
    elif _is_template(text):
        try:
            _parse(text)
        except TemplateError as error:
            shown = text.split("\n")[(error.line or 1) - 1]
            yield path, shown.strip()[:80], error


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _member(path: str, key: str) -> str:
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"


@lru_cache(maxsize=_REMEMBERED)
def _parse(text: str) -> BoundTemplate:
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
    return template


def _line(error: LiquidError, text: str) -> int | None:
    if error.token is not None and error.token.start_index >= 0:
        return text.count("\n", 0, error.token.start_index) + 1
    return None if "\n" in text else 1


def _local(instant_ms: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(instant_ms / 1000, zone)


def _bounded(name: str, function: Callable[..., object], *args: Any, **options: Any) -> object:
    """Call a filter within bounds: what goes in, what would be multiplied, what comes out."""
    for value in args:
        _check(value)
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
    zone = context.time_zone
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
