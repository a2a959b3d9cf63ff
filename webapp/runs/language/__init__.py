"""The query language of runs: `metrics."eval/loss" < 2 and params.method = 'lora' and not tags = 'old'`.

    query      = and {"or" and}
    and        = not {"and" not}
    not        = "not" not | "(" query ")" | comparison
    comparison = column sign value | column ["not"] "in" "(" value {"," value} ")"
               | column ["not"] ("like" | "ilike") text | column "is" ["not"] "null"
    sign       = "=" | "!=" | "<" | "<=" | ">" | ">="
    column     = name {"." name}           a name that is more than letters, digits, _, - and / stands in "" or ``
    value      = number | number unit {number unit} | 'text' | word          units: s m h d

Words of the language may be written large or small. A quote inside its own quotes is doubled. In `like`, % is any
characters and _ is one; `ilike` takes large and small letters as the same.

Each comparison is true or false, false where the run has no such value; `not` turns that round. So `not metrics.loss <
2` finds the runs without a loss too, and `metrics.loss != 2` doesn't. NaN is neither above nor below a number.

Text is of the language when it begins (behind `not` and parentheses) with `metrics.`, `params.` or `facts.`, or with a
column and a sign, `in (`, `like '` or `is null`, or when a sign stands alone between blanks anywhere outside of quotes.
All other text is plain words. `lr=0.1` is a word (there is no column lr), `lr = 0.1` is a query that names what is
wrong.
"""

from __future__ import annotations

from webapp.runs.language.columns import Family, register
from webapp.runs.language.compiling import condition, is_indexed, is_of_metrics, order_of
from webapp.runs.language.completing import Completion, complete
from webapp.runs.language.errors import BadQuery
from webapp.runs.language.parsing import MOST_CHARACTERS, parse
from webapp.runs.language.printing import part_text, text_of
from webapp.runs.language.telling import is_query

__all__ = [
    "MOST_CHARACTERS",
    "BadQuery",
    "Completion",
    "Family",
    "complete",
    "condition",
    "is_indexed",
    "is_of_metrics",
    "is_query",
    "order_of",
    "parse",
    "part_text",
    "register",
    "text_of",
]
