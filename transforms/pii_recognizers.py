"""What personal data and secrets look like in code: one rule per shape, each run by a recognizer of presidio.

A rule has a cheap `trigger` for RE2, a `pattern` for presidio, and a test of the matched text. A pattern
matches nothing without a match of its trigger in the same line, reaches at most `BEFORE` bytes to the left of
the trigger and `AFTER` to its right, looks to either side included, and never crosses a line end (those of
`BLOCK_RULES` do). On these bounds rests that a scan of the windows around triggers finds what a scan of the
whole text finds. ``\\K`` in a pattern starts the part to redact.

Sources, by the short names that the tables use:

- presidio: predefined recognizers of presidio-analyzer, whose checks (checksums, formats) are run as they are
- gitleaks: config/gitleaks.toml of github.com/gitleaks/gitleaks
- detect-secrets: the plugins of github.com/Yelp/detect-secrets
- else the vendor whose documentation gives the shape
"""

import ipaddress
import logging
import math
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import regex

if TYPE_CHECKING:
    from presidio_analyzer import PatternRecognizer

BEFORE = 512
"""Bytes of a long line that any pattern may look at to the left of its trigger."""

AFTER = 4096
"""Bytes of a long line that any pattern may look at to the right of its trigger's start."""


def entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def varied(text: str) -> bool:
    """No run of one filler character: below 2.5 bits stand `xxxx…` and `0000…`, above it all real tokens."""
    return entropy(text) >= 2.5 and not re.search(r"(.)\1{7}", text)


