"""The page's script: Vega-Lite's own, once, with the call that hands it the figures.

Nothing else may run: the page's policy names the script by its digest, so that no name from a study
could become one, and asks for nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache

EMBED = """
for (const chart of document.querySelectorAll("script.spec"))
  vegaEmbed(chart.previousElementSibling, JSON.parse(chart.textContent),
    {renderer: "svg", actions: false, ast: true});
"""
"""As SVG, which a screen reader can read; `ast` has expressions interpreted, never evaluated."""


@cache
def chart_script() -> str:
    """Vega, Vega-Lite, Vega-Embed and the call as one text; takes seconds the first time."""
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    text = vl_convert.javascript_bundle(EMBED, vl_version=version)
    # In a string or a pattern, where alone they could stand, both mean the same with a backslash.
    return text.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def policy(script: str) -> str:
    """The page's Content-Security-Policy: this script, its own pictures and styles, no more.

    Args:
        script: What stands between its tags; empty for a page without one.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
