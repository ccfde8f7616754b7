"""Private keys in a text, whole or cut off at either end, and however they are wrapped.

A key is looked for by what cannot be anything else: the marks of RFC 7468 (PEM), RFC 4880 (OpenPGP), RFC 4716
(SSH.com) and PuTTY's files; the first bytes of a key's ASN.1 in base64, where the marks are gone; these marks in
base64 once more. From there its body is followed, one run of base64 to the next, over line ends, escapes of line
ends, quotes, commas, `echo` and the like.
"""

import base64
import binascii
import re
from collections.abc import Iterator

import re2

from transforms.pii_values import decoded, is_given, varied

LONGEST = 20_000
"""Bytes that a key may take; RSA with 16,384 bits has 12,700."""

BLANK = rb"(?:[ +_]|%20|\\u0020)"
NAME = rb"(?:[A-Z0-9]{1,12}" + BLANK + rb"){0,3}PRIVATE" + BLANK + rb"KEY(?:" + BLANK + rb"BLOCK)?"
BEGIN = re.compile(rb"-{4,5} ?BEGIN" + BLANK + NAME + rb" ?-{4,5}")
END = re.compile(rb"-{4,5} ?END" + BLANK + NAME + rb" ?-{4,5}")
PUTTY = re.compile(
    rb"PuTTY-User-Key-File-[23]: [\s\S]{20,8000}?\nPrivate-Lines: \d{1,3}\r?\n"
    rb"(?:[A-Za-z0-9+/=]{1,64}(?:\r?\n|\Z)){1,300}(?:Private-MAC: [0-9a-f]{40,64})?"
)
HEADLESS = re.compile(
    rb"(?<![A-Za-z0-9+/])(?:MII[A-Za-z0-9+/]{3}IBA(?:AK[BC]|DANBgkqhkiG9w0BAQEFAASC)|MI[A-Za-z0-9+/]{4}AgEAMBAGByqGSM49"
    rb"|M[A-Za-z0-9+/]{3}AgEAMBMGByqGSM49|MHcCAQEEI|MIGkAgEBBD|MIHcAgEBBEI|MC4CAQAwBQYDK2VwBCIEI"
    rb"|MII[A-Za-z0-9+/]{3}TBXBgkqhkiG9w0BBQ0w|b3BlbnNzaC1rZXktdjE)"
)
"""The first bytes of RSA (PKCS #1, PKCS #8), elliptic curves (SEC 1, PKCS #8), Ed25519, encrypted PKCS #8, OpenSSH."""
ENCODED = re.compile(
    rb"LS0tLS1CRUdJTi|tLS0tLUJFR0lOI|0tLS0tQkVHSU4g|TFMwdExTMUNSVWRKVG|2[dD]2[dD]2[dD]2[dD]424547494[eE]20"
)
"""`-----BEGIN` in base64, at each of its three places in a group; in base64 of base64; in hexadecimal."""
SECRET_MANIFEST = re.compile(rb"""(?mi)^[ \t]*["']?kind["']?[ \t]*:[ \t]*["']?Secret["']?[ \t]*,?[ \t]*\r?$""")
WEB_KEY = re.compile(rb"""["']kty["'][ \t]*:""")

BREAK = rb"(?:\\*\\[nrt]|%0[AD]|&#(?:x[AaDd]|1[03]);|<br ?/?>|\\u000[aAdD]|\\x0[aAdD]|\\012)"
GAP = re.compile(rb"(?:" + BREAK + rb"|//[ \t]|[\s\"'`,;+.()\[\]{}#*>|<:&$@\\-]){0,160}")
"""What may stand between two lines of a key: line ends in every spelling, quotes, signs of comments and of joining."""
ECHO = re.compile(rb"[\"']?[ \t]*>>?[^\n]{0,120}\n[ \t]*(?:echo|printf)[ \t]+(?:-[a-z]+[ \t]+)?[\"']?")
HEADER = re.compile(rb"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|Subject):[^\n\\]{0,120}")
RUN = re.compile(rb"[A-Za-z0-9+/]{1,%d}={0,2}" % LONGEST)

