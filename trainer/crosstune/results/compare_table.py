"""A comparison of runs as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from crosstune.evaluate.tables import columns
from crosstune.results.changes import ChangedQuery, Seen
from crosstune.results.compare import RunComparison, Tested

WIDTH, TEXT_WIDTH = 44, 60
LEGEND = "* relevant, [grade], (rank in the other run)"


def render_comparison(found: RunComparison) -> str:
    """The values of all runs, then each run against the first, then the queries that changed most."""
    first, *others = found.totals
    lines = [f"{found.queries} judged queries", ""]
    rows = [["", *found.measures, "documents a query"]]
    rows += [
        [name, *(f"{values[m]:.3f}" for m in found.measures), str(found.depths[name])]
        for name, values in found.totals.items()
    ]
    lines += columns(rows)
    for name in others:
        lines += ["", f"{name} against {first}", *_tests(found.tested[name])]
        if found.changed[name]:
            lines += ["", f"queries that changed most in {found.measures[0]}; {LEGEND}"]
            lines += [line for query in found.changed[name] for line in _query(query)]
    share = f"Holm's correction over {found.tests} tests" if found.tests > 1 else "no correction needed"
    return "\n".join([*lines, "", f"p: two-sided paired randomisation test (= where exact), {share}"])


def _tests(tested: Mapping[str, Tested]) -> list[str]:
    rows = [["", "difference", "95 % interval", "p", "p Holm", "effect", "better", "equal", "worse",
             "detectable"]]  # fmt: skip
    for measure, test in tested.items():
        c = test.comparison
        rows.append([
            measure, f"{c.difference:+.3f}", f"[{c.low:+.3f}, {c.high:+.3f}]",
            f"{'=' if c.exact else ''}{c.p:.2g}", f"{test.p_holm:.2g}", f"{c.effect:+.2f}",
            str(c.wins), str(c.ties), str(c.losses), f"{c.detectable:.3f}" if c.wins + c.losses else "-",
        ])  # fmt: skip
    return [*columns(rows), *(f"{measure}: {test.verdict}" for measure, test in tested.items())]


def _query(query: ChangedQuery) -> Iterator[str]:
    text = f"  {' '.join(query.text.split())[:80]}" if query.text else ""
    yield f"  {query.query_id}{text}  {query.before:.3f} -> {query.after:.3f}"
    before, after = list(map(_document, query.documents_before)), list(map(_document, query.documents_after))
    if any(seen.text for seen in (*query.documents_before, *query.documents_after)):
        yield from (f"    {line}" for line in ("before", *before, "after", *after))
        return
    width = max(map(len, ["before", *before]))
    for left, right in zip_longest(["before", *before], ["after", *after], fillvalue=""):
        yield f"    {left.ljust(width)}  {right}".rstrip()


def _document(seen: Seen) -> str:
    """`rank. document [grade] (rank in the other run)`, a star before a relevant one; then its text."""
    star = "*" if (seen.grade or 0) > 0 else " "
    grade = "" if seen.grade is None else f" [{seen.grade}]"
    other = "absent" if seen.other_rank is None else seen.other_rank
    shown = f"{star}{seen.rank:3d}. {_cut(seen.doc_id)}{grade} ({other})"
    return shown if seen.text is None else f"{shown} {' '.join(seen.text.split())[:TEXT_WIDTH]}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
