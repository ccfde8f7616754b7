"""Secrets that their own form, a header, an option or an address gives away: one rule per shape.

What a vendor's prefix gives away is `pii_tokens`' part, and private keys are `pii_keys`'. Sources, by the short
names that the table uses:

- gitleaks: config/gitleaks.toml of github.com/gitleaks/gitleaks
- detect-secrets: the plugins of github.com/Yelp/detect-secrets
- else the vendor or the standard that gives the shape
"""

from transforms.pii_rule import BARE, CLOSED, ENDS, QUOTE, Rule
from transforms.pii_values import (
    are_credentials,
    are_encoded_credentials,
    entropy,
    is_bare_token,
    is_credential,
    is_given,
    is_mixed_case_token,
    is_password,
    is_setting,
    is_token,
)

CONNECTION_KEY = (
    r"server|data source|datasource|host|hostname|address|addr|port|user ?id|uid|user(?:name)?|login|db(?:name)?"
    r"|database"
    r"|initial catalog|driver|dsn|provider|sslmode|account(?:name)?|endpoint|defaultendpointsprotocol"
    r"|sharedaccesskeyname"
    r"|entitypath|persist security info|trusted_connection|encrypt|integrated security|service name|sid|charset"
    r"|authmechanism|ssl"
)
CONNECTION_SECRET = (
    r"password|pwd|passwd|pass|accountkey|sharedaccesskey|sharedaccesssignature|accesskey|access_key|secret|apikey"
    r"|key|token"
)
CONNECTION = (
    rf"(?i:(?:{CONNECTION_KEY})[ \t]*=[^\"'\n]*[; \t&](?:{CONNECTION_SECRET})[ \t]*=)"
    rf"|(?i:\b(?:password|pwd|passwd|pass)[ \t]*=[^\s;\"'=&]+[; \t&]+(?:{CONNECTION_KEY})[ \t]*=)",
    rf"(?:(?<=(?i:\b(?:{CONNECTION_KEY})[ \t]{{0,2}}=[^\n]{{0,400}}[;\s&?]))"
    rf"|(?=(?i:pass\w*|pwd)[ \t]{{0,2}}=[^\s;&\"']{{4,128}}[;\s&]{{1,4}}(?i:{CONNECTION_KEY})[ \t]{{0,2}}=))"
    rf"(?<![\w.-])(?i:{CONNECTION_SECRET})[ \t]{{0,2}}=[ \t]{{0,2}}"
    rf"(?:\{{\K[^}}\n]{{4,200}}(?=\}})|'\K[^'\n]{{4,200}}(?=')|\K[^\s;&\"'`<>{{}}\\]{{4,200}}{ENDS})",
)
"""`key=value` pairs of ADO.NET, ODBC, JDBC, libpq, Azure, of which one is the server, the user or the like."""

