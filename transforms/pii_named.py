"""Secrets that the name beside them gives away: assignments, settings, elements, pairs of a name and a value.

Sources, by the short names that the table uses: gitleaks is config/gitleaks.toml of github.com/gitleaks/gitleaks,
detect-secrets the KeywordDetector of github.com/Yelp/detect-secrets.
"""

from transforms.pii_rule import BARE, CLOSED, ENDS, QUOTE, Rule
from transforms.pii_values import (
    is_bare_password,
    is_bare_token,
    is_password,
    is_secret,
    is_setting,
    is_settled,
    is_token,
)

PASSWORD_NAME = (
    r"passw(?:or)?d|passwd|passphrase|passcode|pwd|passwort|kennwort|contrase(?:ñ|n)a|mot_?de_?passe|senha"
    r"|пароль|密码|密碼|パスワード|비밀번호"
)
SHORT_PASSWORD_NAME = r"(?:^|[^A-Za-z]|[a-z])(?:[Pp]ass|PASS)|(?:^|[^A-Za-z])(?:pw|PW|psw|pswd)"
TOKEN_NAME = (
    r"secret|token|credential"
    r"|(?:api|app|access|auth|account|private|signing|encryption|master|license|client|consumer|service|shared|storage"
    r"|subscription|webhook|session|admin|deploy|integration|server|write|read|rest|sdk|jwt|hmac|aes|user)[_. -]?key"
    r"|api_?auth|\bauth\b|_auth\b|access[_-]?code"
)
KEY_NAME = r"[A-Za-z0-9][_.-]?key|[a-z0-9](?-i:Key)|[_-]pat\b|(?-i:PAT)\b"
SECRET_WORD = rf"(?:{PASSWORD_NAME}|{TOKEN_NAME}|\bpass\b|[_.-]pass\b|[_.-]?key\b)"
NOT_SECRET = (
    r"(?!(?i:iz|is)|\w{0,20}(?i:hash|digest|sum|finger|public|path|file|url|uri|regex|pattern|label|hint|help|title|name"
    r"|mgr|manager|error|exception|policy|validator|encoder|field|form|column|prefix|type|class|length|size|count)"
    r"|\w{0,20}(?:[_-]id|Id)s?\b)"
)
"""What follows `password` or `token` in the names of other things."""
NO_SECRET_KEY = (
    r"(?<!(?i:(?:public|primary|foreign|sort|partition|object|bucket|cache|index|hash|map|group|row|col|data|lookup"
    r"|unique|translation|message|i18n|sha|checksum|digest|integrity|commit|git|id|nonce|test|image|blob|etag|revision"
    r"|build|registry|hot|shortcut|storage|item|entry|config|meta|tag)[_. -]?key))"
)
"""What precedes `key` in the names of other things."""
NO_SECRET_TOKEN = r"(?<!(?i:(?:next|page|continuation|sync|cursor|starting|csrf|xsrf|verification)[_. -]?token))"
"""What precedes `token` in the names of marks that open nothing."""
NEVER = r"(?!)"


