"""The rewrite rules, by subject. See `rewrite` for their grammar; README.md beside this for what they aim at."""

from tracegraph.passes.rewrite import Rule
from tracegraph.passes.rules.arithmetic import RULES as ARITHMETIC
from tracegraph.passes.rules.casts import RULES as CASTS
from tracegraph.passes.rules.identities import RULES as IDENTITIES
from tracegraph.passes.rules.indexing import RULES as INDEXING
from tracegraph.passes.rules.powers import RULES as POWERS
from tracegraph.passes.rules.properties import property_rules
from tracegraph.passes.rules.reductions import RULES as REDUCTIONS
from tracegraph.passes.rules.selection import RULES as SELECTION

ALL_RULES: tuple[Rule, ...] = (
    *IDENTITIES,
    *property_rules(),
    *ARITHMETIC,
    *POWERS,
    *CASTS,
    *SELECTION,
    *INDEXING,
    *REDUCTIONS,
)