SCHEME = (
    r"(?i:bearer|basic|token|api[_-]?key|digest|oauth|key|negotiate|genie-?key|bot|splunk|sso-key|jwt|aws|shared[_-]?key"
    r"|ssws|pat)"
)
HEADER_NAME = (
    r"(?i:(?:proxy-)?authorization|x-api-key|x-auth-token|api-?key|x-api-token|private-token|job-token|deploy-token"
    r"|x-\w+(?:-\w+)?-(?:key|token|secret)|ocp-apim-subscription-key|x-functions-key|circle-token|dd-api-key"
    r"|dd-application-key|auth-token|access-token|x_api_key|http_authorization|x-apikey)"
)
HEADER = (
    rf"{HEADER_NAME}(?:\\*[\"'`]|[\])])*[ \t]*(?:[:=,]|=>|->|\(|&quot;)",
    rf"(?<![\w-]){HEADER_NAME}{CLOSED}[ \t]{{0,8}}(?:=>|[:=,]|->|\()[ \t]{{0,8}}(?:\w{{0,3}}{QUOTE})?[ \t]{{0,4}}"
    rf"(?:{SCHEME}(?:[ \t]{{1,4}}|%20|=|:[ \t]{{0,2}}))?(?:{QUOTE}[ \t]{{0,4}}[+.,][ \t]{{0,4}}{QUOTE})?"
    rf"\K[\w+/=.~:%|-]{{8,4096}}{ENDS}",
)
SCHEME_WORD = r"(?:[Bb]earer|BEARER|Basic|SSWS|GenieKey)"
SCHEMED = (
    rf"{SCHEME_WORD}(?:[ \t]+|%20|\\u0020|[\"'][ \t]*,[ \t]*[\"'])[\w+/=.~-]{{16}}",
    rf"(?<![\w-]){SCHEME_WORD}(?:[ \t]{{1,4}}|%20|\\u0020"
    rf"|[\"'][ \t]{{0,4}},[ \t]{{0,4}}[\"'])\K[\w+/=.~-]{{16,4096}}{ENDS}",
)
SESSION = (
    r"(?i:session_?id|sessid|phpsessid|connect\.sid|auth_?token|\bsession|\bsid)=[\w%.-]{16}",
    rf"(?<![\w-])(?i:\w{{0,20}}session_?id|\w{{0,8}}sessid|connect\.sid|\w{{0,20}}auth_?token|session|sid)=\K[\w%.+/=-]{{16,512}}{ENDS}",
)
"""Cookies that stand for a login."""
CALL_WORD = r"(?i:basic_?auth|http_?auth|set_?basic_?auth|\bauth|credentials?)"
BASIC_PAIR = (
    rf"{CALL_WORD}\w*[\"']?[ \t]*[=:(]+[ \t]*[(\[]?[ \t]*[\"'][^\"'\n]*[\"'][ \t]*,",
    rf"{CALL_WORD}\w{{0,20}}[\"']?[ \t]{{0,4}}[=:(]{{1,3}}[ \t]{{0,4}}[(\[]?[ \t]{{0,4}}"
    r"([\"'])[^\"'\n]{1,80}\1[ \t]{0,4},[ \t]{0,4}([\"'])\K[^\s\"'`]{6,128}(?=\2[ \t]{0,4}[)\]])",
)
"""`auth=("user", "password")`, `HTTPBasicAuth("user", "password")`, `SetBasicAuth("user", "password")`."""
CONNECT_WORD = r"(?i:mysqli?(?:_p?connect)?|\bPDO|getConnection|(?:ftp_|\.)login|\.?connect|\.authenticate)"
CONNECT = (
    rf"{CONNECT_WORD}[ \t]*\([^()\n]*[\"'][^\"'\n]*[\"'][ \t]*,[ \t]*[\"'][^\s\"']{{6}}",
    rf"{CONNECT_WORD}[ \t]{{0,4}}\((?:[^,()\n]{{0,120}},[ \t]{{0,4}}){{0,2}}"
    rf"([\"'])[\w.@-]{{1,80}}\1[ \t]{{0,4}},[ \t]{{0,4}}"
    r"([\"'])\K[^\s\"'`]{6,128}(?=\2[ \t]{0,4}[,)])",
)
"""`mysqli_connect("host", "user", "password")`, `DriverManager.getConnection(url, "user", "password")`."""