def _quoted(
    names: str, value: str, before: str = "", after: str = NOT_SECRET, blanks: str = r"[ \t]{1,4}"
) -> tuple[str, str]:
    """Trigger and pattern of a quoted literal: assigned to a name, compared with it, or the argument behind it.

    `before` and `after` look at what stands there in the name; `blanks` may stand between name and literal alone.
    """
    mark = r"(?:\\*[\"'`]|&quot;|&apos;|&#3[49];|%22)"
    signs = r"[:?+.|]*=+>?|!=+|:|,|->|<-|[({]|\|\||\?\?|\?:|:-|\bor\b"
    typed = r":[ \t]?[A-Za-z&\[\]|.? ]"
    trigger = (
        rf"(?i:{names})[\w.-]*(?:{mark}|[\])}}])*[ \t]*"
        rf"(?:(?:{signs}|{typed}+=|[ \t][A-Za-z*.\[\]]+[ \t]*="
        rf"|\{{[^{{}}]*\}}[ \t]*=)[ \t]*)?[bruf@L]{{0,2}}{mark}[^\s\"'`]{{6}}"
    )
    operator = (
        rf"(?:[ \t]{{0,20}}(?::{{0,3}}={{1,3}}>?|[?+.|]{{1,2}}=|!={{1,2}}|:-?|,|->|<-|\|\||\?\?|\?:|\bor\b"
        rf"|{typed}{{1,30}}="
        rf"|[ \t][A-Za-z*.\[\]]{{1,30}}[ \t]{{0,4}}=|\{{[^{{}}\n]{{1,40}}\}}[ \t]{{0,4}}=)[ \t]{{0,8}}|{blanks})"
    )
    pattern = (
        rf"(?<!(?i:public)\w{{0,8}})(?i:{names}){before}(?:[({{]|{after}[\w.-]{{0,30}}{CLOSED}{operator})[ \t]{{0,4}}"
        rf"[bruf@L]{{0,2}}({QUOTE})\K{value}(?=\1)"
    )
    return trigger, pattern


def _bare(names: str, value: str, before: str = "", after: str = "") -> tuple[str, str]:
    """Trigger and pattern of a value without quotes, as in YAML and properties files and on command lines."""
    trigger = rf"(?i:{names})[\w.-]*[ \t]*[:?]*[:=]>?[ \t]*{BARE}*[0-9]"
    name = rf"(?<![\w.-])[\w.-]{{0,40}}?(?i:{names}){before}{after}[\w.-]{{0,30}}"
    return trigger, rf"{name}[ \t]{{0,8}}(?::{{0,3}}={{1,2}}>?|\?=|:)[ \t]{{0,8}}\K{value}{ENDS}"


ANY = r"[^\s\"'`]{6,128}"
TOKEN = r"[\w+/=.~:-]{16,512}"
QUOTED_PASSWORD = _quoted(PASSWORD_NAME, ANY)
QUOTED_SHORT_PASSWORD = _quoted(SHORT_PASSWORD_NAME, ANY, after=r"(?=[^A-Za-z])", blanks=NEVER)
QUOTED_TOKEN = _quoted(TOKEN_NAME, r"[^\s\"'`<>]{12,512}", before=NO_SECRET_TOKEN)
QUOTED_KEY = _quoted(KEY_NAME, TOKEN, before=NO_SECRET_KEY, after=rf"(?=[^A-Za-z]){NOT_SECRET}", blanks=NEVER)
BARE_PASSWORD = _bare(PASSWORD_NAME, rf"{BARE}{{8,128}}")
BARE_SHORT_PASSWORD = _bare(SHORT_PASSWORD_NAME, rf"{BARE}{{8,128}}", after=r"(?=[^A-Za-z])")
BARE_TOKEN = _bare(TOKEN_NAME, TOKEN, before=NO_SECRET_TOKEN, after=NOT_SECRET)
BARE_KEY = _bare(KEY_NAME, TOKEN, before=NO_SECRET_KEY, after=rf"(?=[^A-Za-z]){NOT_SECRET}")

