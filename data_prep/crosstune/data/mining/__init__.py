"""Mining: one group a judged positive or a query, with negatives from the first stage's candidates, and a
ledger of every candidate that was seen."""

from crosstune.data.groups import read_groups
from crosstune.data.mining.answers import UNANSWERED, Answer, read_answers
from crosstune.data.mining.judge import Teacher
from crosstune.data.mining.ledger import LEDGER, REASONS, read_ledger, suspicion
from crosstune.data.mining.mine import MiningSummary, mine
from crosstune.data.mining.sample import mined_sample

__all__ = [
    "LEDGER",
    "REASONS",
    "UNANSWERED",
    "Answer",
    "MiningSummary",
    "Teacher",
    "mine",
    "mined_sample",
    "read_answers",
    "read_groups",
    "read_ledger",
    "suspicion",
]
