"""Personal data and secrets: what is found in code, what is left alone, and what stands there afterwards.

The secrets are made up here. Those with a vendor's prefix are put together from two parts, so that no scanner
takes this file for a leak.
"""

import inspect
import ipaddress
import logging
import pickle
import smtplib
import time
import urllib.request
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.pii import FindPersonalData, Redact, Span, character_starts, exhausted, united
from transforms.pii_keys import private_keys
from transforms.pii_recognizers import KINDS, RULE_SETS, finder
from transforms.pii_rule import AFTER, BEFORE
from transforms.pii_tokens import vendor_tokens

FIND = FindPersonalData().load()
REDACT = Redact().load()
BASE64_LINE = "MIIEowIBAAKCAQEAx7Zk3Vn9QbGm2RtYc8LpJw5sHfDq0iUeXoKa1TgB6CrSvNyM"


def scrub(*texts: str | None) -> list[tuple[str | None, str | None]]:
    """Each text's `redacted` and `pii_kinds`."""
    content = pa.array(texts, pa.string())
    pii = FIND(pa.record_batch({"content": content})).column("pii")
    batch = REDACT(pa.record_batch({"content": content, "pii": pii}))
    return list(zip(batch.column("redacted").to_pylist(), batch.column("pii_kinds").to_pylist(), strict=True))


def spans(text: str) -> list[tuple[int, int, str]]:
    found = FIND(pa.record_batch({"content": [text]})).column("pii")[0].as_py()
    return [(span["start"], span["end"], span["kind"]) for span in found]


PRIVATE_KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *[BASE64_LINE] * 4, "-----END RSA PRIVATE KEY-----"])