LINE_END = r"(?=[ \t]*(?:[\#;].*)?\r?$)"
SETTING_PASSWORD = (
    rf"(?i:{PASSWORD_NAME}|pass)[A-Za-z0-9_.-]*[\"']?[ \t]*[:=][ \t]*{BARE}{{6}}",
    rf"(?m:^)[ \t]*(?:export[ \t]+|set[ \t]+|ENV[ \t]+|-[ \t]+)?[\"']?[\w.-]{{0,60}}(?i:{PASSWORD_NAME}"
    rf"|pass){NOT_SECRET}"
    rf"[\w.-]{{0,20}}[\"']?[ \t]*[:=][ \t]*\K{BARE}{{6,128}}{LINE_END}",
)
CLOSE_PASSWORD = (
    rf"(?i:{PASSWORD_NAME}|pass)[\"']?(?:=|:[ \t]){BARE}{{6}}",
    rf"(?m:^)[ \t]{{0,40}}(?:-[ \t]{{1,4}})?[\"']?[\w.-]{{0,60}}(?i:{PASSWORD_NAME}|pass)[\"']?(?:=|:[ \t]{{1,4}})"
    rf"\K{BARE}{{6,128}}{LINE_END}",
)
UPPER_NAME = r"(?:PASSWORD|PASSWD|PASSPHRASE|PWD|PASS)"
ENVIRONMENT_PASSWORD = (
    rf"{UPPER_NAME}[A-Z0-9_]*[= ]{BARE}{{6}}",
    rf"(?:(?<![^\s;\"'])[A-Z0-9_]{{0,40}}?{UPPER_NAME}[A-Z0-9_]{{0,20}}="
    rf"|^ENV[ \t]+[A-Z0-9_]{{0,40}}?{UPPER_NAME}[A-Z0-9_]{{0,20}}[ \t]+)\K{BARE}{{6,128}}{ENDS}",
)

PAIR_NAME = r"(?:key|name|id|field|parameter|property|variable|option)"
VALUE_NAME = r"(?:value|default|defaultvalue|default_value|stringvalue|string|val)"
IS = r"[ \t]{0,4}[:=][ \t]{0,4}"
PAIR = (
    rf"(?i:{PAIR_NAME})[\"'\\]*[ \t]*[:=][ \t]*[\"'\\]*[\w.:/-]*(?i:{SECRET_WORD})[\w.-]*[\"'\\]*[ \t]*,?\s*"
    rf"(?:[\w\"'\\]+[ \t]*[:=][ \t]*[\"'\\]*[\w/]*[\"'\\]*,?\s*)?"
    rf"[\"'\\]*(?i:{VALUE_NAME})[\"'\\]*[ \t]*[:=][ \t]*[\"'\\]*{BARE}{{4}}",
    rf"(?i:\b{PAIR_NAME}){QUOTE}?{IS}{QUOTE}?[\w.:/-]{{0,60}}(?i:{SECRET_WORD}){NOT_SECRET}"
    rf"[\w.-]{{0,20}}{QUOTE}?[ \t]{{0,4}},?\s{{1,40}}"
    rf"(?:[\w\"'\\]{{1,20}}{IS}[\"'\\]{{0,3}}[\w/]{{0,20}}[\"'\\]{{0,3}},?\s{{1,40}})?"
    rf"{QUOTE}?(?i:{VALUE_NAME}){QUOTE}?{IS}(?:({QUOTE})\K[^\s\"'`<>]{{4,512}}(?=\1)|\K{BARE}{{4,512}}{ENDS})",
)
"""A name and its value as two entries of one record: `<add key="…" value="…"/>`, `{"name": …, "value": …}`, YAML."""
PAIR_REVERSED = (
    rf"(?i:value)=[\"'][^\s\"'<>]+[\"']\s+(?i:{PAIR_NAME})=[\"'][\w.:/-]*(?i:{SECRET_WORD})",
    rf"(?i:\bvalue)=([\"'])\K[^\s\"'<>]{{4,512}}(?=\1\s{{1,40}}(?i:{PAIR_NAME})=[\"'][\w.:/-]{{0,60}}(?i:{SECRET_WORD})"
    rf"{NOT_SECRET}[\w.-]{{0,20}}[\"'])",
)
CLOSING = r"(?=(?:\]\]>)?[ \t]{0,8}(?:</|\r?$))"
PAIR_ELEMENTS = (
    rf"<(?:[a-z]+:)?(?i:{PAIR_NAME})>\s*[\w.:/-]*(?i:{SECRET_WORD})[\w.-]*\s*</[\w:]+>\s*"
    rf"<(?:[a-z]+:)?(?i:{VALUE_NAME})>\s*{BARE}{{4}}",
    rf"<(?:[a-z]{{1,8}}:)?(?i:{PAIR_NAME})>\s{{0,40}}[\w.:/-]{{0,60}}(?i:{SECRET_WORD}){NOT_SECRET}[\w.-]{{0,20}}\s{{0,40}}"
    rf"</[\w:]{{1,20}}>\s{{0,80}}<(?:[a-z]{{1,8}}:)?(?i:{VALUE_NAME})>\s{{0,40}}\K[^\s<>]{{4,512}}{CLOSING}",
)
# A name in capitals alone may be the mark of something redacted, such as `<PASSWORD>`: its element has to be closed.
ELEMENT = (
    rf"<(?:[\w.-]+:)?[\w.-]*(?i:{SECRET_WORD})[\w.-]*(?:\s[^<>]*)?>\s*(?:<!\[CDATA\[)?[^\s<>]{{4}}",
    rf"<(?=([A-Z_]+>)?)(?:[\w.-]{{1,20}}:)?[\w.-]{{0,40}}(?i:{SECRET_WORD}){NOT_SECRET}[\w.-]{{0,20}}"
    rf"(?:\s[^<>\n]{{0,200}})?>\s{{0,40}}(?:<!\[CDATA\[)?\K[^\s<>\]]{{4,512}}(?(1)(?=</)|{CLOSING})",
)
VARIABLE = (
    rf"variable[ \t]+\"[\w-]*(?i:{SECRET_WORD})[\w-]*\"[^{{}}]*\{{[^{{}}]*default[ \t]*=[ \t]*\"",
    rf"variable[ \t]+\"[\w-]{{0,60}}(?i:{SECRET_WORD})[\w-]{{0,40}}\"[ \t]*\{{[^{{}}]{{0,400}}?"
    rf"default[ \t]*=[ \t]*\"\K[^\s\"]{{4,512}}(?=\")",
)
"""Terraform's `variable "db_password" { default = "…" }`."""

