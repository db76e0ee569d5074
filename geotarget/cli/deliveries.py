"""``geotarget deliveries``: what went out, what did not and why, and once more.

On the database directly, as `keys`: a sender that runs takes what is replayed within a second.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from geotarget.cli.options import Data, Database, example, open_store
from geotarget.cli.times import read_instant_ms
from geotarget.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from geotarget.model import Attempt
    from geotarget.store import DeliveryDetail, DeliveryRow, Store

ACTOR = "cli"
PAGE = 1_000

app = typer.Typer(
    help="See what was posted to endpoints, and post it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget deliveries list --state failed --from -2h"),
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The webhook-id, from deliveries list.")]
OfEndpoint = Annotated[
    str | None, typer.Option("--endpoint", metavar="ID", help="Only to this endpoint.")
]
OfCampaign = Annotated[
    str | None, typer.Option("--campaign", metavar="ID", help="Only offers of this campaign.")
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Made before. Default: now.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, as the API says it.", show_default=False)]


@app.command(
    name="list",
    short_help="List deliveries.",
    epilog=example(
        "geotarget deliveries list --state failed --from -2h",
        "geotarget deliveries list --endpoint crm --type transition.enter --limit 1000 --json",
    ),
)
def show_list(
    *,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only pending, delivered, failed or expired ones."),
    ] = None,
    endpoint: OfEndpoint = None,
    campaign: OfCampaign = None,
    device: Annotated[str | None, typer.Option(metavar="ID", help="Only of this device.")] = None,
    zone: Annotated[str | None, typer.Option(metavar="ID", help="Only of this zone.")] = None,
    type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Only this type, such as offer.triggered.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Made at this time or later: ISO 8601, epoch seconds, or a span ago (-2h).",
        ),
    ] = None,
    to: To = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Most of them.")] = 20,
    as_json: Json = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """List deliveries, newest first; with --json one a line."""
    _check_state(state)
    now_ms = _now_ms()
    from_ms = None if since is None else read_instant_ms(since, "--from", now_ms=now_ms)
    to_ms = None if to is None else read_instant_ms(to, "--to", now_ms=now_ms)
    found: list[DeliveryRow] = []
    cursor: str | None = None
    with open_store(data, database, create=False) as store:
        while len(found) < limit:
            page = store.deliveries_page(
                device=device,
                zone=zone,
                campaign=campaign,
                endpoint=endpoint,
                type=type,
                state=state,
                from_ms=from_ms,
                to_ms=to_ms,
                limit=min(PAGE, limit - len(found)),
                cursor=cursor,
            )
            found += page.items
            cursor = page.next
            if cursor is None:
                break
    if as_json:
        from geotarget.api.deliveries import DeliveryAnswer  # noqa: PLC0415 loads the whole API

        for row in found:
            typer.echo(DeliveryAnswer.of(row).model_dump_json())
        return
    _table(found)
    if cursor is not None:
        typer.echo(f"there are more than {limit:,}: --limit N shows them", err=True)


@app.command(
    short_help="Show what was posted, and how that went.",
    epilog=example("geotarget deliveries show offer_019b79a2c0fa9e01"),
)
def show(
    id: Id,
    *,
    endpoint: OfEndpoint = None,
    as_json: Json = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Show an event: to which endpoints, with which headers and body, and every attempt.

    Of an answer the first KiB was kept. The signature is made anew for each attempt.
    """
    with open_store(data, database, create=False) as store:
        found = [each for each in store.delivery(id) if endpoint in (None, each.delivery.endpoint)]
    if not found:
        raise NotFound("delivery", id)
    if as_json:
        from geotarget.api.deliveries import DeliveryDetailAnswer  # noqa: PLC0415 as above

        for each in found:
            typer.echo(DeliveryDetailAnswer.of_detail(each).model_dump_json())
        return
    for each in found:
        _show(each)


