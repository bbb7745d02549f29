"""From where on the doctor speaks, each with the reason. `docs/doctor.md` shows them in use."""

from __future__ import annotations

LOOKED_AT = 1000
"""Groups whose texts are compared, evenly drawn: one in ten is then known to 2 points, in seconds."""

SAME_SHARE = 0.1
"""Of the groups, with a positive that a negative equals. Each holds the loss up whatever is learned; a tenth
of them is more than the near copies that mining leaves."""

ONE_CLASS_SHARE = 0.5
"""Of the groups, with one grade alone. From half of them on, most of a step says nothing about an order."""

EQUAL_QUERIES = 0.1
LEAST_EQUAL_QUERIES = 3
"""Of the dev queries, those with the text of a training query: a share, and how many at least. A tenth moves
dev's mean by more than most choices that are made by it; none of six real collections has one."""

NEAR_QUERIES = 0.5
"""The same, with those that are nearly equal. They differ by what may be the whole question (`what is a
kinase`, `what is a lipase`): SciFact's claims and their opposites make 3 in 10 of its dev queries."""

WORD_TELLS = 0.8
"""Share of training's positives with a word less that of its negatives, or the reverse: 90 % and 10 %. The
farthest of any word in six real collections is 22 %."""
TOLD_ON_DEV = 0.5
"""Of that, what the same word tells on dev, at most."""
LEAK_TEXTS = 10
"""Texts of each kind, at least: a share of 0.9 then comes out below a half once in 600 draws."""

LEAST_PASSAGE_TOKENS = 4
"""Wordpieces of a passage: fewer are one or two words, and no passage can be told from another by them."""

STARVED_SHARE = 0.5
"""Of the pairs, cut to less than that. From half of them on, most of what is learned is noise."""

WINDOW = 0.25
"""Of the log's entries, at the end, that are called the end; a tenth at the beginning is the beginning."""
BEGINNING = 0.1

WINDOW_GROUPS = 32
"""Groups that a window covers at least. The share of right pairs in groups of four is then good to
7 points; the same few groups, met again and again, are no more than they are."""

FLAT_SPREAD = 1e-3
"""Standard deviation of the logits inside a query. A fresh head over MiniLM begins with 8e-3 on stdlib, a
trained one has about 1; below this, bf16 cannot tell the documents apart."""

FLAT_SHARE = 0.02
"""The same, as a share of the largest spread that this training had: the model knew differences and lost
them."""

LITTLE_GAIN = 0.02
"""Share of a constant scorer's loss that is saved. MiniLM on stdlib saves a tenth after 70 groups and a
quarter after 120; the draw of the last steps makes up to a hundredth."""

WORSE = 0.1
"""Share of a constant scorer's loss that is lost on top of it, when the beginning was better than that."""

REVERSED_PAIRS = 0.35
SEPARABLE_PAIRS = 0.65
"""Right pairs, of those in which one document is better. A coin gets a half; between these two lie 97 of 100
windows of 32 groups of four that are ordered by chance."""

DEV_QUERIES = 30
"""Dev queries with such pairs, at least, to believe dev: a coin then stays above 0.35 in 19 of 20 cases,
even where each query has one pair."""

LENGTH_ORDER = 0.7
"""Kendall's tau-b of logit and length over documents of one grade. 0.7 means that length alone foretells 85 %
of the pairs, and that few passages are of equal length, as all that were cut are."""

LENGTH_PAIRS = 100
"""Pairs that it is computed from, at least: its error is then about 0.1."""

OVERFIT_DROP = 0.02
"""nDCG@10 on dev from the best evaluation to the last: less is not worth a change of settings."""
OVERFIT_P = 0.01
"""Of the paired test of that drop. Stricter than 5 %, as the best of several evaluations is partly luck."""

NO_GRADIENT = 1e-7
"""Global gradient norm. AdamW's own epsilon is 1e-8, and a loss in fp32 is rounded at 6e-8 of itself."""

NO_NUMBER = "training stopped: the loss is"
"""How the message of such an end begins. Others, as that of a GPU without room, say themselves what to do."""

STOP_AFTER = 3
"""Entries of the log in a row, past the warm-up, with constant scores and no gradient. Weights that have no
gradient stay; three entries leave out one odd step."""

TYPICAL_RATE = 1e-5
"""BERT's paper fine-tunes with 2e-5 to 5e-5 (Devlin et al. 2019, arXiv:1810.04805); below half of that, the
rate is the first suspect of a model that stays as it was."""
USUAL_RATE = 1e-4
"""What `train.learning_rate` is where a recipe says nothing."""
