"""Text that came from a study, made harmless in Markdown and in LaTeX."""

from __future__ import annotations

from typing import Any

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def markdown_text(text: Any) -> str:
    """Text that came from a study, harmless in Markdown and on one line."""
    plain = " ".join(str(text).split())
    for sign in "\\`*_[]|":
        plain = plain.replace(sign, f"\\{sign}")
    return plain.replace("&", "&amp;").replace("<", "&lt;")


def latex_text(text: Any) -> str:
    """Text that came from a study, harmless in LaTeX and on one line."""
    plain = " ".join(str(text).split())
    return in_latin("".join(LATEX_ESCAPES.get(sign, sign) for sign in plain))


def in_latin(text: str) -> str:
    """What every LaTeX engine has a letter for; anything else becomes a question mark."""
    known = text.replace("±", "$\\pm$").replace("–", "--").replace("…", "...")
    return "".join(sign if ord(sign) < 256 else "?" for sign in known)