SIGNS = re2.compile(
    rb"PRIVATE(?:[ +_]|%20|\\u0020)KEY|PuTTY-User-Key-File-|IBAAK[BC]|DANBgkqhkiG9w0|ByqGSM49|MHcCAQEE|MIGkAgEB"
    rb"|MIHcAgEB"
    rb"|MC4CAQAwBQYDK2Vw|TBXBgkqhkiG9w0BBQ0w|b3BlbnNzaC1r|LS0tLS1CRUdJTi|tLS0tLUJFR0lOI|0tLS0tQkVHSU4g|TFMwdExTMUNSVWRKVG"
    rb"|2[dD]2[dD]2[dD]2[dD]424547494|kind[\"']?[ \t]*:[ \t]*[\"']?[Ss]ecret\b|[\"']kty[\"']"
)
"""Without one of these a text holds no key of any sort."""

Found = Iterator[tuple[int, int, str]]


def private_keys(text: bytes) -> Found:
    """Where private keys stand in a text, start and end in bytes; `SECRET` for what a Kubernetes Secret holds."""
    if not SIGNS.search(text):
        return
    for start, end in (*marked(text), *headless(text), *encoded(text), *web_keys(text)):
        yield start, end, "PRIVATE_KEY"
    for start, end in secret_manifests(text):
        yield start, end, "SECRET"


def marked(text: bytes) -> Iterator[tuple[int, int]]:
    """Keys between their marks, or from the mark that is left to where the body ends."""
    begins = [match.span() for match in BEGIN.finditer(text)]
    ends = [match.span() for match in END.finditer(text)]
    closed = set()
    for place, (start, after) in enumerate(begins):
        limit = min([after + LONGEST, *(begin for begin, _ in begins[place + 1 : place + 2])])
        end = next(((first, last) for first, last in ends if after <= first < limit), None)
        if end and is_body(text[after : end[0]]):
            closed.add(end)
            yield start, end[1]
        elif (last := follow(text, after)) is not None:
            yield start, last
    for first, last in ends:
        if (first, last) not in closed and (start := follow_back(text, first)) is not None:
            yield start, last
    for match in PUTTY.finditer(text):
        yield match.span()


def is_body(body: bytes) -> bool:
    """Half of it, and a line's worth, is base64."""
    runs = [run for run in re.findall(rb"[A-Za-z0-9+/]{16,}", body) if varied(run.decode())]
    return any(len(run) >= 40 for run in runs) and 2 * sum(map(len, runs)) >= len(body)


def is_material(run: bytes) -> bool:
    """Base64 that reads like no word: of one line of a key."""
    text = run.rstrip(b"=").decode()
    return (
        len(text) >= 16
        and varied(text)
        and bool(re.search(r"[a-z].*[A-Z]|[A-Z].*[a-z]", text) and re.search(r"[0-9+/]", text))
    )


def follow(text: bytes, start: int) -> int | None:
    """The end of the key's body that begins at a place; None where there is too little of it."""
    place, end, size, width = start, start, 0, 0
    while place - start < LONGEST:
        gap = ECHO.match(text, place) or GAP.match(text, place)
        first = gap.end() if gap else place
        if header := HEADER.match(text, first):
            place = header.end()
            continue
        run = RUN.match(text, first)
        if run is None:
            break
        short = width and 4 <= len(run[0]) <= width and re.search(rb"[a-z].*[A-Z0-9+/=]|[A-Z0-9+/].*[a-z]", run[0])
        if not is_material(run[0]) and not short:
            break
        place = end = run.end()
        size += len(run[0])
        width = max(width, len(run[0]))
    return end if size >= 32 else None


