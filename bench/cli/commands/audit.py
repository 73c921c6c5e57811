"""`bench audit`: check published figures by arithmetic alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from bench.cli.console import out, print_json
from bench.cli.options import AsJson

if TYPE_CHECKING:
    from bench.paper.audit import Finding

app = typer.Typer()

STYLES = {"impossible": "bold red", "suspicious": "yellow", "consistent": "green"}
ORDER = ("impossible", "suspicious", "cannot tell", "possible", "consistent")


@app.command(
    epilog="Examples:\n\n  bench audit\n\n  bench audit another_paper.yaml --json\n\n"
    "The form of such a file: bench/paper/claims.yaml."
)
def audit(
    claims: Annotated[
        Path | None,
        typer.Argument(help="A paper's claims, a YAML file; RopaNet's by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check published results by arithmetic alone: no data, no model."""
    from bench.paper.audit import audit as check_claims
    from bench.paper.audit import load_claims

    read = load_claims(claims)
    findings = check_claims(read)
    if as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        print_audit(out, read.paper, findings)


def print_audit(console: Console, paper: str, findings: Sequence[Finding]) -> None:
    """Print findings, those that need an explanation first."""
    console.print(f"[bold]{escape(paper)}[/]\n")
    for finding in sorted(findings, key=lambda found: ORDER.index(found.verdict)):
        style = STYLES.get(finding.verdict, "")
        about = ", ".join(part for part in (finding.row, finding.metric) if part)
        console.print(
            f"[{style}]{finding.verdict}[/]" if style else finding.verdict,
            f"[bold]{escape(finding.check)}[/]",
            escape(f"({finding.source}) {about}"),
        )
        console.print(Padding(escape(finding.calculation), (0, 0, 0, 4)))
    counts = Counter(str(finding.verdict) for finding in findings)
    shown = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])
    console.print(f"\n{len(findings)} findings: {shown}")
