"""The columns of the public datasets and what each of them means."""

import pyarrow as pa


def field(name: str, type: pa.DataType, doc: str, nullable: bool = True) -> pa.Field:
    """An Arrow field that carries its meaning in its metadata, under ``doc``."""
    return pa.field(name, type, nullable=nullable, metadata={"doc": doc})


SOURCE_ROW = pa.schema(
    [
        field("source", pa.string(), "kind and uri of the recipe's source that gave the file", nullable=False),
        field("repo", pa.string(), "repository: owner/name, a package, a folder", nullable=False),
        field("revision", pa.string(), "commit, tag or version, where the source knows it"),
        field("path", pa.string(), "path inside the repository, with forward slashes", nullable=False),
        field("size", pa.int64(), "bytes in the source, also for files that were not read"),
        field("content_id", pa.string(), "git blob id, 40 hex digits; null where the bytes were not read"),
        field("content", pa.string(), "the text, unchanged; null where `input_reason` says why"),
        field("claimed_license", pa.string(), "licence that the source itself states for the file's repository"),
        field("claimed_stars", pa.int64(), "stars that the source itself states for the file's repository"),
        field("repo_last_commit", pa.timestamp("s", "UTC"), "when the revision was committed; null unless from git"),
        field(
            "repo_authors", pa.int32(), "addresses of authors in the history up to the revision; null unless from git"
        ),
        field("input_reason", pa.string(), "why no text could be read: a dotted name such as input.not_utf8"),
        field("input_detail", pa.string(), "the value and the bound, or the error, behind `input_reason`"),
        field(
            "evidence",
            pa.string(),
            "text of a licence file or package metadata that has no `content`: decoded, too large, or unchanged",
        ),
        field("link", pa.string(), "path from the repository's root that a link leads to, as it was written"),
    ]
)
"""What every source gives: one row per file, readable or not."""

FAILURE = field("failed", pa.string(), "first transform that raised on the file, and its exception's type")
"""Steps that isolate failing rows write it, and carry it from one to the next."""

EVENTS = pa.schema(
    [
        field("archive", pa.string(), "archive that the event is from", nullable=False),
        field("kind", pa.string(), "star, fork, creation, other, or failed", nullable=False),
        field("identity", pa.int64(), "the repository's number or, below zero, a hash of its name"),
        field("repo", pa.string(), "the repository's name at the time: owner/name in lower case"),
        field("who", pa.int64(), "the actor of a star, the repository that a fork made: a number or a hash, no name"),
        field("time", pa.timestamp("s", "UTC"), "when it happened"),
        field("created", pa.timestamp("s", "UTC"), "when the repository was made, where the event tells"),
        field("stars", pa.int64(), "stars of the repository by then, where the event tells"),
        field("forks", pa.int64(), "forks of the repository by then, where the event tells"),
        field("reason", pa.string(), "why no event could be read: a dotted name such as input.malformed_json"),
        field("detail", pa.string(), "line and trouble behind `reason`"),
        field("events", pa.int64(), "1; 0 for a second repository that an event names", nullable=False),
    ]
)
"""What an archive of events gives: a row per line, readable or not, and one more for the repository a fork made."""

POPULARITY = pa.schema(
    [
        field("repo_stars", pa.int64(), "stars of the repository; null where nobody tells"),
        field("repo_forks", pa.int64(), "forks of the repository; null where nobody tells"),
        field("repo_created", pa.timestamp("s", "UTC"), "when the repository was made; null where nobody tells"),
    ]
)
"""How popular, and how old, a file's repository is."""

ROW_ID = field("row_id", pa.int64(), "home shard << 32 | row in the shard; names a row of `files`", nullable=False)

COPIES = pa.schema(
    [
        ROW_ID,
        field(
            "cluster",
            pa.string(),
            "content id of the cluster's survivor or, where none survives, of its first file",
        ),
        field("copies", pa.int32(), "files that share this exact content"),
        field("survivor", pa.string(), "repo/path of the file kept in this one's place"),
        field(
            "similarity",
            pa.float64(),
            "exact Jaccard similarity of the shingle sets of this file and the survivor",
        ),
        field(
            "license",
            pa.string(),
            "SPDX expression: the strictest seen in repository, directory, header, copies",
        ),
        field("license_class", pa.string(), "permissive, weak-copyleft, copyleft, proprietary or unknown"),
        field(
            "license_evidence",
            pa.string(),
            "where the licence was seen: kind, place and expression, joined by '; '",
        ),
        field("reason", pa.string(), "why the file is not kept, a dotted name; null for kept files"),
        field("detail", pa.string(), "the value and the threshold, or the similarity, behind `reason`"),
    ]
)
"""What became of each row of `files`, aligned with it shard by shard and row by row."""

CAPPED = "compared with "
"""How the detail of a kept file begins that was not compared with all files like it."""

LEDGER = pa.schema(
    [
        SOURCE_ROW.field("source"),
        SOURCE_ROW.field("repo"),
        SOURCE_ROW.field("revision"),
        SOURCE_ROW.field("path"),
        SOURCE_ROW.field("content_id"),
        SOURCE_ROW.field("size"),
        field("language", pa.string(), "linguist's name for the language"),
        COPIES.field("license"),
        field("decision", pa.string(), "kept, dropped or failed", nullable=False),
        COPIES.field("reason"),
        COPIES.field("detail"),
        COPIES.field("survivor"),
    ]
)
"""One row per input file: its fate."""