def follow_back(text: bytes, end: int) -> int | None:
    """Where the body begins that ends before a mark: line by line upwards."""
    start, size, place = end, 0, end
    for line in reversed(re.split(rb"(\n|\\n)", text[max(0, end - LONGEST) : end])):
        place -= len(line)
        runs = re.findall(rb"[A-Za-z0-9+/]{4,}={0,2}", line)
        if sum(map(len, runs)) * 2 < len(line.strip()) or (size and not all(map(is_material, runs))):
            break
        if runs:
            start, size = place + line.find(runs[0]), size + sum(map(len, runs))
    return start if size >= 32 else None


def headless(text: bytes) -> Iterator[tuple[int, int]]:
    """Keys whose marks are gone, by their first bytes."""
    for match in HEADLESS.finditer(text):
        if (end := follow(text, match.start())) is not None and end - match.start() >= 40:
            yield match.start(), end


def encoded(text: bytes) -> Iterator[tuple[int, int]]:
    """Keys that are in base64 or hexadecimal as a whole: in kubeconfig files, Kubernetes Secrets, variables of CI."""
    for match in ENCODED.finditer(text):
        start = match.start()
        while start > 0 and match.start() - start < 4 and text[start - 1 : start].isalnum():
            start -= 1
        run = RUN.match(text, start)
        if run and b"PRIVATE" in unwrapped(run[0]):
            end = follow(text, start)
            yield start, end if end is not None else run.end()


def unwrapped(run: bytes) -> bytes:
    """What stands at the head of a base64 or hexadecimal text, base64 of base64 included."""
    head = run[:400]
    if re.fullmatch(rb"[0-9a-fA-F]+", head):
        return bytes.fromhex(head[: len(head) // 2 * 2].decode())
    for shift in range(4):
        try:
            plain = base64.b64decode(head[shift : shift + (len(head) - shift) // 4 * 4])
        except binascii.Error:
            continue
        if b"-BEGIN" in plain:
            return plain
        if b"LS0tLS1CRUdJTi" in plain:
            return unwrapped(plain[plain.find(b"LS0t") :])
    return b""


def web_keys(text: bytes) -> Iterator[tuple[int, int]]:
    """The private members of JSON Web Keys (RFC 7517, RFC 7518)."""
    if WEB_KEY.search(text):
        for match in re.finditer(
            rb"""["'](?:d|p|q|dp|dq|qi|k)["'][ \t]*:[ \t]*["']([A-Za-z0-9_-]{20,2000})["']""", text
        ):
            if varied(match[1].decode()):
                yield match.span(1)


ENTRY = re.compile(rb"""(?m)["']?([\w.-]{1,253})["']?[ \t]*:[ \t]*["']?([^\s"',{}\[\]|>#]{4,8000})["']?""")
PUBLIC_ENTRY = re.compile(
    rb"(?i)user(?:_?name)?|host(?:name)?|port|db(?:_?name)?|database|url|type|.*\.crt|.*cert.*|.*pub.*|name"
)


def secret_manifests(text: bytes) -> Iterator[tuple[int, int]]:
    """The values below `data` and `stringData` of manifests of `kind: Secret`."""
    for match in SECRET_MANIFEST.finditer(text):
        first = text.rfind(b"\n---", 0, match.start()) + 1
        last = text.find(b"\n---", match.end())
        document = text[first : last if last >= 0 else len(text)]
        for block in re.finditer(
            rb"""(?m)^([ \t]*)["']?(data|stringData)["']?:[ \t]*\{?[ \t]*\r?\n((?:\1[ \t]+[^\n]*\n?|[ \t]*\r?\n)+)""",
            document,
        ):
            for entry in ENTRY.finditer(block[3]):
                value = entry[2].decode(errors="replace")
                plain = decoded(value) if block[2] == b"data" else value
                if not PUBLIC_ENTRY.fullmatch(entry[1]) and is_given(plain or value):
                    start = first + block.start(3) + entry.start(2)
                    yield start, start + len(entry[2])
