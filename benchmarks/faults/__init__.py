"""The fault suite: what is lost, doubled or changed when things die, fill up, lie or hang.

    python -m benchmarks.faults                 all rows, half an hour; writes the page's table
    python -m benchmarks.faults kill-9          one row; renews it in the table
    python -m benchmarks.faults kill-9 --quick  the same, small; writes nothing

Each row starts the real thing (`geotarget up`, its broker, a receiver in a process of its own),
lets phones publish, breaks something, mends it, and then compares what the receiver has stored
with what was owed. What is owed is computed from the acknowledged pings without geotarget.
"""