SECRETS = [
    ("author = 'Joé <", "joe.doe@gmail.com", ">'", "EMAIL_ADDRESS"),
    ("host = '", "93.184.216.34", "'", "IP_ADDRESS"),
    ("http://", "93.184.216.34", ":8080/", "IP_ADDRESS"),
    ("ping -c 3 ", "93.184.216.34", ",10.0.0.1 0.25", "IP_ADDRESS"),
    ('server: "', "2a00:1450:4001:81b::200e", '"', "IP_ADDRESS"),
    ("ether ", "3c:52:82:6f:1a:d4", " brd", "MAC_ADDRESS"),
    ("card = '", "4556 7375 8689 9855", "'", "CREDIT_CARD"),
    ("iban=", "DE89370400440532013000", ";", "IBAN_CODE"),
    ("// donate: ", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "", "CRYPTO"),
    ("# phone: ", "+1 (212) 736-5000", "", "PHONE_NUMBER"),
    ('ssn = "', "536-90-4399", '"', "US_SSN"),
    ("db = 'postgres://", "admin:s3cr3tX9", "@db.internal:5432/app'", "URL_CREDENTIALS"),
    ("AWS_ACCESS_KEY_ID=", "AKIA" + "Y34FZKBOKMUTVV7A", "\n", "AWS_ACCESS_KEY"),
    ("AWS_SECRET_ACCESS_KEY=", "kQ2+vX8sLw/9ZrT4" + "bNcM1yHdF6GjPaE3uRoViB7t", "\n", "AWS_SECRET_KEY"),
    ("key: '", "AIza" + "SyD3kF9xLmQ2vR7tB1nW5zY8cH4jP6sG0aX", "'", "GOOGLE_API_KEY"),
    ('"client_secret": "', "GOCSPX-" + "4fK9xLmQ2vR7tB1nW5zY8cH4jP6s", '"', "GOOGLE_OAUTH_SECRET"),
    ('"private_key_id": "', "0123456789abcdef" + "fedcba987654321001234567", '"', "GOOGLE_KEY_ID"),
    ("AccountKey=", "Zk3Vn9QbGm2RtYc8LpJw5sHf" * 3 + "Dq0iUeXoKa1TgB==", ";End", "AZURE_STORAGE_KEY"),
    ("secret = '", "abc8Q~" + "9xLmQ2vR7tB1nW5zY8cH4jP6sG0aXkD3f", "'", "AZURE_CLIENT_SECRET"),
    ("token: ", "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", "\n", "GITHUB_TOKEN"),
    ("", "glpat-" + "x9LmQ2vR7tB1nW5zY8cH", "", "GITLAB_TOKEN"),
    ("slack('", "xoxb-" + "294857103948-4fK9xLmQ2vR7tB1nW5zY8cH4", "')", "SLACK_TOKEN"),
    (
        "https://hooks.slack.com/services/",
        "T03KF9XLM/B02VR7TB1/nW5zY8cH4jP6sG0aXkD3fQ9e",
        "",
        "SLACK_WEBHOOK",
    ),
    ("stripe.api_key = '", "sk_live_" + "4fK9xLmQ2vR7tB1nW5zY8cH4", "'", "STRIPE_KEY"),
    ("", "sk-ant-" + "api03-4fK9xLmQ2vR7tB1nW5zY8cH4jP6sG0aX", "", "ANTHROPIC_KEY"),
    ("OpenAI('", "sk-" + "4fK9xLmQ2vR7tB1nW5zY8cH4jP6sG0aXkD3fQ9eT2uV5wM8r", "')", "OPENAI_KEY"),
    ("login('", "hf_" + "kFxLmQvRtBnWzYcHjPsGaXkDfQeTuVwMrB", "')", "HUGGING_FACE_TOKEN"),
    ("//npm.corp.test/:_authToken=", "npm_" + "4fK9xLmQ2vR7tB1nW5zY8cH4jP6sG0aXkD3f", "", "NPM_TOKEN"),
    ("", "pypi-AgE" + "IcHlwaS5vcmcCJDRmSzl4TG1RMnZSN3RCMW5XNXpZOGNINGpQNnNHMGFYa0QzZg", "", "PYPI_TOKEN"),
    ("sid = '", "AC" + "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "'", "TWILIO_KEY"),
    ("", "SG." + "4fK9xLmQ2vR7tB1nW5zY8c.H4jP6sG0aXkD3fQ9eT2uV5wM8rB1nW5zY8cH4jP6sG0", "", "SENDGRID_KEY"),
    ("bot = '", "110201543:AA" + "HdqTcvCH1vGWJxfSeofSAs0K5PALDsaw3", "'", "TELEGRAM_TOKEN"),
    ("", "dop_v1_" + "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2, "", "DIGITALOCEAN_TOKEN"),
    ("Bearer ", "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiI4MTQ3In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r", "", "JWT"),
    ("ssh-rsa ", "AAAAB3NzaC1yc2EAAAADAQABAAABAQ" + BASE64_LINE, " joe@laptop", "SSH_KEY"),
    ("key = '''", PRIVATE_KEY, "'''", "PRIVATE_KEY"),
    ('{"private_key": "', PRIVATE_KEY.replace("\n", "\\n"), '\\n"}', "PRIVATE_KEY"),
    ('password = "', "hunter2", '"', "PASSWORD"),
    ("db.connect(user='app', passwd='", "tr0ub4dor&3", "')", "PASSWORD"),
    ('{"dbPassword": "', "Sup3rS3cret!", '"}', "PASSWORD"),
    ('String password = "', "Wx7!kd93", '";', "PASSWORD"),
    ("const pwd: string = `", "Wx7!kd93", "`;", "PASSWORD"),
    ("DB_PASSWORD=", "hunter2", "\n", "PASSWORD"),
    ("password: ", "Wx7!kd93", "\n", "PASSWORD"),
    ("api_key = '", "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c", "'", "SECRET"),
    ("X-Auth-Token: ", "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c", "\n", "SECRET"),
]


@pytest.mark.parametrize(("before", "secret", "after", "kind"), SECRETS)
def test_only_the_secret_is_replaced_by_its_kind(before, secret, after, kind):
    head, tail = f"import os  # naïve ☃\n{before}", f"{after}\nprint('done')\n"
    assert scrub(head + secret + tail) == [(f"{head}<{kind}>{tail}", f"{kind}:1")]


def test_every_kind_is_tested():
    assert {kind for *_, kind in SECRETS} == set(KINDS)


@pytest.mark.parametrize(
    "code",
    [
        "mail = 'joe@example.com', 'a@sub.example.org', 'jane@acme.test'  # RFC 2606",
        "git clone git@github.com:owner/name.git",
        "From: noreply@github.com, no-reply@accounts.google.com, do-not-reply@python.org",
        "ssh root@buildhost",
        "@app.route('/')\n@pytest.mark.skip\nresult = A@B.T + self.w@x.to(device)",
        "npm install lodash@4.17.21 @types/node@16.0.1 pkg@1.2.3 netty@4.1.115.Final",
        "icon@2x.png",
        "version = '1.2.3.4'; __version__ = '12.34.56.78'; numpy==11.22.33.44; v1.2.3.4",
        "Chrome/91.0.44.124 jquery-11.12.13.14.js oid 2.16.84.114 upgrade V8 to 3.22.124.50",
        "// 20.11.5.1 construction, 1.3.101.110, 4.4.2.110",
        '<path d="M1.2 3.4 7.76 11.118.5.92 1.37z M3.28,15,45.45.87.29,1.67.81,2.54"/>',
        "127.0.0.1 10.1.2.3 192.168.17.12 172.16.44.2 169.254.10.20 224.0.11.12 255.255.255.0 0.0.0.0",
        "192.0.2.17 198.51.100.17 203.0.113.17 2001:db8::17 fe80::1:2:3 ::1  # RFC 5737, RFC 3849",
        "sha1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'; std::begin(x); a[2000::3]",
        "id = '550e8400-e29b-41d4-a716-446655440000'; token = '550e8400-e29b-41d4-a716-446655440000'",
        "password = 'changeme'; PASSWORD = 'password'; pwd = 'your-password-123'; passwd='xxxxxxxx'",
        "password = os.environ['DB_PASSWORD2']; password = '${DB_PASSWORD2}'; password = '{{ pw2 }}'",
        "password = getpass.getpass('Password: '); password: 'auth.password_label2'; password = '%s1%s'",
        "DB_PASSWORD=$(cat /run/secret2)\nDB_PASSWORD=${SECRET2}\nPASSWORD=<your password>",
        "token = 'example_token_for_the_tests'; secret = 'secret'; api_key = 'YOUR_API_KEY_1234567890'",
        "token = tokenizer.next_token2(stream); secret_name = 'projects/p1/secrets/s2/versions/v3'",
        "tokenizer = AutoTokenizer.from_pretrained('Qwen/Qwen2.5-7B-Instruct-1M')",
        "'https://user:password@host.org', 'ftp://{user}:{password}@host', 'http://localhost:80/?q=a@b'",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx AKIAXXXXXXXXXXXXXXXX",
        'BEGIN = "-----BEGIN PRIVATE KEY-----"\nEND = "-----END PRIVATE KEY-----"',
        "integrity: sha512-" + "Zk3Vn9QbGm2RtYc8LpJw5sHf" * 3 + "Dq0iUeXoKa1TgB==",
        "x = 4556737586899855  # a number; y = 0.4556737586899855; 4778 4787 4796 4805 4812",
        "phone: 555-0100, phone = 1234567890, call 2026-01-02",
    ],
)
def test_placeholders_and_lookalikes_stay(code):
    assert scrub(code) == [(code, None)]


def test_rows_null_empty_and_many():
    rows = [None, "", "x = 1", "joe.doe@gmail.com, ann@python.org, 93.184.216.34"]
    pii = FIND(pa.record_batch({"content": pa.array(rows, pa.string())})).column("pii")
    assert pii.is_valid().to_pylist() == [False, True, True, True]
    assert [len(row) for row in pii.to_pylist()[1:]] == [0, 0, 3]
    redacted = "<EMAIL_ADDRESS>, <EMAIL_ADDRESS>, <IP_ADDRESS>"
    assert scrub(*rows) == [
        (None, None),
        ("", None),
        ("x = 1", None),
        (redacted, "EMAIL_ADDRESS:2 IP_ADDRESS:1"),
    ]
    assert scrub() == []


def test_rows_do_not_depend_on_their_neighbours():
    rows = [
        "joe.doe@gmail.com",
        "x" * 50,
        "@gmail.com",
        "93.184.216.",
        "34 AKIA",
        "é",
        'password = "hunter2"',
    ]
    batch = pa.record_batch({"content": pa.array(rows)})
    whole = FIND(batch)
    assert whole.schema == FindPersonalData().adds
    for row in range(len(rows)):
        assert FIND(batch.slice(row, 1)).column("pii").to_pylist() == whole.column("pii").slice(row, 1).to_pylist()


def test_nothing_found_returns_the_content_uncopied():
    content = pa.array(["x = 1", None, "y = 2"])
    pii = FIND(pa.record_batch({"content": content})).column("pii")
    redacted = REDACT(pa.record_batch({"content": content, "pii": pii})).column("redacted")
    assert redacted.buffers()[2].address == content.buffers()[2].address


def test_kinds_are_a_setting():
    batch = pa.record_batch({"content": ['joe.doe@gmail.com password = "hunter2"']})
    found = pickle.loads(pickle.dumps(FindPersonalData(("PASSWORD",)))).load()(batch).column("pii")[0].as_py()
    assert [span["kind"] for span in found] == ["PASSWORD"]
    assert FindPersonalData(()).load()(batch).column("pii").to_pylist() == [[]]
    with pytest.raises(ValueError, match=r"\['PASSWORT'\]"):
        FindPersonalData(("PASSWORT",))


def test_no_value_reaches_a_log(caplog):
    caplog.set_level(logging.DEBUG)
    for before, secret, after, _ in SECRETS:
        scrub(f"{before}{secret}{after}")
        assert secret not in caplog.text


FINDERS = [[(finder(rule), rule.kind) for rule in rules] for rules in RULE_SETS]


def spans_of_whole_text(text: str) -> list[Span]:
    """What the detectors find when each is given the whole text."""

    def found(data: bytes) -> list[Span]:
        byte_of = character_starts(data).tolist()
        by_rules = [
            [(byte_of[start], byte_of[end], kind) for find, kind in finders for start, end in find(data.decode())]
            for finders in FINDERS
        ]
        return united([*private_keys(data), *by_rules[0], *vendor_tokens(data), *by_rules[1]])

    return exhausted(text.encode(), found)


@pytest.mark.parametrize(
    "path",
    [
        *[Path(inspect.getfile(module)) for module in (smtplib, ipaddress, urllib.request)],
        Path(__file__),
        Path(inspect.getfile(finder)),
    ],
    ids=lambda path: path.name,
)
def test_windows_find_what_the_whole_text_gives(path):
    text = path.read_text(encoding="utf-8")
    assert spans(text) == spans_of_whole_text(text)
    one_line = text.replace("\n", " ")
    assert spans(one_line) == spans_of_whole_text(one_line)


pieces = st.one_of(
    st.sampled_from([before + secret + after for before, secret, after, _ in SECRETS]),
    st.sampled_from(
        ["é", "☃", "😀", "\n", "\r\n", " ", '"', "'", "=", "@", "://", "a" * BEFORE, "é " * AFTER, "-", "/"]
    ),
    st.text(max_size=8),
)
documents = st.lists(pieces, max_size=12).map("".join)


@settings(deadline=None, max_examples=80)
@given(documents)
def test_windows_find_what_any_whole_text_gives(text):
    assert spans(text) == spans_of_whole_text(text)


@settings(deadline=None, max_examples=150)
@given(documents)
def test_text_outside_the_spans_stays(text):
    data, found = text.encode(), spans(text)
    edges = [edge for start, end, _ in found for edge in (start, end)]
    assert edges == sorted(edges)
    assert all(0 <= start < end <= len(data) for start, end, _ in found)
    expected, position = b"", 0
    for start, end, kind in found:
        expected += data[position:start] + f"<{kind}>".encode()
        position = end
    [(redacted, kinds)] = scrub(text)
    assert redacted == (expected + data[position:]).decode()
    assert (kinds is None) == (not found)


@pytest.mark.parametrize("filler", ["function(a,b){return c.d(e)};", "ab0+", "a@", "1.2.3.4,", "password", "sk-"])
def test_a_long_line_takes_bounded_time(filler):
    line = (filler * 50_000)[:100_000] + " joe.doe@gmail.com " + (filler * 50_000)[:100_000]
    start = time.process_time()
    found = spans(line)
    assert time.process_time() - start < 5
    assert "EMAIL_ADDRESS" in {kind for *_, kind in found}