TEMPLATE = re.compile(
    r"[\\\s]|\$\{|\$\(|^\$\w+$|^@\w+@$|\{\w*\}|\{\{|%\(|%[sdr]|<.*>|\[.*\]|\.\.\.|\*{3}|x{4}|://|^[./~]", re.I
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
FILLER = re.compile(
    r"admin|azerty|abcdef|abcd?|account|asdf|bar|baz|bearer|change|config|credentials?|current|customer|database"
    r"|db|default|demo|dummy|empty|enter|env|example|fake|foo|guest|hello|here|hidden|host|insert|invalid|key"
    r"|letmein|me|mock|my|new|none|null|old|pass(?:phrase|w(?:or)?d|wd)?|placeholder|private|pw[ds]?|qwerty"
    r"|redacted|replace|reset|root|sample|secret|server|some|string|super|test|the|this|todo|token|undefined"
    r"|user(?:name)?|value|welcome|with|wrong|your?|[-_.:!?*#@$0-9]",
    re.I,
)
"""Words and signs of made-up passwords, after gitleaks' stop words."""


def placeholder(value: str) -> bool:
    """A template, a reference, or but filler words: `${VAR}`, `changeme`, `my-password-123`, `xxxx`."""
    return bool(TEMPLATE.search(value)) or len(FILLER.sub("", value)) < 3


def words(value: str) -> bool:
    """Nothing but words, each with at most a short number behind it, as in `auth.token_v2`."""
    return all(re.fullmatch(r"[A-Za-z]*\d{0,3}[A-Za-z]?", part) for part in re.split(r"[-_./:]", value))


def is_path(value: str) -> bool:
    """Words joined by separators: an identifier, a key path."""
    return bool(re.search(r"[-_./:]", value)) and words(value)


def is_password(value: str) -> bool:
    """A made-up password: letters mixed with digits or with signs inside, no placeholder, no key path."""
    mixed = re.search(r"[0-9]|[!@#$%^&*+=?~|].*[A-Za-z0-9]", value) and re.search(r"[A-Za-z]", value)
    return bool(mixed) and not is_path(value) and not placeholder(value) and entropy(value) >= 2.3


def is_token(value: str) -> bool:
    """A random key: digits in two places; 3 bits a character if hexadecimal, 3.5 if not (gitleaks)."""
    if UUID.fullmatch(value) or TEMPLATE.search(value) or words(value) or not re.search(r"[A-Za-z]", value):
        return False
    hexadecimal = re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", value)
    return len(re.findall(r"\d+", value)) >= 2 and entropy(value) >= (3.0 if hexadecimal else 3.5)


def is_bare_password(value: str) -> bool:
    """Without quotes around it, a password must not be readable as a name or a sum in some language."""
    name = re.fullmatch(r"[A-Za-z_][\w.:]*", value) and len(re.findall(r"\d+", value)) < 2
    return is_password(value) and not name and not re.fullmatch(r"[-+*/\w.=&|]*[-+*/.=&|][-+*/\w.=&|]*", value)


def is_bare_token(value: str) -> bool:
    """Without quotes around it, a token must have digits in three places, as names hardly do."""
    return is_token(value) and len(re.findall(r"\d+", value)) >= 3


def is_mixed_case_token(value: str) -> bool:
    """A random key that is no hexadecimal digest."""
    return is_token(value) and bool(re.search(r"[a-z]", value)) and bool(re.search(r"[A-Z]", value))


def are_credentials(value: str) -> bool:
    """The `user:password` of a URL, where the password is none of documentation's."""
    user, _, password = value.partition(":")
    if len(password) < 4 or user.lower() == password.lower() or re.fullmatch(r"[a-z]{1,7}|[A-Z]+", password):
        return False
    return not is_path(password) and not placeholder(password)


@cache
def offline_suffixes() -> Any:
    """tldextract on the public suffix list that it ships; the default one would ask the network first."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


NOBODY = re.compile(
    r"(?:no|do-?not)[-_.]?reply.*|git|hg|svn|ssh|user(?:name)?|you(?:r.*)?|me|foo|bar|x+|(?:some|any)one"
    r"|(?:my|test|some|example)[-_].*",
    re.I,
)
NOWHERE = re.compile(
    r"test|localhost|invalid|local|somewhere|(?:my|your|some)?-?(?:domain|company|site|server|host|org)|foo|bar|baz"
    r"|foobar|acme|xyz|[a-z]|x+|.*example.*|openssh|libssh",
    re.I,
)
"""Local parts and registered names of documentation (RFC 2606: example, test) and of the names of ciphers."""
NUMBERED = re.compile(r"\d+(?:\.\d+)+\.[A-Za-z]+")
"""A version behind the at sign, as in `netty@4.1.115.Final`."""


def is_somebodys_address(value: str) -> bool:
    """An e-mail address under a public suffix, of a person or a group rather than of documentation."""
    local, _, domain = value.partition("@")
    if NUMBERED.fullmatch(domain):
        return False
    place = offline_suffixes()(domain)
    return bool(place.suffix) and not (NOBODY.fullmatch(local) or NOWHERE.fullmatch(place.domain))


PUBLIC_RESOLVERS = {"208.67.222.222", "208.67.220.220", "149.112.112.112"}


def is_public_ip(value: str) -> bool:
    """A routed unicast address, no block that RFC 5737, 3849 or 6890 sets aside and no well-known resolver.

    Two single digits in front, three anywhere, or nothing above 31 are a version, a section or an object
    identifier far more often than a host; so are public resolvers like 8.8.8.8.
    """
    try:
        address = ipaddress.ip_interface(value).ip
    except ValueError:
        return False
    if address.version == 6:
        groups = [group for group in value.partition("/")[0].split(":") if group]
        return address in ipaddress.ip_network("2000::/3") and address.is_global and len(groups) > 2
    octets = address.packed
    small = max(octets[:2]) < 10 or sum(octet < 10 for octet in octets) > 2 or max(octets) < 32
    numbering = small or len(set(octets)) == 1
    return address.is_global and not (address.is_multicast or numbering or str(address) in PUBLIC_RESOLVERS)


def is_phone_number(value: str) -> bool:
    """A number that its country's plan assigns (presidio's library); without `+` it is read as a US one."""
    import phonenumbers

    try:
        number = phonenumbers.parse(value, None if value.startswith("+") else "US")
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def is_key_block(value: str) -> bool:
    """Holds a line's worth of base64, not just the two marks."""
    return any(varied(run) for run in re.findall(r"[A-Za-z0-9+/]{40,}", value))


