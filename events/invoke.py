"""Runs sample events through the built function and compares what comes out with `events/expected/`.

    python events/invoke.py [NAME ...]     payloads by name, all of them without one
    python events/invoke.py --write        keeps what comes out as what is expected
    python events/invoke.py --serve DIR    keeps S3 and engine running, for a `sam local invoke` of one's own

With `sam local invoke` where a container runtime answers, otherwise in the same Lambda runtime without a container (Linux).
Around it stand a local S3 with `events/objects` and an engine in memory; nothing leaves this machine. `make invoke` builds
the function first. Ends with 1 where something is not as expected.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if __name__ == "__main__":  # run as a script, it finds only what lies beside it
    sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from runs import ARCHITECTURE, ROOT, Container, Emulated, InvokeError, Runtime, address_for_containers, container_runtime
from stage import EVENTS, FUNCTIONS, Stage

from demo.options import DemoError
from tests.support.lambda_runtime import EmulatorError

FIRST = ["s3_in_sqs"]
EXPECTED = EVENTS / "expected"
PAYLOADS = sorted(
    path.relative_to(EVENTS).with_suffix("").as_posix() for folder in FUNCTIONS for path in (EVENTS / folder).glob("*.json")
)
"""By name: `s3_in_sqs`, `config/config_item`."""


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; gives the exit code."""
    options = _options(arguments)
    way = options.runtime or ("sam" if container_runtime() else "emulator")
    try:
        if options.serve:
            return _serve(options)
        with running(way, options.build) as (stage, runtime):
            print(f"{TITLES[way]}, built for {ARCHITECTURE}", flush=True)
            right = [_one(stage, runtime, name, options) for name in options.names or PAYLOADS]
    except (DemoError, EmulatorError, InvokeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0 if all(right) else 1


TITLES = {
    "sam": "sam local invoke, a container for each event",
    "emulator": "AWS's runtime interface emulator, one process for all events",
}


@contextmanager
def running(way: str, build: Path) -> Iterator[tuple[Stage, Runtime]]:
    """The stage and the runtime, ready: `sam` or `emulator`. Raises DemoError, EmulatorError."""
    if way == "emulator":
        with Stage() as stage, Emulated(stage, build) as emulated:
            yield stage, emulated
        return
    with Stage(address_for_containers()) as stage, TemporaryDirectory(prefix="audit-search-sam-") as folder:
        yield stage, Container(stage, build, Path(folder))


def outcome(stage: Stage, runtime: Runtime, name: str) -> dict[str, Any]:
    """What the function makes of a payload, beginning with an empty engine."""
    stage.clear()
    payload = EVENTS / f"{name}.json"
    return stage.outcome(payload, runtime.invoke(payload))


def text_of(made: dict[str, Any]) -> str:
    """An outcome as its file holds it: a line for each document."""
    documents = [f"  {json.dumps(name)}: {json.dumps(fields, ensure_ascii=False)}" for name, fields in made["documents"].items()]
    quarantined = [f"  {json.dumps(entry, ensure_ascii=False)}" for entry in made["quarantined"]]
    parts = [
        f' "answer": {json.dumps(made["answer"], ensure_ascii=False)}',
        _block("documents", "{}", documents),
        f' "documents_sha256": "{made["documents_sha256"]}"',
        _block("quarantined", "[]", quarantined),
    ]
    if "handed_on" in made:
        parts.append(_block("handed_on", "[]", [f"  {json.dumps(entry, ensure_ascii=False)}" for entry in made["handed_on"]]))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _serve(options: argparse.Namespace) -> int:
    """Keep the stage until Ctrl-C, with the files and the command line that `sam` needs to use it."""
    options.serve.mkdir(parents=True, exist_ok=True)
    with Stage(address_for_containers()) as stage:
        command = Container(stage, options.build, options.serve.resolve()).command(EVENTS / f"{(options.names or FIRST)[0]}.json")
        print(
            f"A local S3 and an engine are running; Ctrl-C ends them. In another terminal:\n\n{shlex.join(command)}", flush=True
        )
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def _block(name: str, brackets: str, lines: Sequence[str]) -> str:
    inner = "\n" + ",\n".join(lines) + "\n " if lines else ""
    return f' "{name}": {brackets[0]}{inner}{brackets[1]}'


def _one(stage: Stage, runtime: Runtime, name: str, options: argparse.Namespace) -> bool:
    made = outcome(stage, runtime, name)
    text, path = text_of(made), EXPECTED / f"{name}.json"
    if options.write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    expected = path.read_text("utf-8") if path.exists() else ""
    counts = f"{len(made['documents'])} documents, {len(made['quarantined'])} quarantined"
    verdict = "written" if options.write else "as expected" if text == expected else "NOT as expected"
    print(f"{name:50} {counts:32} {verdict}", flush=True)
    if options.names:
        print(json.dumps(made["answer"], ensure_ascii=False, indent=2))
    if text != expected and not options.write:
        sys.stdout.writelines(unified_diff(expected.splitlines(True), text.splitlines(True), f"expected/{name}.json", "came out"))
    return options.write or text == expected


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a payload of events/, without .json")
    parser.add_argument("--write", action="store_true", help="keep what comes out in events/expected/")
    parser.add_argument("--serve", type=Path, metavar="DIR", help="where template and variables for `sam local invoke` go")
    parser.add_argument("--runtime", choices=sorted(TITLES), help="instead of what is there")
    parser.add_argument("--build", type=Path, default=ROOT / ".cache/invoke", help="what `make build` made")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(PAYLOADS))
    if unknown:
        parser.error(f"no such payload: {', '.join(unknown)}; there are {', '.join(PAYLOADS)}")
    if not (options.build / "template.yaml").exists():
        parser.error(f"nothing is built in {options.build}: use `make invoke`")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