@app.command(
    short_help="Send again: one event, or all that failed.",
    epilog=example(
        "geotarget deliveries replay offer_019b79a2c0fa9e01 --endpoint crm",
        "geotarget deliveries replay --failed --since 2h --endpoint crm --yes",
        "geotarget deliveries replay --state pending --since 1d --yes",
    ),
)
def replay(
    id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The webhook-id of one event.")
    ] = None,
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed.", show_default=False)
    ] = False,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="All of this state; may be given repeatedly. pending: those that wait for a later "
            "attempt. expired: offers, although they are out of date.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Made since: a span (2h) or a time, as of list --from."),
    ] = None,
    to: To = None,
    endpoint: OfEndpoint = None,
    campaign: OfCampaign = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most of them, the oldest first.")
    ] = 100_000,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Send again: the same bytes under the same webhook-id, so that receivers recognise them.

    What waits already, goes to a deleted endpoint, or is an expired offer is left out; one event
    by its ID goes out in any case. Many go out in the order in which they were made.
    """
    states = [*(["failed"] if failed else []), *(state or [])]
    if (id is None) == (not states):
        raise InvalidInput(Problem("--failed", "", "give either an ID, or --failed or --state"))
    if id is not None:
        if since is not None or to is not None or campaign is not None:
            raise InvalidInput(Problem("ID", id, "an event has no --since, --to or --campaign"))
        _replay_one(id, endpoint, data, database)
        return
    if since is None:
        raise InvalidInput(Problem("--since", "", "say since when, such as --since 2h"))
    for each in states:
        _check_state(each)
    from geotarget.store import Replay  # noqa: PLC0415 the help does not need it

    now_ms = _now_ms()
    with open_store(data, database, create=False) as store:
        if endpoint is not None and store.endpoint(endpoint) is None:
            raise NotFound("endpoint", endpoint)
        wanted = Replay(
            from_ms=_since_ms(since, now_ms),
            to_ms=None if to is None else read_instant_ms(to, "--to", now_ms=now_ms),
            states=frozenset(states),
            endpoint=endpoint,
            campaign=campaign,
            limit=limit,
        )
        if not yes:
            _ask(store.replayable(wanted, now_ms=now_ms))
        done = store.replay(wanted, now_ms=now_ms)
        _note(store, endpoint or "", done.requeued)
    typer.echo(f"sent again: {done.requeued:,}")
    if done.next is not None:
        typer.echo("there are more: the same command goes on", err=True)


def _replay_one(id: str, endpoint: str | None, data: Path | None, database: str | None) -> None:
    with open_store(data, database, create=False) as store:
        requeued = store.requeue(id, endpoint, now_ms=_now_ms())
        if not requeued:
            raise NotFound("delivery", id)
        _note(store, id, requeued)
    typer.echo(f"sent again: {requeued:,}")


def _note(store: Store, subject: str, requeued: int) -> None:
    """Put it into the audit log."""
    if requeued:
        store.add_audit(ACTOR, "delivery.replay", subject, {"count": requeued})


def _ask(count: int) -> None:
    """Let a person say yes; nobody can where there is no terminal."""
    if not count:
        return
    if not sys.stdin.isatty():
        reason = f"{count:,} deliveries would be sent again: add --yes"
        raise InvalidInput(Problem("--yes", "", reason))
    typer.confirm(f"Send {count:,} deliveries again?", abort=True)


def _since_ms(text: str, now_ms: int) -> int:
    """Return the instant that ``2h`` (ago) or a time stands for."""
    span = text[-1:].isalpha() and text[:1].isdigit() and not text.endswith("Z")
    return read_instant_ms(f"-{text}" if span else text, "--since", now_ms=now_ms)


def _check_state(state: str | None) -> None:
    known = ("pending", "delivered", "failed", "expired")
    if state is not None and state not in known:
        raise InvalidInput(Problem("--state", state[:40], f"must be one of {', '.join(known)}"))


def _table(rows: list[DeliveryRow]) -> None:
    rest = ("endpoint", "type", "made", "state", "attempts", "status")
    table = Table(Column("id", no_wrap=True), *rest, box=None)
    for row in rows:
        table.add_row(
            row.webhook_id,
            row.endpoint,
            row.type,
            _moment(row.created_ms),
            row.state,
            str(row.attempts),
            "" if row.status is None else str(row.status),
        )
    Console().print(table if rows else "No delivery.")


def _show(detail: DeliveryDetail) -> None:
    """Print a delivery; what a receiver answered may not steer the terminal."""
    row = detail.delivery
    last = detail.attempts[-1] if detail.attempts else None
    when = "of each attempt" if last is None else f"{last.started_ms // 1000} (last attempt)"
    waits = ", waits for an earlier one of its device"
    if row.state != "pending":
        waits = ""
    elif row.next_attempt_ms is not None:
        waits = f", next attempt {_moment(row.next_attempt_ms)}"
    expires = "" if row.expires_ms is None else f", expires {_moment(row.expires_ms)}"
    body = json.dumps(json.loads(detail.body), indent=2, ensure_ascii=False)
    lines = (
        f"{row.endpoint}: {row.state} after {row.attempts} attempts{waits}",
        f"{row.type}, made {_moment(row.created_ms)}{expires}",
        "",
        "content-type: application/json",
        f"webhook-id: {row.webhook_id}",
        f"webhook-timestamp: {when}",
        "",
        body,
        "",
        *(line for each in detail.attempts for line in _attempt(each)),
        *(() if detail.attempts else ("no attempt yet",)),
        "",
    )
    for line in lines:
        for part in line.split("\n"):
            typer.echo("".join(each if each.isprintable() else "?" for each in part))


def _attempt(attempt: Attempt) -> list[str]:
    came = attempt.error if attempt.status is None else f"status {attempt.status}"
    head = f"attempt {attempt.attempt}, {_moment(attempt.started_ms)}: {came}"
    tail = f"in {attempt.duration_ms:,} ms, then {attempt.state}"
    return [f"{head} {tail}", *(f"  {line}" for line in attempt.answer.splitlines())]


def _moment(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