@dataclass(frozen=True)
class Rule:
    """A shape of personal data or of a secret."""

    kind: str
    source: str
    trigger: str
    """RE2 syntax, over bytes; no look-around, and no end that depends on what follows."""
    pattern: str
    """Syntax of the `regex` module, case-sensitive."""
    accept: Callable[[str], bool] = varied
    presidio: str = "PatternRecognizer"
    """The presidio recognizer that runs the pattern and adds its own check."""


NOT_SECRET = (
    r"(?!(?i:iz|is)|\w{0,20}"
    r"(?i:hash|digest|sum|finger|public|path|file|url|uri|regex|pattern|label|hint|help|title|name))"
)
PASSWORD_KEY = r"passw(?:or)?d|passwd|passphrase|pwd"
TOKEN_KEY = r"secret|token|(?:api|access|auth|account|private|signing)[_-]?key|credential"
BARE = r"[^\s\"'`(){}\[\]<>,;$\\]"


def _quoted(key: str, value: str) -> tuple[str, str]:
    """Trigger and pattern of a quoted literal, assigned to or compared with a name with `key` in it."""
    typed = r":[ \t]?[A-Za-z\[\]|.? ]"
    trigger = (
        rf"(?i:{key})[\w.-]*[\"'\])]{{0,2}}[ \t]*(?::?=+>?|!=+|:|\(|{typed}+=)[ \t]*"
        r"[bru@]{0,2}[\"'`][^\s\"'`]{6}"
    )
    name = rf"{NOT_SECRET}[\w.-]{{0,30}}[\"'\])]{{0,2}}"
    operator = rf"[ \t]{{0,20}}(?::?={{1,3}}>?|!={{1,2}}|:|{typed}{{1,30}}=)"
    pattern = (
        rf"(?<!(?i:public)\w{{0,8}})(?i:{key})(?:\(|{name}{operator})[ \t]{{0,4}}"
        rf"[bru@]{{0,2}}([\"'`])\K{value}(?=\1)"
    )
    return trigger, pattern


def _bare(key: str, value: str) -> tuple[str, str]:
    """Trigger and pattern of a value without quotes, as in YAML and properties files and on command lines."""
    trigger = rf"(?i:{key})[\w.-]*[ \t]?[:=][ \t]?{BARE}*[0-9]"
    name = rf"(?<![^\s#;&?-])[\w.-]{{0,40}}?(?i:{key})[\w.-]{{0,30}}"
    return trigger, rf"{name}[ \t]?[:=][ \t]?\K{value}(?!\S)"


QUOTED_PASSWORD = _quoted(PASSWORD_KEY, r"[^\s\"'`]{6,128}")
QUOTED_TOKEN = _quoted(TOKEN_KEY, r"[\w+/=.~:-]{16,512}")
BARE_PASSWORD = _bare(PASSWORD_KEY, rf"{BARE}{{8,128}}")
BARE_TOKEN = _bare(TOKEN_KEY, r"[\w+/=.~-]{16,512}")
ENVIRONMENT_PASSWORD = (
    rf"(?:PASSWORD|PASSWD|PASSPHRASE|PWD)[A-Z0-9_]*={BARE}{{6}}",
    rf"(?<![^\s;])[A-Z0-9_]{{0,40}}?(?:PASSWORD|PASSWD|PASSPHRASE|PWD)[A-Z0-9_]{{0,20}}=\K{BARE}{{6,128}}(?!\S)",
)

