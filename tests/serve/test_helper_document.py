"""docs/helper.md: its code runs as it stands, and its commands' options exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commands import help_of
from crosstune.serve import Reranker
from crosstune.serve.given import MOST_CHARACTERS, MOST_DOCUMENTS
from crosstune.serve.stream import TOGETHER_DOCUMENTS
from served import tiny_export

TEXT = (Path(__file__).parents[2] / "docs" / "helper.md").read_text(encoding="utf-8")
EXPORT = "runs/quickstart/export"


def test_the_helpers_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    parts = TEXT.split("## In other people's pipelines")[0]
    blocks = re.findall(r"```python\n(.*?)```", parts, flags=re.DOTALL)
    assert len(blocks) == 5
    code = "".join(blocks).replace(EXPORT, str(tiny_export()))
    body = "".join(f"    {line}\n" for line in code.splitlines())
    given = "document = 'read a value'; documents = ['close it', document]; pairs = [('open', 'it')]"
    exec(f"import asyncio\n{given}\nasync def main():\n{body}asyncio.run(main())", {})
    shown = capsys.readouterr().out
    assert re.search(r"^\d of 2$", shown, flags=re.MULTILINE)
    assert re.search(r"^read 0 4 -?\d", shown, flags=re.MULTILINE)


def test_the_caps_are_those_of_the_code() -> None:
    for cap in (
        f"| {MOST_DOCUMENTS:,} |",
        f"| {MOST_CHARACTERS:,} |",
        f"until they have {TOGETHER_DOCUMENTS} ",
    ):
        assert cap in TEXT
    said = " ".join((Reranker.__doc__ or "").split())
    assert f"at most {MOST_DOCUMENTS:,} documents" in said
    assert f"at most {MOST_CHARACTERS:,} characters" in said


def test_the_options_that_it_names_exist() -> None:
    shown = help_of("score", "rank")
    named = set(re.findall(r"--[a-z][a-z-]+", TEXT))
    assert {"--pairs", "--keep", "--overwrite"} <= named
    for option in named:
        assert option in shown, option
