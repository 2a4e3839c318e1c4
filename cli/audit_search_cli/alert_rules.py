"""Alert rules: reads `definitions/alerts/*.yaml`, and makes the deployed form and `docs/alerts.md` of them.

`python -m audit_search_cli.alert_rules` writes both into the tree it is started in, `--check` says whether they are current.
The file of the dashboards, where the rules stand by their severity, is written along with them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from audit_search_cli import alert_document
from audit_search_cli.alert_sources import Source, body, sources

PACKAGE = Path("layers/audit_search/src/audit_search")
SOURCES = PACKAGE / "definitions/alerts"
DEPLOYED = PACKAGE / "definitions/alerts.json"
DOCUMENT = Path("docs/alerts.md")
DASHBOARDS = Path("dashboards/audit-search.ndjson")


def deployed(rules: list[Source]) -> str:
    """The text of `definitions/alerts.json`."""
    lines = ",\n".join(json.dumps(body(rule), ensure_ascii=False) for rule in rules)
    return f'{{"rules": [\n{lines}\n]}}\n'


def main(arguments: list[str]) -> int:
    """Writes, or with `--check` compares, what is made of the rules; 1 when a rule is wrong or a file is not current."""
    try:
        rules = sources(SOURCES)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    made = {DEPLOYED: deployed(rules), DOCUMENT: alert_document.text(rules)}
    stale = [path for path, new in made.items() if not path.exists() or path.read_text("utf-8") != new]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(made[path], "utf-8")
        if DASHBOARDS.exists():
            from audit_search.dashboards import saved_objects  # it reads the rules that were just written

            DASHBOARDS.write_text(saved_objects.ndjson(), "utf-8")
        return 0
    for path in stale:
        sys.stderr.write(f"{path} is not what the rules say: run python -m audit_search_cli.alert_rules\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
