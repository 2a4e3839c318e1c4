"""`make bench-coldstart`: what the first event in a new container waits for, on the built artefact.

For each function: fresh processes on Lambda's Python that see only what `sam build` made and what the runtime brings, in turn
with variants of the artefact; the time to import the function, and that of the first event and the one after it (one object
of 30 records from a loopback S3, one item of AWS Config, to a stand-in of the engine, for the functions that have that work);
a whole cold start in AWS's own emulator; and what the import is made of. Writes `benchmarks/report-coldstart.md`.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.generate import key, records, write_object
from benchmarks.generate_config import sqs_event as config_event
from benchmarks.generate_config import stream
from benchmarks.run import ROOT, forget, machine, servers
from benchmarks.subject import sqs_event
from tests.support.lambda_runtime import Artefact, Emulator, artefacts, environment

PROGRAM = """
import json, os, sys, time
began = time.perf_counter()
import app
imported = time.perf_counter()
class Context:
    def get_remaining_time_in_millis(self):
        return 300_000
out, sys.stdout = sys.stdout, open(os.devnull, "w")
event, other = json.load(sys.stdin)
before = time.perf_counter()
answer = app.lambda_handler(event, Context())
first = time.perf_counter() - before
app.lambda_handler(other, Context())
second = time.perf_counter() - before - first
peak = __import__("resource").getrusage(__import__("resource").RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"figures": {"import": imported - began, "first": first, "second": second, "rss": peak}, "answer": answer}), file=out)
"""
SERVICES = ("s3", "sqs", "secretsmanager", "sts", "cloudtrail")
"""Those of AWS that the functions call."""
LIBRARY = {name.lstrip("_") for name in sys.stdlib_module_names}
BUILT, PLAIN, TRIMMED = "as built, with bytecode", "without bytecode", "with botocore's data of the called services alone"

DONE = """## What was done about it

| what | effect |
|---|---|
| bytecode is a part of the build | the rows without it |
| clients are made by botocore, without boto3 | import and first event of CloudTrailFunction 343 instead of 375 ms, peak RSS 60 instead of 62 MB, in turn in one run (`--beside`) on two processors of an Intel Xeon, Python 3.13.0 |
| not done: leaving out botocore's data of other services | 12 ms of the first event, 17 MB; a client that looks for what was cut away fails |
| not done: opensearch-py without its asynchronous client, helpers and plugins | about 45 ms that its import takes beyond requests; it imports them whatever one uses |
"""
"""Figures of 2026-11-25; those of the run stand above."""

Figures = dict[str, float]


def events(sink: str) -> dict[str, tuple[Any, Any, Any]]:
    """For each function two events, and the answer to the first, of the verification what does not depend on the time. The set-up refuses its settings, when everything is imported,
    and says so."""
    create = {"RequestType": "Create", "ResponseURL": f"{sink}/answer", "ResourceProperties": {"OPENSEARCH_ENDPOINT": sink}}
    item, other = ([text] for text in stream(3, 2, 1_000_000))
    done: dict[str, Any] = {"batchItemFailures": []}
    return {
        "CloudTrailFunction": (sqs_event(range(1)), sqs_event(range(1)), done),
        "ConfigFunction": (config_event(item, 0), config_event(other, 1), done),
        "VerifyFunction": ({}, {}, {"MissingFiles": 0, "InvalidDigests": 0}),
        "WatchFunction": ({}, {}, {"digest_age_seconds": {"bucket": None}}),
        "SetupFunction": (create, create, None),
    }


def settings(s3: str, sink: str) -> dict[str, str]:
    """The environment of a function before the two servers."""
    return {"AWS_ENDPOINT_URL": s3, "OPENSEARCH_ENDPOINT": sink, "ALLOWED_BUCKETS": "bucket", "QUARANTINE_BUCKET": "quarantine"}


def answered(found: Any, wanted: Any) -> bool:
    """Whether an answer is the one that is wanted, or has all fields of it."""
    return found == wanted or (bool(wanted) and isinstance(found, dict) and wanted.items() <= found.items())


def fresh(artefact: Artefact, python: Path, variables: Mapping[str, str], both: tuple[Any, Any], answer: Any) -> Figures:
    """One cold start in a process of its own, with an engine that is empty. Ends the program where the answer is another one."""
    forget(variables["OPENSEARCH_ENDPOINT"])
    result = run(artefact, python, variables, ["-c", PROGRAM], json.dumps(both))
    found = json.loads(result.stdout) if not result.returncode else {}
    if not found or not answered(found["answer"], answer):
        sys.exit(f"{artefact.folder.name}: {result.stdout[-500:]}\n{result.stderr[-2_000:]}")
    figures: Figures = found["figures"]
    return figures


def run(
    artefact: Artefact, python: Path, variables: Mapping[str, str], arguments: list[str], text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Lambda's Python with the function and its layers on the path, as the runtime puts them there."""
    path = {"PYTHONPATH": ":".join(artefact.path)}
    return subprocess.run(
        [python, *arguments],
        input=text,
        env={**environment(artefact, variables), **path},
        capture_output=True,
        text=True,
        check=False,
    )


