"""PyTerrier: a transformer that scores again, `bm25 % 100 >> get_text >> CrosstuneTransformer(...)`;
it needs no Java."""

from __future__ import annotations

from crosstune.integrations.hits import missing_package, open_reranker

try:
    import pandas as pd
    import pyterrier as pt
except ModuleNotFoundError as error:
    raise missing_package("pyterrier", "pyterrier") from error


class CrosstuneTransformer(pt.Transformer):
    """The result frame (`qid, query, docno, score` and the text) with the logits as `score` and new ranks;
    all other columns stay. `fuse`: rank by the fusion with the frame's scores that the export kept, over
    the candidates of each query."""

    def __init__(
        self, export: str, text_field: str = "text", backend: str = "auto", fuse: bool = False
    ) -> None:
        self.text_field = text_field
        self.fuse = fuse
        self._reranker = open_reranker(export, backend, fuse=fuse)

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Raises PyTerrier's own error for a frame without the columns, `InputError` for a text that is
        none."""
        pt.validate.result_frame(inp, extra_columns=["query", self.text_field], context=self)
        frame = inp.reset_index(drop=True)
        scores = pd.Series(0.0, index=frame.index, dtype="float64")
        for _, group in frame.groupby("qid", sort=False):
            hits = self._reranker.rank(
                group["query"].iloc[0],
                [{self.text_field: text} for text in group[self.text_field]],
                text_field=self.text_field,
                first_stage_scores=group["score"].tolist() if self.fuse else None,
            )
            for hit in hits:
                scores[group.index[hit.index]] = hit.logit if hit.fused is None else hit.fused
        frame["score"] = scores
        return pt.model.add_ranks(frame)
