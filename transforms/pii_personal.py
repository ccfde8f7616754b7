"""Personal data: addresses, numbers and accounts, one rule per shape, and whose they can be.

Sources, by the short names that the table uses: presidio, whose recognizers' checks (checksums, formats) are run as
they are; libphonenumber by the package phonenumbers; else the standard that gives the shape.
"""

import ipaddress
import re
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

from transforms.pii_rule import Rule


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
AT = re.compile(r"@|%40|&#(?:64|x40);|[ \t]*[\[({<][ \t]*at[ \t]*[\])}>][ \t]*", re.I)
DOT = re.compile(r"[ \t]*[\[({<][ \t]*dot[ \t]*[\])}>][ \t]*", re.I)


def is_somebodys_address(value: str) -> bool:
    """An e-mail address under a public suffix, of a person or a group rather than of documentation."""
    local, domain = AT.split(value, maxsplit=1)
    domain = DOT.sub(".", domain)
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


def is_hardware_address(value: str) -> bool:
    """A unicast address of a device; no counting (00:11:22…, 01:23:45…) and no block of RFC 9542's documentation."""
    octets = bytes.fromhex(re.sub(r"[:-]", "", value))
    steps = {(b - a) % 256 for a, b in pairwise(octets)}
    documentation = octets[:5] in (bytes.fromhex("00005e0053"), bytes.fromhex("90105e0053"))
    return (
        len(set(octets)) > 3
        and len(steps) > 2
        and not octets[0] & 1
        and b"\xde\xad\xbe\xef" not in octets
        and not documentation
    )


REGIONS = [
    "US",
    "GB",
    "DE",
    "FR",
    "IT",
    "ES",
    "NL",
    "BE",
    "AT",
    "CH",
    "SE",
    "NO",
    "DK",
    "FI",
    "PL",
    "CZ",
    "PT",
    "BR",
    "MX",
    "AR",
    "IE",
    "IN",
    "JP",
    "KR",
    "CN",
    "TW",
    "HK",
    "AU",
    "NZ",
    "ZA",
    "RU",
    "UA",
    "TR",
    "GR",
    "IL",
    "HU",
    "RO",
    "SG",
]
"""Where a number without a country may be from, the first first."""


