"""How far a node got, read from its own metrics: one source for Prometheus and the terminal."""

from __future__ import annotations

from geotarget import metrics
from geotarget.demo import Counters, Takings
from geotarget.runtime.node import Node


def _total(name: str, **labels: str) -> int:
    """Return a counter; over all its labels if none are given."""
    if labels:
        return int(metrics.REGISTRY.get_sample_value(name, labels) or 0)
    return int(
        sum(
            sample.value
            for family in metrics.REGISTRY.collect()
            if f"{family.name}_total" == name
            for sample in family.samples
            if sample.name == name
        )
    )


def counters(
    node: Node, takings: Takings | None = None, *, before: Counters | None = None
) -> Counters:
    """Return the counters of this moment; `takings` are those of the demo's till.

    What had happened `before`, in the day that the demo lives through at its first start, is not
    counted.
    """
    sold, before = takings or Takings(), before or Counters()
    return Counters(
        pings=_total("geotarget_pings_received_total"),
        rejected=_total("geotarget_pings_rejected_total"),
        entries=_total("geotarget_transitions_total", kind="enter") - before.entries,
        dwells=_total("geotarget_transitions_total", kind="dwell") - before.dwells,
        exits=_total("geotarget_transitions_total", kind="exit") - before.exits,
        inside=node.inside,
        zones=len(node.catalog.snapshot.index),
        offers=_total("geotarget_decisions_total", gate="fired") - before.offers,
        held_out=_total("geotarget_decisions_total", gate="holdout") - before.held_out,
        purchases=sold.purchases,
        revenue=sold.value,
        delivered=_total("geotarget_webhook_attempts_total", outcome="delivered"),
        pending=int(metrics.REGISTRY.get_sample_value("geotarget_outbox_pending") or 0),
    )
