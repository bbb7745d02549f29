"""docs/windows.md: its settings are the recipe's, and its code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crosstune.serve.windows import Windows
from crosstune.train.config import MOST_WINDOWS, WindowSettings
from served import windowed_export

TEXT = (Path(__file__).parents[2] / "docs" / "windows.md").read_text(encoding="utf-8")


def test_every_setting_is_there_and_nothing_else() -> None:
    named = set(re.findall(r"`train\.windows\.(\w+)`", TEXT))
    assert named == set(WindowSettings.model_fields)
    values = set(re.findall(r"^\| `(first|max)`", TEXT, flags=re.MULTILINE))
    assert values == {"first", "max"}
    assert WindowSettings().aggregate == "first"
    assert f"from its beginning on | {MOST_WINDOWS} |" in TEXT


def test_its_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    export = windowed_export(Windows(None, 8))
    documents = ["close it", "read list value " * 40]
    exec(code.replace("runs/max/export", str(export)), {"documents": documents})
    shown = capsys.readouterr().out
    assert re.fullmatch(r"1 (?:read|list|value)(?: read| list| value)+\n", shown)