@lru_cache(4096)
def is_phone_number(value: str) -> bool:
    """A number that a country's plan assigns (libphonenumber), and none of those that fiction uses.

    With `+` or `00` it has to be that country's; without, any of `REGIONS`.
    """
    import phonenumbers

    digits = re.sub(r"\D", "", value)
    counting = digits in "01234567890123456789" or digits in "98765432109876543210"
    date = re.fullmatch(r"(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,3}(?:\.\d{1,3}){3}", value)
    if len(set(digits)) < 4 or counting or date or re.search(r"(?<!\d)555[ .-]?01\d\d$", value.strip()):
        return False
    if value.startswith(("+", "00")):
        regions: tuple[str | None, ...] = (None,)
        value = re.sub(r"^(?:\+|00)", "+", value).replace("(0)", "")
    else:
        regions = tuple(REGIONS)
    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(value, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


WIDE = (
    r"\u00AA\u00B5\u00BA\u00C0-\u1FFF\u2C00-\u2FEF\u3005\u3040-\uD7FF\uF900-\uFDFF\uFF10-\uFF5A\uFF66-\uFF9F"
    r"\U00010000-\U0001EFFF\U00020000-\U0010FFFF"
)
"""Letters beyond ASCII, roughly: the blocks that hold no signs, which RFC 6531 and IDNA allow in addresses."""
MAIL_LOCAL = (
    rf"(?<![\w{WIDE}])(?<!://[^\s/\"'<>]{{0,64}})"
    rf"(?:[\w{WIDE}](?:[\w.+%{WIDE}-]{{0,62}}[\w{WIDE}])?|\"[\w .+-]{{1,62}}\")"
)
LABEL = rf"[A-Za-z0-9{WIDE}](?:[A-Za-z0-9{WIDE}-]{{0,61}}[A-Za-z0-9{WIDE}])?"
TOP_LEVEL = rf"(?:xn--[a-z0-9-]{{2,59}}|[A-Za-z]{{2,24}}(?![A-Za-z0-9])|[{WIDE}]{{2,24}})"
NO_CALL = r"(?!(?<!\.(?:com|org|net|edu|gov|info|de|fr|uk|nl|it|es|ru|jp|cn|br|ca|au|ch|at|se|pl))\()"
"""A product of matrices, as in `w@x.to(device)`, is no address."""

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
PHONE_WORD = (
    r"phone|mobile|\btel\b|\btel(?:e?fon[oe]?|éfono|efone|efoon|éphone|efono)?(?:nr|nummer)?\b|\bcell(?:ulare?)?\b|\bfax\b"
    r"|\bfon\b|\bhandy\b|\bmobil(?:[ea]|nr|nummer|telefon)?\b|\bmobiel\b|t[ée]l[ée]?(?:phone)?|\btlf\b|\bportable\b|m[óo]vil"
    r"|celular|telem[óo]vel|puhelin|\bwhatsapp\b|\bhotline\b|\bcall (?:us|me)?\b|тел(?:ефон)?|моб(?:ильный)?|电话"
    r"|電話|手机|手機"
    r"|携帯|전화(?:번호)?|휴대폰|τηλ(?:έφωνο)?|κινητό|هاتف|טלפון|फ़ोन"
)
PHONE_NAME = (
    rf"(?i:{PHONE_WORD})(?i:[ _.-]{{0,2}}(?:number|num|nummer|numéro|número|numero|no|nr|n°|番号"
    rf"|号码)\b\.?)?[\"'\])]{{0,2}}"
    r"[ \t]{0,3}[:=.\uFF1A]{0,2}[ \t]{0,3}[\"'(]{0,2}"
)
NATIONAL = r"\+?\(?\d[\d ()./-]{6,20}\d"

PERSONAL_RULES = (
    # kind, source, trigger, pattern, test of the text
    Rule("SSH_KEY", "RFC 4253; sshd(8): a public key that names its owner",
         r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp[0-9]+) AAAA",
         r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}) \KAAAA[A-Za-z0-9+/]{60,3000}={0,3}"
         r"(?=[ \t]{1,4}[\w.+-]{1,64}@[\w.-])"),
    Rule("EMAIL_ADDRESS", "RFC 5321, 4.5.3.1; RFC 6531",
         r"[\w\x80-\xff\"](?:@|%40|&#(?:64|x40);)[A-Za-z0-9\x80-\xff]",
         rf"{MAIL_LOCAL}(?:@|%40|&\#(?:64|x40);)(?:{LABEL}\.){{1,8}}{TOP_LEVEL}(?![A-Za-z0-9]|\.[A-Za-z0-9]){NO_CALL}",
         is_somebodys_address),
    Rule("EMAIL_ADDRESS", "written around harvesters",
         r"(?i:\w[ \t]*[\[({<][ \t]*at[ \t]*[\])}>][ \t]*\w)",
         r"(?<![\w.+-])[\w.+-]{1,64}[ \t]{0,2}[\[({<][ \t]?(?i:at)[ \t]?[\])}>][ \t]{0,2}"
         r"[A-Za-z0-9-]{1,63}(?:(?:\.|[ \t]{0,2}[\[({<][ \t]?(?i:dot)[ \t]?[\])}>][ \t]{0,2})[A-Za-z0-9-]{1,63}){0,4}"
         r"(?:\.|[ \t]{0,2}[\[({<][ \t]?(?i:dot)[ \t]?[\])}>][ \t]{0,2})[A-Za-z]{2,24}(?![\w@])", is_somebodys_address),
    Rule("IP_ADDRESS", "RFC 791; presidio",
         r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
         rf"(?<![\w.~^+-])(?<![\w.]/){NO_VERSION}{NO_COORDINATES}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?:/\d{{1,2}})?"
         r"(?![\w+-]|\.\d)", is_public_ip, "IpRecognizer"),
    Rule("IP_ADDRESS", "RFC 4291; presidio",
         r"\b[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]",
         r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d{1,3})?(?![\w:]|\.\d)",
         is_public_ip, "IpRecognizer"),
    Rule("MAC_ADDRESS", "IEEE 802; RFC 9542",
         r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}",
         r"(?<![\w:.-])[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})(?![\w:-]"
         r"|\.\w)", is_hardware_address),
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
    Rule("PHONE_NUMBER", "libphonenumber, behind a word for telephone",
         rf"(?i:{PHONE_WORD})[\w .°-]{{0,12}}[\"'\])]*[ \t]*(?:[:=.]"
         rf"|\xef\xbc\x9a)*[ \t\"'(]*\+?\(?[0-9][0-9 ()./-]{{5}}",
         rf"{PHONE_NAME}\K{NATIONAL}(?![\w-]|\.\d)", is_phone_number),
    Rule("PHONE_NUMBER", "ITU-T E.123, E.164; libphonenumber",
         r"\+[1-9][0-9]{0,2}[ ()./-]{0,2}[0-9(][0-9 ()./-]{4}",
         r"(?<![\w+/=*)\]}.-])(?:\+[1-9]\d{0,2}[ ()./-]{1,2}\d{1,5}(?:[ ()./-]{1,2}\d{1,8}){1,5}"
         r"|(?<![\w)\]][ \t])\+[1-9]\d{0,2}(?:[ ()./-]{0,2}\d){6,13})(?![\w-]|\.\d)", is_phone_number),
    Rule("US_SSN", "US Social Security Administration; presidio",
         r"(?i:ssn|social.?security)[^\n0-9]{0,24}[0-9]{3}-[0-9]{2}-",
         r"(?i:\bssn|social.?security)[^\n\d]{0,24}\K\d{3}-\d{2}-\d{4}(?![\d-])", bool, "UsSsnRecognizer"),
)  # fmt: skip
"""On overlap the earlier rule names the kind."""
