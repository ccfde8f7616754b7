"""What a value looks like: a random key, somebody's password, a placeholder, a name in code."""

import base64
import binascii
import math
import re
from collections import Counter
from itertools import pairwise


def entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def varied(text: str) -> bool:
    """No run of one filler character: below 2.5 bits stand `xxxx…` and `0000…`, above it all real tokens."""
    return entropy(text) >= 2.5 and not re.search(r"(.)\1{7}", text)


TEMPLATE = re.compile(
    r"[\\\s]|\$\{|\$\(|^\$\w+$|^@\w+@$|\{[\w.]*\}|\{\{|%\(|^%\w+%$|%[sdr]|<.*>|^\[.*\]$|\w\[|\.\.\.|…|\*{3}|x{4}|://|^[./~]"
    r"|^(?:os\.|process\.env|System\.|env\.|ENV\[|secrets?\.|vars?\.|config\.|self\.|this\.|args\.|options\.|data\.)",
    re.I,
)
ENCRYPTED = re.compile(
    r"ENC\(|vault:v\d|\$ANSIBLE_VAULT|\$[0-9a-z-]{1,12}\$|\{[A-Z0-9-]+\}|SCRAM-|U2FsdGVkX1|AQICAH|pbkdf2_|bcrypt|scrypt|sha\d+[-:$]"
    r"|(?:AES|RSA|DES|SHA|HS|RS|PBE|CHACHA|XSALSA|XCHACHA|ECDSA|HMAC|MD5|PKCS|TLS|ECDHE|PBES)[\w-]*[-_/+\d]",
)
"""How an encrypted or hashed value begins, which is none that opens anything; and names of algorithms."""
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
    return bool(TEMPLATE.search(value) or ENCRYPTED.match(value)) or len(FILLER.sub("", value)) < 3


def words(value: str) -> bool:
    """Nothing but words, each with at most a short number behind it, as in `auth.token_v2`."""
    return all(re.fullmatch(r"[A-Za-z]*\d{0,3}[A-Za-z]?", part) for part in re.split(r"[-_./:]", value))


def is_path(value: str) -> bool:
    """Words joined by separators: an identifier, a key path."""
    return bool(re.search(r"[-_./:]", value)) and words(value)


def is_password(value: str) -> bool:
    """A made-up password: letters mixed with digits or with signs inside, no placeholder, no key path."""
    mixed = re.search(r"[0-9]|[!@#$%^&*+=?~|].*[A-Za-z0-9]", value) and re.search(r"[A-Za-z]", value)
    if is_mixed_letters(value):
        return True
    return bool(mixed) and not is_path(value) and not placeholder(value) and entropy(value) >= 2.3


def is_given(value: str) -> bool:
    """A password where it cannot be anything else: all but placeholders, names of variables and short words."""
    value = value.strip("{}\"'")
    plain = re.fullmatch(r"[a-z]{1,7}|[A-Z_]+|[A-Z]?[a-z]+(?:[A-Z_.][a-z]+)+|\d{1,5}", value)
    called = re.search(r"\w\(|\)\.", value)
    return len(value) >= 4 and not plain and not called and not placeholder(value) and not is_path(value)


def is_mixed_letters(value: str) -> bool:
    """Letters whose case changes as no name's does: at two letters in five, and ten of them."""
    changes = sum(a.islower() != b.islower() for a, b in pairwise(value))
    return len(value) >= 10 and value.isalpha() and changes >= 0.4 * len(value)


COUNTING = re.compile(
    r"(?:0?123456789(?:0|abcdef)?|0?1234567|abcdef(?:gh[a-z]*)?|fedcba(?:9876543210)?|9876543210|(.)\1{3,})+", re.I
)
WORD = re.compile(r"[A-Z]?[a-z]{3,}(?:[A-Z][a-z]+)*")


