"""The page of a graph: one HTML file that needs nothing from anywhere, and runs nothing but what stands in it.

Names of resources were chosen by others. They stand in the page as JSON in which no sign can end the element, and the script
makes only text of them; the policy of the page allows its own two scripts and its style sheet by their hashes, no other
script, and no request. The library is Cytoscape.js 3.35.0, as its package has it, with its licence beside it.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
https://js.cytoscape.org/
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

LIBRARY: Final = "cytoscape.min.js"
LIBRARY_SHA256: Final = "71fa9ebec21a7ca2c40cff6aacc30d1f6464e363662ad4b2c197e1adc770cd94"
"""The hash of the file in the package cytoscape 3.35.0, dist/cytoscape.min.js."""
_PLACE = re.compile("@(policy|title|style|data|library|script)@")


def page(title: str, data: Mapping[str, Any]) -> str:
    """The page of a graph's data (see `drawing`)."""
    style, library, script = (part(name) for name in ("graph.css", LIBRARY, "graph.js"))
    parts = {
        "policy": policy((library, script), style),
        "title": html.escape(title.encode("utf-8", "replace").decode()),
        "style": style,
        "data": embedded(data),
        "library": library,
        "script": script,
    }
    return _PLACE.sub(lambda found: parts[found[1]], part("graph.html"))


def embedded(data: Any) -> str:
    """JSON that can stand in a script element: no `<`, `>` or `&`, and nothing beyond ASCII, such as U+2028."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: tuple[str, ...], style: str) -> str:
    """The Content-Security-Policy: these scripts and this style sheet, and nothing else."""
    allowed = " ".join(f"'{_hash(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {allowed}; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"


def part(name: str) -> str:
    """A file of this package, as it is."""
    return resources.files(__package__).joinpath(name).read_bytes().decode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
