"""A user's query is one statement, however it ends."""

import pytest

from pipeline.sources.bigquery import BigQuerySource
from pipeline.sources.bigquery_sql import statement
from pipeline.sources.files import SourceError

ENDS = [
    "",
    ";",
    " ; ;\n",
    "\n-- the end",
    "; -- the end",
    ";\n# the end; of it\n",
    "/* a;\nb */;",
    "; /* ' */ -- \"\n;",
    "#'",
]
QUERIES = [
    "-- ours; with a comment's quote\nSELECT * FROM `lake.own.code` WHERE name != '-- no; comment # '",
    "SELECT '--'",
    'SELECT "a\\";--"',
    "SELECT r'\\';--'",
    'SELECT """a\n;--"""',
    "SELECT ''';'#'''",
    "SELECT `a#;`",
    "SELECT 1 /* a */ + 2",
    "SELECT 1; SELECT 2",
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_may_end_as_it_likes(query: str, end: str) -> None:
    assert statement(f" \n{query}{end}") == query


def test_a_query_without_a_statement_is_refused() -> None:
    source = BigQuerySource("payer", query="-- nothing\n;", api_endpoint="http://127.0.0.1:1")
    with pytest.raises(SourceError, match="bigquery query: it holds no statement; write a SELECT"):
        source.splits(1 << 20)