LEFT = r"(?<![A-Za-z0-9])"
RIGHT = r"(?![A-Za-z0-9_-])"
NO_BASE64_LEFT = r"(?<![A-Za-z0-9+/])"
NO_BASE64_RIGHT = r"(?![A-Za-z0-9+/=])"

AWS_SECRET_NAME = r"(?i:aws[\w.-]{0,20}(?:key|secret|pw)|secret_?access_?key)[\w.-]{0,10}[^\w\n]{1,8}"
VERSION_WORD = r"(?i:version|release|\bver|\brev|\bbuild|\boid|upgrade|\bv8 |section|chapter|\brfc)"
NO_VERSION = rf"(?<!{VERSION_WORD}[^\n]{{0,24}})(?<![<>=]= ?)"
NO_COORDINATES = (
    r"(?<![ ,A-Za-z-]\d{0,4}\.\d{1,4}[ ,])"
    r"(?!(?<=\d[ ,])[\d.]{7,15}[ ,]-?\d{0,4}\.\d{1,4}(?!\d|\.\d{1,3}\.\d))"
)
GROUPED_CARD = (
    r"(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6(?:011|5\d{2}))([ -])\d{4}\1\d{4}\1\d{4}"
    r"|3[47]\d{2}([ -])\d{6}\2\d{5}"
)
PLAIN_CARD = (
    r"(?<=(?i:card|visa|amex|cc_?num)[^\n0-9]{0,30})"
    r"(?:4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|6(?:011|5\d{2})\d{12}|3[47]\d{13})"
)
PHONE_NAME = (
    r"(?i:phone|mobile|\btel|\bcell|\bfax)(?i:[ _-]?(?:number|num|no)\b)?"
    r"[\"']?[ \t]{0,3}[:=.]{0,2}[ \t]{0,3}[\"']?"
)

