"""What the benchmarks measured, read from their reports: the cost page counts with these and with no figure of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FUNCTION_REPORT, ENGINE_REPORT = FOLDER / "report.md", FOLDER / "report-engine.md"
CONFIG_REPORT = FOLDER / "report-config.md"


class MeasurementError(Exception):
    """A report does not hold a figure where it should; the message names the report, the figure and the way to a new one."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the engine pays for one event: bytes of one copy on disk, CPU microseconds of one copy."""

    stored_bytes: float
    stored_bytes_real: float
    engine_us: float


@dataclass(frozen=True, slots=True)
class ConfigWork:
    """CPU of AWS Config's function: an item of its stream, alone in an invocation and where `batch` or `many` go together; and an
    item of a history or snapshot, of which none is known yet (`new_us`), or most are (`known_us`)."""

    item_us_together: float
    batch: int
    item_us_many: float
    many: int
    new_us: float
    known_us: float

    @property
    def invocation_ms(self) -> float:
        """CPU milliseconds of an invocation itself: what many share and few do not."""
        return (self.item_us_together - self.item_us_many) / (1 / self.batch - 1 / self.many) / 1_000

    @property
    def item_us(self) -> float:
        """CPU microseconds of an item itself."""
        return self.item_us_many - self.invocation_ms * 1_000 / self.many


@dataclass(frozen=True, slots=True)
class Measured:
    """`event_us` is CPU for one event of a large object; `object_ms` for a small object with its `object_records` events."""

    event_us: float
    object_ms: float
    object_records: int
    batch: int
    sent_bytes: float
    full: Shape
    lean: Shape
    config: ConfigWork

    @property
    def object_base_ms(self) -> float:
        """CPU milliseconds of an object itself: what is left of `object_ms` without its events."""
        return self.object_ms - self.object_records * self.event_us / 1_000


def read(
    function_report: Path = FUNCTION_REPORT, engine_report: Path = ENGINE_REPORT, config_report: Path = CONFIG_REPORT
) -> Measured:
    """Read the figures of `make bench`, `make bench-engine` and `make bench-config`.

    Raises MeasurementError where a report lacks one.
    """
    function, engine = _Report(function_report, "make bench"), _Report(engine_report, "make bench-engine")
    small = r"([\d,]+) objects of ([\d,]+) records, in SQS batches of ([\d,]+)"
    objects, records, batch = (int(text.replace(",", "")) for text in function.heading(small))
    return Measured(
        event_us=function.cell(r"One object of [\d,]+ made records", "ours", "CPU µs/event"),
        object_ms=function.number(r"CPU per object: ours ([\d.]+) ms"),
        object_records=records,
        batch=batch,
        sent_bytes=function.cell(small, "ours", "MB sent") * 1e6 / (objects * records),
        full=_shape(engine, "ours"),
        lean=_shape(engine, "lean"),
        config=_config(_Report(config_report, "make bench-config")),
    )


def _config(report: _Report) -> ConfigWork:
    stream, batch, many = r"Stream: [\d,]+ messages of [\d,]+ characters, {} in an invocation", 10, 100
    snapshot = r"Snapshot of [\d,]+ items, [\d,]+ MB inflated, {}"
    return ConfigWork(
        item_us_together=report.cell(stream.format(batch), "ours", "CPU µs/item"),
        batch=batch,
        item_us_many=report.cell(stream.format(many), "ours", "CPU µs/item"),
        many=many,
        new_us=report.cell(snapshot.format("none of them known"), "ours", "CPU µs/item"),
        known_us=report.cell(snapshot.format("the next one"), "ours", "CPU µs/item"),
    )


def _shape(engine: _Report, name: str) -> Shape:
    made, real = r"[\d,]+ made records", r"[\d,]+ real records"
    return Shape(
        stored_bytes=engine.cell(made, name, "stored B/event"),
        stored_bytes_real=engine.cell(real, name, "each record once, B/event"),
        engine_us=engine.cell(made, name, "CPU µs/event"),
    )


class _Report:
    def __init__(self, path: Path, verb: str) -> None:
        self._where, self._verb = path, verb
        try:
            self._text = path.read_text("utf-8")
        except OSError as error:
            raise MeasurementError(f"{path} cannot be read ({error.strerror}): `{verb}` writes it") from error

    def heading(self, pattern: str) -> tuple[str, ...]:
        """The groups of the heading that begins so."""
        found = re.search(rf"^## {pattern}", self._text, re.MULTILINE)
        if not found:
            raise self._lacks(f"a heading like '## {pattern}'")
        return found.groups()

    def number(self, pattern: str) -> float:
        """The number of a sentence."""
        found = re.search(pattern, self._text)
        if not found:
            raise self._lacks(f"'{pattern}'")
        return float(found[1])

    def cell(self, heading: str, row: str, column: str) -> float:
        """The number that a cell begins with, in the first table below a heading."""
        section = re.search(rf"^## {heading}.*?(?=^## |\Z)", self._text, re.MULTILINE | re.DOTALL)
        lines = [line for line in (section[0] if section else "").splitlines() if line.startswith("|")]
        table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        cells = next((cells for cells in table[1:] if cells[0] == row), [])
        value = cells[table[0].index(column)] if cells and column in table[0] else ""
        number = re.match(r"[\d,]+(\.\d+)?", value)
        if not number:
            raise self._lacks(f"a number for '{row}' under '{column}', below '## {heading}'")
        return float(number[0].replace(",", ""))

    def _lacks(self, what: str) -> MeasurementError:
        return MeasurementError(f"{self._where} lacks {what}: run `{self._verb}` again, or mend benchmarks/measured.py")
