"""How often entries and exits are true: a simulator with ground truth, and a score.

People and vehicles move along paths that are known at every second; phones report them with the
errors that phones make; each rule turns the same fixes into entries and exits, and these are
compared with what really happened. Everything is seeded.

    python -m benchmarks.entries             everything, results, page and pictures
    python -m benchmarks.entries --smoke     a short run that only proves that it works

Knows nothing of how the engine decides: it calls `geotarget.detect_transitions` as a notebook does.
"""