BLOCK_RULES = (
    # kind, source, trigger, pattern, test of the text
    Rule("PRIVATE_KEY", "RFC 7468, RFC 4880, OpenSSH's PROTOCOL.key; gitleaks private-key",
         r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY",
         r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[\w+/=\s\\\"',:;().@#*-]{64,20000}?"
         r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----", is_key_block),
    Rule("PRIVATE_KEY", "PuTTY manual, appendix C: PPK file format",
         r"PuTTY-User-Key-File-[0-9]",
         r"PuTTY-User-Key-File-[23]: [\s\S]{20,8000}?\nPrivate-Lines: \d{1,3}\r?\n"
         r"(?:[A-Za-z0-9+/=]{1,64}\r?\n){1,300}(?:Private-MAC: [0-9a-f]{40,64})?", is_key_block),
)  # fmt: skip
"""Shapes of more than one line; on overlap the earlier rule, of these and then of LINE_RULES, wins."""

LINE_RULES = (
    Rule("AWS_ACCESS_KEY", "AWS IAM: unique identifiers; gitleaks aws-access-token",
         r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{4}",
         rf"{NO_BASE64_LEFT}A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{{16}}{NO_BASE64_RIGHT}"),
    Rule("AWS_SECRET_KEY", "AWS IAM: access keys; detect-secrets AWSKeyDetector",
         r"(?i:aws[\w.-]*(?:key|secret|pw)|secret_?access_?key)",
         rf"{AWS_SECRET_NAME}{LEFT}\K[A-Za-z0-9+/]{{40}}{NO_BASE64_RIGHT}", is_mixed_case_token),
    Rule("GOOGLE_API_KEY", "Google Cloud: API keys; gitleaks gcp-api-key",
         r"AIza", rf"{NO_BASE64_LEFT}AIza[\w-]{{35}}{RIGHT}"),
    Rule("GOOGLE_OAUTH_SECRET", "Google Identity: OAuth client secrets, access tokens",
         r"GOCSPX-|ya29\.", rf"{LEFT}(?:GOCSPX-[\w-]{{28}}|ya29\.[\w-]{{30,1000}}){RIGHT}"),
    Rule("GOOGLE_KEY_ID", "Google Cloud: service account key file",
         r"private_key_id", r"private_key_id\\?[\"'][ \t]{0,4}:[ \t]{0,4}\\?[\"']\K[0-9a-f]{40}(?![0-9a-f])"),
    Rule("AZURE_STORAGE_KEY", "Microsoft: storage connection strings; detect-secrets AzureStorageKeyDetector",
         r"[A-Za-z0-9+/]{10}==",
         r"(?i:key)[\"'\]]{0,2}[ \t]{0,4}[:=]{1,2}>?[ \t]{0,4}[\"']?\K[A-Za-z0-9+/]{86}==(?!=)", is_token),
    Rule("AZURE_CLIENT_SECRET", "gitleaks azure-ad-client-secret",
         r"[0-9]Q~", r"(?<![\w~.-])[\w~.]{3}[0-9]Q~[\w~.-]{31,34}(?![\w~.-])"),
    Rule("GITHUB_TOKEN", "GitHub: authentication token formats",
         r"gh[opusr]_[A-Za-z0-9]{6}|github_pat_",
         rf"{LEFT}(?:gh[opusr]_[A-Za-z0-9]{{36,251}}|github_pat_\w{{22,250}})(?!\w)"),
    Rule("GITLAB_TOKEN", "GitLab: token prefixes",
         r"gl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent)-",
         rf"{LEFT}gl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent)-[\w-]{{20,300}}"),
    Rule("SLACK_TOKEN", "Slack: token types; gitleaks slack-*",
         r"xox[abceoprs]-|xapp-",
         rf"{LEFT}(?:xox[abceoprs]-(?=[A-Za-z-]{{0,20}}[0-9])|xapp-[0-9]-)[A-Za-z0-9-]{{10,250}}{RIGHT}"),
    Rule("SLACK_WEBHOOK", "Slack: incoming webhooks; gitleaks slack-webhook-url",
         r"hooks\.slack\.com/",
         r"hooks\.slack\.com/(?:services|workflows|triggers)/\K[A-Za-z0-9+/]{30,80}(?![\w/])"),
    Rule("STRIPE_KEY", "Stripe: API keys; gitleaks stripe-access-token",
         r"[rs]k_(?:live|test|prod)_|whsec_",
         rf"{LEFT}(?:[rs]k_(?:live|test|prod)_[A-Za-z0-9]{{16,247}}|whsec_[A-Za-z0-9]{{32,64}})(?!\w)"),
    Rule("ANTHROPIC_KEY", "gitleaks anthropic-api-key",
         r"sk-ant-", rf"{LEFT}sk-ant-[a-z0-9]{{3,12}}-[\w-]{{20,200}}"),
    Rule("OPENAI_KEY", "gitleaks openai-api-key",
         r"\bsk-",
         r"(?<![\w-])sk-(?:(?:proj|svcacct|admin|None)-(?=[\w-]{0,40}\d)[\w-]{20,200}|[A-Za-z0-9]{32,64})(?![\w-])"),
    Rule("HUGGING_FACE_TOKEN", "gitleaks huggingface-access-token",
         r"\bhf_[A-Za-z0-9]{8}", r"(?<!\w)hf_[A-Za-z0-9]{30,40}(?!\w)", lambda value: entropy(value) >= 3.5),
    Rule("NPM_TOKEN", "GitHub blog: npm's new token format; gitleaks npm-access-token",
         r"\bnpm_[A-Za-z0-9]{8}", r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)"),
    Rule("PYPI_TOKEN", "PyPI: API tokens; gitleaks pypi-upload-token",
         r"pypi-AgE", rf"{LEFT}pypi-AgE[\w-]{{40,1000}}"),
    Rule("TWILIO_KEY", "Twilio: API keys, account SID; detect-secrets TwilioKeyDetector",
         r"\b(?:SK|AC)[0-9a-f]{8}", r"(?<![\w/+-])(?:SK|AC)[0-9a-f]{32}(?![\w/+=-])"),
    Rule("SENDGRID_KEY", "Twilio SendGrid: API keys; detect-secrets SendGridDetector",
         r"SG\.[\w-]{8}", rf"{LEFT}SG\.[\w-]{{22}}\.[\w-]{{43}}{RIGHT}"),
    Rule("TELEGRAM_TOKEN", "Telegram: bot API; gitleaks telegram-bot-api-token",
         r"[0-9]:AA[\w-]", r"(?<![\w-])[0-9]{8,10}:AA[\w-]{33}(?![\w-])"),
    Rule("DIGITALOCEAN_TOKEN", "DigitalOcean: token prefixes; gitleaks digitalocean-*",
         r"do[por]_v1_", r"(?<!\w)do[por]_v1_[0-9a-f]{64}(?!\w)"),
    Rule("JWT", "RFC 7519, RFC 7515",
         r"eyJ[\w-]{8,}\.eyJ", rf"{LEFT}eyJ[\w-]{{8,1000}}\.eyJ[\w-]{{8,1500}}\.[\w-]{{16,1000}}"),
    Rule("SSH_KEY", "RFC 4253; sshd(8): authorized_keys",
         r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp[0-9]+) AAAA",
         r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}) \KAAAA[A-Za-z0-9+/]{60,3000}={0,3}"),
    Rule("URL_CREDENTIALS", "RFC 3986, 3.2.1; detect-secrets BasicAuthDetector",
         r"://[^\s/@\"'`<>:?#]*:[^\s/\"'`<>?#]+@",
         r"(?<=[a-z0-9]://)[^\s/@\"'`<>:?#]{0,100}:[^\s/\"'`<>?#]{1,200}(?=@[\w\[.-])", are_credentials),
    Rule("URL_CREDENTIALS", "RFC 3986, 3.2.1: a token as the user",
         r"://[\w-]{20,}@", r"(?<=[a-z0-9]://)[\w-]{20,200}(?=@[\w\[.-])", is_token),
    Rule("PASSWORD", "detect-secrets KeywordDetector", *QUOTED_PASSWORD, is_password),
    Rule("PASSWORD", "detect-secrets KeywordDetector, environment", *ENVIRONMENT_PASSWORD, is_password),
    Rule("PASSWORD", "detect-secrets KeywordDetector, no quotes", *BARE_PASSWORD, is_bare_password),
    Rule("SECRET", "gitleaks generic-api-key", *QUOTED_TOKEN, is_token),
    Rule("SECRET", "gitleaks generic-api-key, no quotes", *BARE_TOKEN, is_bare_token),
    Rule("EMAIL_ADDRESS", "RFC 5321, 4.5.3.1; presidio",
         r"\w@[A-Za-z0-9]",
         r"(?<!\w)(?=[\w.+%-]{1,64}@)(?<!://[^\s/\"'<>]{0,64})\w(?:[\w.+%-]{0,62}\w)?"
         r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w@(-]|\.\w)",
         is_somebodys_address, "EmailRecognizer"),
    Rule("IP_ADDRESS", "RFC 791; presidio",
         r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
         rf"(?<![\w.~^+-])(?<![\w.]/){NO_VERSION}{NO_COORDINATES}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?:/\d{{1,2}})?"
         r"(?![\w+-]|\.\d)", is_public_ip, "IpRecognizer"),
    Rule("IP_ADDRESS", "RFC 4291; presidio",
         r"\b[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]",
         r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d{1,3})?(?![\w:]|\.\d)",
         is_public_ip, "IpRecognizer"),
    Rule("CREDIT_CARD", "ISO/IEC 7812, issuers' ranges; presidio (Luhn)",
         r"[2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -]|3[47][0-9]{2}[ -][0-9]{6}[ -]"
         r"|(?m:^|[^\w.,+\n-])[2-6][0-9]{13}",
         rf"(?<![\w.,+-])(?<!\d[ -]{{1,3}})(?:{GROUPED_CARD}|{PLAIN_CARD})(?![\w+-]|[.,]\d|[ -]{{1,3}}\d)",
         bool, "CreditCardRecognizer"),
    Rule("IBAN_CODE", "ISO 13616; presidio (checksum)",
         r"\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2}",
         r"(?<![\w+/-])([A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,6})"
         r"((?:[ -]?[A-Z0-9]{4})?)((?:[ -]?[A-Z0-9]{1,3})?)(?![\w+/=-])", bool, "IbanRecognizer"),
    Rule("CRYPTO", "Bitcoin wiki: invoice address, BIP 173; presidio (checksum)",
         r"\b(?:bc1[ac-hj-np-z02-9]{8}|[13][1-9A-HJ-NP-Za-km-z]{25})",
         r"(?<![\w+/-])(?:bc1[ac-hj-np-z02-9]{8,87}|[13][1-9A-HJ-NP-Za-km-z]{25,34})(?![\w+/=-])",
         bool, "CryptoRecognizer"),
    Rule("PHONE_NUMBER", "libphonenumber",
         r"(?i:phone|mobile|tel|cell|fax)(?i:[ _-]?(?:number|num|no))?[\"' \t:=.]*[+(]*[0-9][0-9 ().-]{4}",
         rf"{PHONE_NAME}\K\+?\(?\d[\d ().-]{{7,18}}\d(?![\w-]|\.\d)", is_phone_number),
    Rule("US_SSN", "US Social Security Administration; presidio",
         r"(?i:ssn|social.?security)[^\n0-9]{0,24}[0-9]{3}-[0-9]{2}-",
         r"(?i:\bssn|social.?security)[^\n\d]{0,24}\K\d{3}-\d{2}-\d{4}(?![\d-])", bool, "UsSsnRecognizer"),
)  # fmt: skip
"""Shapes within a line."""

