"""The figures as aligned plain text: medians of the repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.outbox.measure import Outbox
from benchmarks.rpc.measure import Rates
from benchmarks.store.measure import Batch, Batches, percentile

#: Other people's, of which the store has a stand-in: a payment provider and a mail server.
_STAND_INS = ("provider", "mailbox")
#: The load generator, which takes the mails too.
_LOAD = "load"


def rpc(rates: Rates) -> str:
    """Round trips a second and how ours compare."""
    rows = []
    for concurrency in rates["ours"]:
        ours, stock, raw = (median(rates[variant][concurrency]) for variant in ("ours", "stock", "raw"))
        rows.append([f"{concurrency} at once", ours, stock, raw, ours / stock, ours / raw])
    head = ["", "ours", "stock nameko", "raw py-amqp", "ours/stock", "ours/raw"]
    return _table("RPC round trips a second", head, rows)


def outbox(events: Outbox) -> str:
    """Events a second and how ours compare; how long one takes while there is nothing else to do."""
    ours, bare = (median(events.rates[variant]) for variant in ("ours", "bare"))
    rates = _table("Events a second, from commit to handled", ["", "ours", "bare py-amqp", "ours/bare"],
                   [["one producer, one consumer", ours, bare, ours / bare]])  # fmt: skip
    return rates + "\n" + _delays("From commit to handled on an idle system, ms", [("one at a time", events.delays_s)])


def store(checkouts: Batches, followed: Batches) -> str:
    """The tables of those parts that were measured."""
    tables = []
    if checkouts:
        tables += [_throughput(checkouts), _cost(checkouts)]
    if followed:
        tables.append(_delays("From the 201 to the card mail, ms; each client waits for its mail", _mails(followed)))
    return "\n".join(tables)


def plain(batches: Batches) -> dict[int, list[dict[str, Any]]]:
    """Every batch as it was, for JSON."""
    return {concurrency: [asdict(batch) for batch in found] for concurrency, found in batches.items()}


def _throughput(checkouts: Batches) -> str:
    rows = []
    for concurrency, found in checkouts.items():
        rates = [batch.rate for batch in found]
        rows.append([f"{concurrency} at once", median(rates), min(rates), max(rates)])
    title = "From the 201 to the card mail in the same batches, ms; nobody waits for mails"
    delays = _delays(title, _mails(checkouts))
    return _table("Complete card checkouts a second", ["", "median", "lowest", "highest"], rows) + "\n" + delays


def _cost(checkouts: Batches) -> str:
    names = list(next(iter(checkouts.values()))[0].cpu_s)
    own = [name for name in names if name not in (*_STAND_INS, _LOAD)]
    lines: list[tuple[str, Sequence[str]]] = [
        *((name, [name]) for name in own),
        ("= the store, its broker and its database", own),
        *((name, [name]) for name in _STAND_INS),
        ("= with the stand-ins", [*own, *_STAND_INS]),
        ("load generator and mail sink", [_LOAD]),
    ]
    rows = [[title, *(_milliseconds(found, parts) for found in checkouts.values())] for title, parts in lines]
    return _table("CPU time of a checkout, ms", ["", *_columns(checkouts)], rows)


def _milliseconds(batches: Sequence[Batch], names: Sequence[str]) -> float:
    return 1000 * median(sum(batch.cpu_s[name] for name in names) for batch in batches)


def _mails(batches: Batches) -> list[tuple[str, list[float]]]:
    return [
        (f"{concurrency} at once", [delay for batch in found for delay in batch.delays_s])
        for concurrency, found in batches.items()
    ]


def _delays(title: str, measured: Sequence[tuple[str, Sequence[float]]]) -> str:
    rows = []
    for name, delays_s in measured:
        delays = [1000 * delay for delay in delays_s]
        rows.append([name, percentile(delays, 0.5), percentile(delays, 0.99), len(delays)])
    return _table(title, ["", "p50", "p99", "of"], rows)


def _columns(batches: Batches) -> list[str]:
    return [f"{concurrency} at once" for concurrency in batches]


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Text to the left, figures to the right."""
    cells = [list(head), *([_written(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    align = [str.ljust, *[str.rjust] * (len(head) - 1)]
    lines = ["  ".join(put(cell, width) for put, cell, width in zip(align, row, widths, strict=True)) for row in cells]
    return "\n".join(["", title, lines[0], "-" * len(lines[0]), *lines[1:]])


def _written(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