def is_token(value: str) -> bool:
    """A random key: digits in two places; 3 bits a character if hexadecimal, 3.5 if not (gitleaks)."""
    if is_mixed_letters(value) and len(value) >= 20:
        return True
    spelled = sum(bool(WORD.fullmatch(part)) for part in re.split(r"[-_./:]", value))
    if spelled >= 3 or len(COUNTING.sub("", value)) < 8:
        return False
    if (
        UUID.fullmatch(value)
        or TEMPLATE.search(value)
        or ENCRYPTED.match(value)
        or words(value)
        or not re.search(r"[A-Za-z]", value)
    ):
        return False
    hexadecimal = re.fullmatch(r"(?:0x)?(?:[0-9a-f]+|[0-9A-F]+)", value)
    random = entropy(value) >= 3.0 and len(value) >= 20 if hexadecimal else entropy(value) >= 3.5
    return random and len(re.findall(r"\d+", value)) >= 2


def is_bare_password(value: str) -> bool:
    """Without quotes around it, a password must not be readable as a name or a sum in some language."""
    if is_mixed_letters(value):
        return True
    name = re.fullmatch(r"[A-Za-z_][\w.:]*", value) and len(re.findall(r"\d+", value)) < 2
    return is_password(value) and not name and not re.fullmatch(r"[-+*/\w.=&|]*[-+*/.=&|][-+*/\w.=&|]*", value)


def is_secret(value: str) -> bool:
    """Behind a name such as `secret`: a token, or what a person makes up of all four sorts of characters."""
    sorts = all(re.search(sort, value) for sort in ("[0-9]", "[a-z]", "[A-Z]", r"[!@#$%^&*?~]"))
    return is_token(value) or (len(value) >= 12 and sorts and is_password(value))


TYPE = re.compile(r"(?i)(?:sha|md|utf|base|u?int|float|str|bool|byte|aes|rsa|key|v|type|input|field|arg|param)_?\d+")


def is_setting(value: str) -> bool:
    """The whole value of a line of settings: `Summer2019` is one there, the name of a type is not."""
    digits = re.search(r"\d{2}|\d.*[A-Za-z].*\d|[!@#$%^&*?~]", value)
    name = TYPE.fullmatch(value) or re.search(r"[()]|^\w+\.", value)
    return is_token(value) or is_mixed_letters(value) or (is_password(value) and bool(digits) and not name)


def is_settled(value: str) -> bool:
    """The whole value of a line `password: …` or `password=…`, where a name of code would have blanks around it."""
    return is_password(value) and not TYPE.fullmatch(value) and not re.search(r"[()]|^\w+\.", value)


def is_bare_token(value: str) -> bool:
    """Without quotes around it, a token must have digits in three places, as names hardly do."""
    return is_token(value) and (is_mixed_letters(value) or len(re.findall(r"\d+", value)) >= 3)


def is_mixed_case_token(value: str) -> bool:
    """A random key that is no hexadecimal digest."""
    return is_token(value) and bool(re.search(r"[a-z]", value)) and bool(re.search(r"[A-Z]", value))


def is_credential(value: str) -> bool:
    """What stands behind `Bearer` or a header's name: a token, or words and numbers that are no placeholder."""
    mixed = re.search(r"\d", value) and re.search(r"[A-Za-z]", value) and not re.fullmatch(r"[0-9a-f]{1,19}", value)
    return is_token(value) or (bool(mixed) and varied(value) and not placeholder(value) and not is_path(value))


def are_credentials(value: str) -> bool:
    """The `user:password` of a URL, where the password is none of documentation's."""
    user, _, password = value.partition(":")
    if len(password) < 4 or user.lower() == password.lower() or re.fullmatch(r"[a-z]{1,7}|[A-Z]+", password):
        return False
    return not is_path(password) and not placeholder(password)


def decoded(value: str) -> str | None:
    """The printable text that a value is the base64 of; None where it is none."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text.strip() if text.strip().isprintable() else None


def are_encoded_credentials(value: str) -> bool:
    """The base64 of `user:password`, as in HTTP's Basic scheme and in Docker's settings."""
    text = decoded(value)
    return are_credentials(text) if text and ":" in text else is_mixed_case_token(value)