SPACE = r"(?:[ \t]+|[\"'],?[ \t]*[\"'])"
"""Between the words of a command, written out or as the items of a list."""
USER_OPTION = (
    r"(?:-[A-Za-z]*u|--user|--proxy-user|-U|CURLOPT_(?:PROXY)?USERPWD|-a|--auth)[\"'=, \t]*[^\s\"':=]+[:%][^\s\"']{4}",
    rf"(?:(?<=(?:curl|wget|http|https|xh|ab|lynx|svn)\b[^\n]{{0,400}}\s|[\"'])"
    rf"(?:-[A-Za-z]{{0,6}}u|--user|--proxy-user|-a|--auth|-U)(?:={QUOTE}?|{SPACE}[\"']?|[\"']|(?<=-u))"
    rf"|CURLOPT_(?:PROXY)?USERPWD[ \t]{{0,4}}(?:,"
    rf"|=>)[ \t]{{0,4}}[\"'])\K[^\s\"':=$<]{{1,100}}:[^\s\"'`<>]{{1,200}}{ENDS}",
)
OPTION_NAME = (
    r"(?:password|passwd|passphrase|pass|pwd|token|secret|api-?key|access-?key|client-?secret|bearer|authtoken)"
)
LONG_OPTION = (
    rf"--?(?i:[\w-]*(?:=[\w.-]*)?{OPTION_NAME})(?:=|{SPACE})[\"']?{BARE}{{6}}",
    rf"(?<![\w-])--?(?i:[\w-]{{0,30}}(?:=[\w.-]{{0,30}})?{OPTION_NAME})(?:={QUOTE}?|{SPACE}[\"']?)"
    rf"\K[^\s\"'`(){{}}\[\]<>,;$\\|]{{6,256}}{ENDS}",
)
GAP = r"\b[^\n]{0,400}?[ \t\"']"
SHORT_OPTION = (
    r"\b(?:sshpass|mysql|mysqldump|mysqladmin|mariadb|docker|podman|mongo|mongosh|mongodump|mongorestore|redis-cli|sqlcmd"
    r"|bcp|unzip|zip|7z|7za|ldapsearch|az|oc|smbclient|helm|skopeo|crane|ipmitool|plink|pscp|osql|htpasswd|keytool"
    rf"|jarsigner)\b[^\n]*[ \t\"'](?:-p|-P|-a|-w|-storepass|-keypass|-pw|-U|-b)[\"', \t]*{BARE}{{4}}",
    rf"(?:\b(?:sshpass|mysql|mysqldump|mysqladmin|mariadb){GAP}-p(?:{SPACE})?[\"']?"
    rf"|\b(?:docker|podman|oc|az|helm|skopeo|crane)\b[^\n]{{0,60}}?login{GAP}-p{SPACE}[\"']?"
    rf"|\b(?:mongo|mongosh|mongodump|mongorestore|sqlcmd|osql|bcp|ipmitool){GAP}-[pP]{SPACE}[\"']?"
    rf"|\bredis-cli{GAP}-a{SPACE}[\"']?|\bldapsearch{GAP}-w{SPACE}[\"']?|\b(?:plink|pscp){GAP}-pw{SPACE}[\"']?"
    rf"|\b(?:unzip|zip){GAP}-P{SPACE}[\"']?|\b(?:7z|7za){GAP}-p[\"']?|\bsmbclient{GAP}-U{SPACE}[\"']?[\w.@/-]{{1,64}}%"
    rf"|\bhtpasswd{GAP}-\w{{0,4}}b\w{{0,4}}[ \t]{{1,4}}\S{{1,100}}[ \t]{{1,4}}\S{{1,64}}[ \t]{{1,4}}"
    rf"|\b(?:keytool|jarsigner){GAP}-(?:store|key)pass{SPACE}[\"']?)"
    rf"\K(?!-)[^\s\"'`<>,;$\\()/|]{{4,128}}{ENDS}",
)
STATEMENT = (
    r"(?i:identified[ \t]+(?:with[ \t]+\w+[ \t]+)?by|password|pass:|convertto-securestring|sudo[ \t]+-S|chpasswd)",
    r"(?:(?i:\bidentified[ \t]{1,4}(?:with[ \t]{1,4}['\"\w]{1,40}[ \t]{1,4})?by[ \t]{1,4}"
    r"|\bpassword[ \t]{0,4}\([ \t]{0,4}|\bpassword[ \t]{1,4})(\\?['\"])\K[^\s'\"`]{4,128}(?=\1)"
    rf"|\b-?pass(?:in|out)?[ \t]{{1,4}}pass:\K{BARE}{{4,128}}{ENDS}"
    r"|(?i:convertto-securestring)[ \t]{1,4}(?:-String[ \t]{1,4})?([\"'])\K[^\s\"'`$]{4,128}(?=\2)"
    r"|\becho[ \t]{1,4}(?:-n[ \t]{1,4})?([\"']?)\K[^\s\"'`$|]{4,128}(?=\3[ \t]{0,4}\|[ \t]{0,4}sudo[ \t]{1,4}-S)"
    r"|\becho[ \t]{1,4}(?:-e[ \t]{1,4})?([\"']?)[\w.-]{1,40}:\K[^\s\"'`$|:]{4,128}"
    r"(?=\4[ \t]{0,4}\|[ \t]{0,4}(?:sudo[ \t]{1,4})?chpasswd))",
)
"""SQL's `IDENTIFIED BY '…'`, OpenSSL's `-passin pass:…`, PowerShell's `ConvertTo-SecureString`, `echo … | sudo -S`."""
NETRC = (
    r"(?:machine|login|account|default)[ \t]+\S+[ \t]*\s[^\n]*\s*password[ \t]+\S{4}",
    r"(?<=(?:machine|login|account|default)[ \t]{1,4}[^\n]{1,300}\s{1,20})password[ \t]{1,8}\K[^\s\"']{4,128}(?!\S)",
)
NPMRC = (
    r":_(?:authToken|auth|password)|\b_(?:authToken|auth|password)[ \t]*=",
    rf"(?:(?<=:)|(?<!\w)(?=_))_(?:authToken|auth"
    rf"|password)[ \t]{{0,4}}=[ \t]{{0,4}}{QUOTE}?\K[\w+/=.~-]{{8,2048}}{ENDS}",
)
PGPASS = (
    r"(?m:^)[\w.*-]+:(?:[0-9]{4,5}|\*):[^:\s]+:[^:\s]+:\S{4}",
    r"(?m:^)[\w.*-]{1,253}:(?:\d{4,5}|\*):[^:\s]{1,63}:[^:\s]{1,63}:\K[^\s:]{4,128}(?=\r?$)",
)
DOCKER_AUTH = (
    r"\"auth\\*\"[ \t]*:[ \t]*\\*\"[A-Za-z0-9+/]{8}",
    r"\"auth\\{0,3}\"[ \t]{0,4}:[ \t]{0,4}\\{0,3}\"\K[A-Za-z0-9+/]{8,2000}={0,2}(?=\\{0,3}\")",
)
LOGIN_WORDS = r"(?i:\b(?:id|user(?:name)?|login|account)[ \t]{0,2}[/&,:][ \t]{0,2}(?:password|passwd|pass|pwd|pw)\b)"
LOGIN_PAIR = (
    r"(?i:\b(?:id|user(?:name)?|login|account)[ \t]*[/&,:][ \t]*(?:password|passwd|pass|pwd|pw)\b)[^\n]*[/:, (]",
    rf"{LOGIN_WORDS}[ \t]{{0,4}}(?:[:=(-]|->|=>|is"
    rf"|are)?[ \t]{{0,4}}[\"'`]?[\w.-][\w.@-]{{1,63}}[ \t]{{0,2}}[/:,(][ \t]{{0,2}}"
    r"\K[^\s\"'`/()<>,]{6,64}",
)
"""`ID/PW: clerk/…`, as people write down a login."""