NAMED_RULES = (
    # kind, source, trigger, pattern, test of the text
    Rule("SECRET", "names and values as two entries", *PAIR, is_setting),
    Rule("SECRET", "names and values as two entries, the value first", *PAIR_REVERSED, is_setting),
    Rule("SECRET", "names and values as two elements", *PAIR_ELEMENTS, is_setting),
    Rule("SECRET", "elements named for a secret", *ELEMENT, is_setting),
    Rule("SECRET", "Terraform: input variables", *VARIABLE, is_setting),
    Rule("PASSWORD", "detect-secrets KeywordDetector", *QUOTED_PASSWORD, is_password),
    Rule("PASSWORD", "detect-secrets KeywordDetector, short names", *QUOTED_SHORT_PASSWORD, is_password),
    Rule("PASSWORD", "detect-secrets KeywordDetector, environment", *ENVIRONMENT_PASSWORD, is_password),
    Rule("PASSWORD", "detect-secrets KeywordDetector, settings", *SETTING_PASSWORD, is_setting),
    Rule("PASSWORD", "detect-secrets KeywordDetector, settings without blanks", *CLOSE_PASSWORD, is_settled),
    Rule("PASSWORD", "detect-secrets KeywordDetector, no quotes", *BARE_PASSWORD, is_bare_password),
    Rule("PASSWORD", "detect-secrets KeywordDetector, short names, no quotes", *BARE_SHORT_PASSWORD, is_bare_password),
    Rule("SECRET", "gitleaks generic-api-key", *QUOTED_TOKEN, is_secret),
    Rule("SECRET", "gitleaks generic-api-key, no quotes", *BARE_TOKEN, is_bare_token),
    Rule("SECRET", "gitleaks generic-api-key: any key", *QUOTED_KEY, is_token),
    Rule("SECRET", "gitleaks generic-api-key: any key, no quotes", *BARE_KEY, is_bare_token),
)
"""On overlap the earlier rule names the kind."""
