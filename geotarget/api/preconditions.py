"""``If-Match`` and ``If-None-Match``: a change that counts only for what its author has seen.

A resource with versions answers with its version as a strong ETag. Whoever sends that back in
``If-Match`` overwrites nobody: the store compares inside the transaction of the change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header

from geotarget.errors import InvalidInput, Problem

_TAGS = re.compile(r'(W/)?"([0-9]{1,10})"')


def etag(version: int) -> str:
    """Return a version as it stands in the header.

    Examples
    --------
    >>> etag(3)
    '"3"'
    """
    return f'"{version}"'


def only_if(
    if_match: Annotated[
        str | None,
        Header(
            max_length=20,
            description="The `ETag` of an answer: change only what is still at this version. `*`: "
            "only what exists. Otherwise 412.",
            examples=['"3"'],
        ),
    ] = None,
    if_none_match: Annotated[
        str | None,
        Header(
            max_length=20,
            description="`*`: only create, never replace. Otherwise 412.",
            examples=["*"],
        ),
    ] = None,
) -> Callable[[int], bool]:
    """Return what says of a stored version, 0 for none, whether a request was made for it.

    Examples
    --------
    >>> only_if('"3"')(3), only_if('"3"')(4), only_if("*")(0), only_if(None, "*")(0)
    (True, False, False, True)
    """
    problems = []
    wanted = None
    if if_match not in (None, "*"):
        found = _TAGS.fullmatch(if_match or "")
        if found is None:
            reason = 'must be the ETag of an answer, such as "3", or *'
            problems.append(Problem("If-Match", str(if_match), reason))
        else:
            wanted = int(found[2])
    if if_none_match not in (None, "*"):
        reason = "must be *: never replace; for one version there is If-Match"
        problems.append(Problem("If-None-Match", str(if_none_match), reason))
    if problems:
        raise InvalidInput(*problems)

    def holds(version: int) -> bool:
        if if_none_match is not None and version:
            return False
        return if_match is None or (version == wanted if wanted is not None else version > 0)

    return holds


OnlyIf = Annotated[Callable[[int], bool], Depends(only_if)]
"""A handler's parameter that says of the stored version, 0 for none, whether to go on."""
