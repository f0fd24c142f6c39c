"""A pipeline's status as Prometheus reads it (https://prometheus.io/docs/instrumenting/exposition_formats/).

Labels are `pipeline`, `sink` and `table`: as many series as the pipeline has sinks and captured tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tailrace.engine.status import TABLES
from tailrace.service.report import Report, RetentionReport, SinkReport

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float | None]]
"""Values of the labels behind `pipeline`, and the value; None: not known now, so there is no sample."""

_STATES: Final = ("starting", "streaming", "paused", "retrying", "stopping", "stopped")


@dataclass(frozen=True)
class Declared:
    """One metric. A counter's name gets `_total` behind it."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]  # behind `pipeline`
    samples: Callable[[Report], Samples]

    @property
    def exposed(self) -> str:
        """The name of its samples."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _of_sinks(value: Callable[[SinkReport], float | None]) -> Callable[[Report], Samples]:
    return lambda report: (((sink.name,), value(sink)) for sink in report.sinks)


def _states(report: Report) -> Samples:
    for state in _STATES:
        yield (state,), float(report.state == state)


def _tables(report: Report) -> Samples:
    for sink in report.sinks:
        for table, count in sink.tables.items():
            yield (sink.name, table), count


def _skipped(report: Report) -> Samples:
    for sink in report.sinks:
        for table, count in sink.skipped.items():
            yield (sink.name, table), count


def _retries(report: Report) -> Samples:
    yield ("",), report.retries + report.source.retries
    for sink in report.sinks:
        yield (sink.name,), sink.retries


def _kept(value: Callable[[RetentionReport], float | None]) -> Callable[[Report], Samples]:
    return lambda report: [((), value(kept) if (kept := report.source.retention) else None)]


DECLARED: Final = (
    Declared("tailrace_state", "gauge", "1 for the state that the pipeline is in.", ("state",), _states),
    Declared(
        "tailrace_ready",
        "gauge",
        "1 while the source streams and every sink takes what comes.",
        (),
        lambda report: [((), float(report.ready))],
    ),
    Declared(
        "tailrace_started_timestamp_seconds",
        "gauge",
        "When this run began.",
        (),
        lambda report: [((), report.started_at)],
    ),
    Declared(
        "tailrace_read_events",
        "counter",
        "Changes that were read from the database in this run, repeats included.",
        (),
        lambda report: [((), report.source.events)],
    ),
    Declared(
        "tailrace_events",
        "counter",
        f"Changes that became durable in the sink in this run; of the {TABLES} tables that changed last.",
        ("sink", "table"),
        _tables,
    ),
    Declared(
        "tailrace_skipped_records",
        "counter",
        "Records that the sink has left out in this run because its target does not take them and its "
        "settings say so; their changes count as durable.",
        ("sink", "table"),
        _skipped,
    ),
    Declared(
        "tailrace_bytes",
        "counter",
        "Bytes of log behind the changes that became durable in the sink in this run.",
        ("sink",),
        _of_sinks(lambda sink: sink.bytes),
    ),
    Declared(
        "tailrace_commits",
        "counter",
        "Commits of the sink in this run.",
        ("sink",),
        _of_sinks(lambda sink: sink.commits),
    ),
    Declared(
        "tailrace_retries",
        "counter",
        "Failures that were waited out in this run; sink is empty for the source and for starts.",
        ("sink",),
        _retries,
    ),
    Declared(
        "tailrace_lag_bytes",
        "gauge",
        "Bytes of log between the sink's durable position and the log's newest known end.",
        ("sink",),
        _of_sinks(lambda sink: sink.lag_bytes),
    ),
    Declared(
        "tailrace_lag_seconds",
        "gauge",
        "Age of the newest transaction that is durable in the sink; 0 where nothing waits for it.",
        ("sink",),
        _of_sinks(lambda sink: sink.lag_seconds),
    ),
    Declared(
        "tailrace_checkpoint_age_seconds",
        "gauge",
        "Seconds since the sink last committed.",
        ("sink",),
        _of_sinks(lambda sink: sink.checkpoint_age),
    ),
    Declared(
        "tailrace_kept_log_bytes",
        "gauge",
        "Bytes of log that the server keeps because the pipeline has not acknowledged them.",
        (),
        _kept(lambda kept: kept.kept_bytes),
    ),
    Declared(
        "tailrace_kept_log_free_bytes",
        "gauge",
        "Bytes that may still be written before the server throws away log that the pipeline needs; absent "
        "where the server has no limit.",
        (),
        _kept(lambda kept: kept.free_bytes),
    ),
    Declared(
        "tailrace_kept_log_full_seconds",
        "gauge",
        "Seconds until that happens, as the log grows and ages now; 0 where no room is left, else absent "
        "while it does neither.",
        (),
        _kept(lambda kept: kept.full_in_seconds),
    ),
)


def render(report: Report) -> bytes:
    """All metrics of one pipeline, as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(report))
    return generate_latest(registry)


class _Collector:
    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        for declared in DECLARED:
            labels = ("pipeline", *declared.labels)
            family: CounterMetricFamily | GaugeMetricFamily
            if declared.kind == "counter":
                family = CounterMetricFamily(declared.name, declared.help, labels=labels)
            else:
                family = GaugeMetricFamily(declared.name, declared.help, labels=labels)
            for values, value in declared.samples(self._report):
                if value is not None:
                    family.add_metric([self._report.name, *values], value)
            yield family