EXAMPLE_HOST = r"(?:[\w-]+\.)*(?i:example)(?:\.|[^\w.-]|$)"
LEFT = r"(?<![A-Za-z0-9])"
RIGHT = r"(?![A-Za-z0-9_-])"
NO_BASE64_LEFT = r"(?<![A-Za-z0-9+/])"
NO_BASE64_RIGHT = r"(?![A-Za-z0-9+/=])"
AWS_SECRET_NAME = r"(?i:aws[\w.-]{0,20}(?:key|secret|pw)|secret_?access_?key)[\w.-]{0,10}[^\w\n]{1,8}"

FORM_RULES = (
    # kind, source, trigger, pattern, test of the text
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
    Rule("TELEGRAM_TOKEN", "Telegram: bot API; gitleaks telegram-bot-api-token",
         r"[0-9]:AA[\w-]", r"(?<![\w-])[0-9]{8,10}:AA[\w-]{33}(?![\w-])"),
    Rule("JWT", "RFC 7519, RFC 7515",
         r"eyJ[\w-]{8,}\.eyJ", rf"{LEFT}eyJ[\w-]{{8,1000}}\.eyJ[\w-]{{8,1500}}\.[\w-]{{16,1000}}"),
    Rule("URL_CREDENTIALS", "RFC 3986, 3.2.1; detect-secrets BasicAuthDetector",
         r"://[^\s/@\"'`<>:?#]*:[^\s/\"'`<>?#]+@",
         rf"(?<=[a-z0-9]://)[^\s/@\"'`<>:?#]{{0,100}}:[^\s/\"'`<>?#]{{1,200}}(?=@"
         rf"(?!{EXAMPLE_HOST})[\w\[.-])", are_credentials),
    Rule("URL_CREDENTIALS", "RFC 2606: hosts of documentation, whose short passwords are documentation's too",
         r"://[^\s/@\"'`<>:?#]*:[^\s/\"'`<>?#]+@",
         rf"(?<=[a-z0-9]://)[^\s/@\"'`<>:?#]{{0,100}}:[^\s/\"'`<>?#]{{8,200}}(?=@{EXAMPLE_HOST})",
         lambda value: are_credentials(value) and is_password(value.partition(":")[2])),
    Rule("URL_CREDENTIALS", "RFC 3986, 3.2.1: a token as the user",
         r"://[\w-]{20,}@", r"(?<=[a-z0-9]://)[\w-]{20,200}(?=@[\w\[.-])", is_token),
    Rule("URL_CREDENTIALS", "Oracle: JDBC thin driver, user/password before the host",
         r"(?i:oracle:(?:thin|oci8?):|sqlplus[ \t]+)[^\s\"'/@]+/[^\s\"'@]+@",
         r"(?i:oracle:(?:thin|oci8?):|\bsqlplus[ \t]{1,4})\K[^\s\"'/@]{1,64}/[^\s\"'@/]{4,128}(?=@)",
         lambda value: is_given(value.partition("/")[2])),
    Rule("PASSWORD", "ADO.NET, ODBC, JDBC, libpq, Azure: connection strings", *CONNECTION, is_given),
    Rule("SECRET", "RFC 9110, 11.6.2; RFC 6750: credentials in headers", *HEADER,
         lambda value: is_credential(value) or are_encoded_credentials(value)),
    Rule("SECRET", "RFC 6750, RFC 7617: a scheme without its header", *SCHEMED,
         lambda value: is_token(value) or are_encoded_credentials(value)),
    Rule("SECRET", "RFC 6265: cookies", *SESSION, is_bare_token),
    Rule("PASSWORD", "RFC 7617: user and password as arguments", *BASIC_PAIR, is_password),
    Rule("PASSWORD", "drivers of databases: user and password as arguments", *CONNECT, is_password),
    Rule("URL_CREDENTIALS", "curl(1): --user; gitleaks curl-auth-user", *USER_OPTION, are_credentials),
    Rule("PASSWORD", "options named for a password or a token", *LONG_OPTION, is_setting),
    Rule("PASSWORD", "sshpass(1), mysql(1), docker-login(1): -p", *SHORT_OPTION, is_given),
    Rule("PASSWORD", "MySQL, PostgreSQL, Oracle: statements; openssl-passphrase-options(1)", *STATEMENT, is_password),
    Rule("PASSWORD", "ftp(1): .netrc", *NETRC, is_given),
    Rule("NPM_TOKEN", "npm: .npmrc", *NPMRC, is_credential),
    Rule("PASSWORD", "PostgreSQL: .pgpass", *PGPASS, is_given),
    Rule("SECRET", "Docker: config.json", *DOCKER_AUTH, are_encoded_credentials),
    Rule("PASSWORD", "CredSweeper: ID/PW pairs", *LOGIN_PAIR, is_password),
)  # fmt: skip
"""On overlap the earlier rule names the kind."""
