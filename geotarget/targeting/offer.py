"""Personal content: a JSON document whose strings are Liquid templates, in several languages.

Templates see what `scope` lists: profile, behaviour, zone, visit, transition, campaign and now.
Which offer it is follows from the variant and from the profile's ``language``: the translation
whose tag fits best, or the offer itself. Rendering costs some 15 µs a string; a string without
``{{`` and ``{%`` costs nothing. What bounds it is in `template`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Campaign, Variant
from geotarget.targeting.case import Case, Refusal
from geotarget.targeting.scope import scope
from geotarget.targeting.template import (
    MAX_OFFER_BYTES,
    MAX_TEMPLATE_BYTES,
    Renderer,
    TemplateError,
    is_template,
    parse,
)

MAX_DEPTH = 16
MAX_LANGUAGES = 50
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


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


def validate_translations(
    translations: Mapping[str, Mapping[str, Any]], *, path: str = "$.translations"
) -> None:
    """Check offers in other languages: tags of BCP 47, and each offer as `validate_offer` does.

    Raises
    ------
    InvalidCampaign
        With one problem per thing that is wrong.

    Examples
    --------
    >>> validate_translations({"sv": {"text": "Hej"}, "pt-BR": {"text": "Oi"}})
    """
    problems: list[Problem] = []
    if len(translations) > MAX_LANGUAGES:
        reason = f"an offer may have {MAX_LANGUAGES} translations"
        raise InvalidCampaign(Problem(path, f"{len(translations)} translations", reason))
    seen: dict[str, str] = {}
    for tag, translated in translations.items():
        at = member(path, tag)
        if not _TAG.fullmatch(tag):
            reason = "must be a language tag of BCP 47, such as sv or pt-BR"
            problems.append(Problem(at, ascii(tag)[:80], reason))
        elif tag.lower() in seen:
            reason = f"is the same language as {seen[tag.lower()]}"
            problems.append(Problem(at, tag, reason))
        seen.setdefault(tag.lower(), tag)
        try:
            validate_offer(translated, path=at)
        except InvalidCampaign as error:
            problems += error.problems
    if problems:
        raise InvalidCampaign(*problems)


def gate(case: Case) -> Refusal | None:
    """Render the offer into the case, or refuse with the line and the reason."""
    try:
        case.offer = render(case)
    except TemplateError as error:
        inputs = {
            "path": error.path,
            "line": error.line,
            "campaign_version": case.campaign.version,
        }
        if case.language:
            inputs["language"] = case.language
        return Refusal(f"the offer does not render: {error.path}, {error}", inputs)
    return None


def render(case: Case) -> Mapping[str, Any]:
    """Fill in the offer of the case's variant in the profile's language, which the case is told.

    Raises
    ------
    TemplateError
        If a string does not parse or render, or the whole exceeds 64 KiB of JSON.
    """
    wanted = case.profile.attributes.get("language")
    offer, case.language, path = chosen(case.campaign, case.variant, wanted)
    filled = _fill(offer, path, Renderer(lambda name: scope(case, name), case.moment.local))
    try:
        size = len(msgspec.json.encode(filled))
    except (TypeError, ValueError) as error:  # such as a lone surrogate
        raise TemplateError(f"is not JSON: {error}", None, path) from error
    if size > MAX_OFFER_BYTES:
        reason = f"renders to {size} bytes, at most {MAX_OFFER_BYTES} may be"
        raise TemplateError(reason, None, path)
    assert isinstance(filled, Mapping)
    return filled


def chosen(
    campaign: Campaign, variant: Variant | None, language: object
) -> tuple[Mapping[str, Any], str, str]:
    """Return the offer of a variant in a language, the tag of what was found, and its path.

    Parameters
    ----------
    variant
        None for the campaign's own offer.
    language
        What the profile's attribute says; anything.
    """
    if variant is None:
        offer, translations, path = campaign.offer, campaign.translations, "$"
    else:
        offer, translations = variant.offer, variant.translations
        path = f"$.variants[{campaign.variants.index(variant)}]"
    tag = pick_language(language, translations)
    if tag:
        return translations[tag], tag, member(f"{path}.translations", tag)
    return offer, "", f"{path}.offer"


def pick_language(language: object, translations: Mapping[str, object]) -> str:
    """Return the tag that fits a language best; empty if none does.

    The look-up of RFC 4647: the tag itself, then shorter and shorter beginnings of it.

    Examples
    --------
    >>> pick_language("sv_FI", {"sv": {}, "en": {}}), pick_language("fi", {"sv": {}})
    ('sv', '')
    """
    if not translations or not isinstance(language, str):
        return ""
    known = {tag.lower(): tag for tag in translations}
    parts = language[:_LONGEST_TAG].strip().lower().replace("_", "-").split("-")
    while parts:
        found = known.get("-".join(parts))
        if found is not None:
            return found
        parts.pop()
        if parts and len(parts[-1]) == 1:  # what a single letter introduces is gone
            parts.pop()
    return ""


_LONGEST_TAG = 64


def _fill(value: Any, path: str, fill: Callable[[str, str], str]) -> Any:
    if isinstance(value, str):
        return fill(value, path)
    if isinstance(value, Mapping):
        return {key: _fill(inner, member(path, key), fill) for key, inner in value.items()}
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
                yield from _problems(inner, member(path, key), depth + 1)
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
    return "keys are not rendered; put templates into values" if is_template(key) else ""


def _text_problems(text: str, path: str) -> Iterator[tuple[str, str, object]]:
    if not _is_unicode(text):
        yield path, ascii(text)[:80], "contains half of a surrogate pair"
    elif is_template(text):
        try:
            parse(text)
        except TemplateError as error:
            shown = text.split("\n")[(error.line or 1) - 1]
            yield path, shown.strip()[:80], error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def member(path: str, key: str) -> str:
    """Return the JSON path of an object's member."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"