KINDS = tuple(sorted({rule.kind for rule in BLOCK_RULES + LINE_RULES}))


@contextmanager
def _without_models() -> Iterator[None]:
    """Imports of this thread find no torch and no transformers.

    presidio and spaCy import both where they are installed, for models that no rule here uses: 3.5 s and
    300 MB a worker. What another part of the process has imported before stays as it is.
    """
    thread = threading.get_ident()

    class Refuse:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if threading.get_ident() == thread and name.partition(".")[0] in ("torch", "transformers"):
                raise ModuleNotFoundError(f"{name} is not needed here", name=name)

    finder: Any = Refuse
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def load_recognizers(rules: tuple[Rule, ...]) -> "list[PatternRecognizer]":
    """A presidio recognizer for each rule, in the same order.

    Nothing is downloaded. presidio's logger is silenced, for it writes the text that it fails to check.
    """
    with _without_models():
        import presidio_analyzer
        from presidio_analyzer import predefined_recognizers

    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL + 1)

    class OfflineEmailRecognizer(predefined_recognizers.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(offline_suffixes()(pattern_text).fqdn)

    def recognizer(rule: Rule) -> "PatternRecognizer":
        base: Any = getattr(predefined_recognizers, rule.presidio, presidio_analyzer.PatternRecognizer)
        if base is predefined_recognizers.EmailRecognizer:
            base = OfflineEmailRecognizer

        class CodeRecognizer(base):
            def validate_result(self, pattern_text: str) -> bool | None:
                return rule.accept(pattern_text) and super().validate_result(pattern_text)

        pattern = presidio_analyzer.Pattern(rule.source, rule.pattern, 1.0)
        built = CodeRecognizer(supported_entity=rule.kind, patterns=[pattern], name=rule.source)
        built.global_regex_flags = regex.MULTILINE | regex.ASCII
        return built

    return [recognizer(rule) for rule in rules]