def emulated(artefact: Artefact, variables: Mapping[str, str], event: Any, answer: Any) -> float:
    """Milliseconds from nothing to the first answer in AWS's emulator, its own start and the runtime's included."""
    with tempfile.TemporaryDirectory(prefix="audit-search-cold-") as folder:
        began = time.perf_counter()
        with Emulator(artefact, variables, Path(folder)) as function:
            found = function.invoke(event)
            if not answered(found, answer):
                sys.exit(f"{artefact.folder.name}: {found}\n{function.log[-2_000:]}")
            return 1e3 * (time.perf_counter() - began)


def imports(artefact: Artefact, python: Path, variables: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds that each top package's own modules take to import, the standard library's under one name."""
    said = run(artefact, python, variables, ["-X", "importtime", "-c", "import app"]).stderr
    spent: dict[str, float] = {}
    for own, name in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", said, re.MULTILINE):
        top = name.partition(".")[0]
        package = "Python's own library" if top.lstrip("_") in LIBRARY else top
        spent[package] = spent.get(package, 0.0) + int(own) / 1e3
    return spent


def variants(build: Path, folder: Path, beside: str) -> dict[str, Path]:
    """The artefact, and copies that differ in one thing."""
    shutil.copytree(build, folder / "plain", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(build, folder / "trimmed")
    for service in (folder / "trimmed/DependenciesLayer/python/botocore/data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)
    title, _, other = beside.rpartition("=")
    return {BUILT: build, PLAIN: folder / "plain", TRIMMED: folder / "trimmed", **({title: Path(other)} if title else {})}


def weight(folder: Path, *, bytecode: bool = True) -> tuple[int, int]:
    """Bytes of a folder as it lies on the disk, and in a zip file as `sam deploy` uploads it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and (bytecode or path.suffix != ".pyc")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    return sum(path.stat().st_size for path in files), packed.tell()


def spread(values: list[float]) -> str:
    """The median, with the lowest and the highest."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def sizes(every: Mapping[str, Path]) -> list[str]:
    """The table of what is uploaded and unpacked."""
    lines = ["## Size", "", "| part | MB unpacked | MB zipped | without bytecode, unpacked | zipped |", "|---|---|---|---|---|"]
    for part in sorted(path for path in every[BUILT].iterdir() if path.is_dir()):
        (unpacked, zipped), (plain, plain_zipped) = weight(part), weight(part, bytecode=False)
        lines.append(
            f"| {part.name} | {unpacked / 1e6:.2f} | {zipped / 1e6:.2f} | {plain / 1e6:.2f} | {plain_zipped / 1e6:.2f} |"
        )
    data = weight(every[BUILT] / "DependenciesLayer/python/botocore/data")
    kept = weight(every[TRIMMED] / "DependenciesLayer/python/botocore/data")
    note = (
        f"botocore's data of all services is {data[0] / 1e6:.1f} MB of it ({data[1] / 1e6:.1f} MB zipped), that of the called ones "
        f"{kept[0] / 1e6:.1f} MB ({kept[1] / 1e6:.1f} MB zipped). It stays: a client that looks for what was cut away fails, and "
        "Lambda takes 250 MB."
    )
    return [*lines, "", note, ""]


def starts(name: str, every: Mapping[str, Path], python: Path, rounds: int, s3: str, sink: str) -> list[str]:
    """The table of one function's cold starts."""
    event, other, answer = events(sink)[name]
    variables = settings(s3, sink)
    built = {title: artefacts(build)[name] for title, build in every.items() if name in artefacts(build)}
    found: dict[str, list[Figures]] = {title: [] for title in built}
    whole: list[float] = []
    for _ in range(rounds):
        for title, artefact in built.items():
            found[title].append(fresh(artefact, python, variables, (event, other), answer))
        forget(sink)
        whole.append(emulated(built[BUILT], variables, event, answer))
    lines = [
        f"## {name}",
        "",
        "| artefact | import ms | first event ms | second event ms | peak RSS MB |",
        "|---|---|---|---|---|",
    ]
    for title, one in found.items():
        cells = [spread([figures[figure] * scale for figures in one]) for figure, scale in MEASURED]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    slower = middle(found[PLAIN]) / middle(found[BUILT])
    lines += ["", f"Without bytecode the import and the first event together take {slower:.1f} times as long.", ""]
    lines += [f"A whole cold start in AWS's emulator, from nothing to the answer: {spread(whole)} ms.", ""]
    return lines


MEASURED = (("import", 1e3), ("first", 1e3), ("second", 1e3), ("rss", 1.0))


def middle(found: list[Figures]) -> float:
    """The median of import and first event together."""
    return statistics.median(figures["import"] + figures["first"] for figures in found)


def breakdown(name: str, artefact: Artefact, python: Path, variables: Mapping[str, str]) -> list[str]:
    """The table of what an import is made of."""
    rounds = [imports(artefact, python, variables) for _ in range(5)]
    spent = {top: statistics.median(one.get(top, 0.0) for one in rounds) for top in set().union(*rounds)}
    total = sum(spent.values())
    shown = [top for top in sorted(spent, key=lambda top: -spent[top]) if spent[top] > total / 50]
    lines = [
        f"What the import of {name} is made of, each package's own modules:",
        "",
        "| package | ms | share |",
        "|---|---|---|",
    ]
    lines += [f"| {top} | {spent[top]:.0f} | {100 * spent[top] / total:.0f} % |" for top in shown]
    rest = total - sum(spent[top] for top in shown)
    return [*lines, f"| the others | {rest:.0f} | {100 * rest / total:.0f} % |", ""]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("python", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--beside", default="", metavar="TITLE=BUILD", help="another build, measured in the same run")
    options = parser.parse_args()
    lines = ["# The first event in a new container", "", *machine()]
    with tempfile.TemporaryDirectory(prefix="audit-search-cold-") as name:
        every = variants(options.build.resolve(), Path(name), options.beside)
        lines += sizes(every)
        objects = Path(name) / "objects"
        objects.mkdir()
        write_object(objects / key(0).rpartition("/")[2], records(7, 30))
        python = options.python.absolute()
        with servers(objects, keep=True) as (s3, sink):
            for function, artefact in artefacts(options.build).items():
                lines += starts(function, every, python, options.rounds, s3, sink)
                lines += breakdown(function, artefact, python, settings(s3, sink))
    lines.append(DONE)
    print("\n".join(lines))
    (ROOT / "benchmarks" / "report-coldstart.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
