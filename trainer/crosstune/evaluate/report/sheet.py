"""Small pages of one figure and its tables, in the report's own style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstune.evaluate.report.browse import readable

FOLDER = Path(__file__).parent


def render_sheet(template: Path, title: str, **facts: Any) -> str:
    """The whole page as text, which needs neither a network nor a script. `template` extends `sheet.html` and
    fills its block `body` from the facts, which are escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader([template.parent, FOLDER]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup((FOLDER / "page.css").read_text(encoding="utf-8"))
    return readable(environment.get_template(template.name).render(style=style, title=title, **facts))
