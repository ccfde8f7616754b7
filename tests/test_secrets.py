"""Secrets in the forms that code, settings and command lines have, each with its negatives; all values are drawn."""

import base64
import random
import socket
import string
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.pii import FindPersonalData, Redact
from transforms.pii_tokens import load_scanner

FIND = FindPersonalData().load()
REDACT = Redact().load()


def scrub(text: str) -> str:
    content = pa.array([text])
    pii = FIND(pa.record_batch({"content": content})).column("pii")
    return REDACT(pa.record_batch({"content": content, "pii": pii})).column("redacted")[0].as_py()


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits, seed: str = "") -> str:
    return "".join(random.Random(f"{length}{alphabet}{seed}").choices(alphabet, k=length))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HEX = "0123456789abcdef"
PASSWORD = f"{drawn(6)}!{drawn(5)}"
PLAIN_PASSWORD = drawn(14, seed="password")
TOKEN = drawn(40)
BODY = textwrap.wrap(
    base64.b64encode(bytes.fromhex("308204a30201000282010100") + random.Random(2).randbytes(1180)).decode(), 64
)
KEY = ["-----BEGIN RSA PRIVATE KEY-----", *BODY, "-----END RSA PRIVATE KEY-----"]
PEM = "\n".join(KEY) + "\n"
ENCODED = base64_of(PEM)

KEYS = {
    "whole": PEM,
    "cut off": PEM[:600] + "\n# (output truncated)\n",
    "cut off with dots": "\n".join(KEY[:6]) + "\n...\n",
    "cut off in front": "\n".join(KEY[5:]),
    "without its marks": "key: |\n  " + "\n  ".join(BODY[:8]) + "\n",
    "lines of Windows": PEM.replace("\n", "\r\n"),
    "escaped": f'k = "{PEM}"'.replace("\n", "\\n"),
    "escaped twice, cut off": f'k = "{PEM}'.replace("\n", "\\\\n")[:700] + '"',
    "on one line": " ".join(KEY),
    "in a comment": "\n".join(f"// {line}" for line in KEY[:9]),
    "Java": " +\n".join(f'    "{line}\\n"' for line in KEY),
    "an array": f"key = [{', '.join(map(repr, KEY))}]",
    "an array, cut off": f"key = [{', '.join(map(repr, KEY[:-1]))}]",
    "echoed": "\n".join(f'echo "{line}" >> /etc/ssl/key.pem' for line in KEY),
    "echoed, cut off": "\n".join(f'echo "{line}" >> /etc/ssl/key.pem' for line in KEY[:9]),
    "printf": "printf '%s\\n' " + " ".join(map(repr, KEY)),
    "YAML": "key: |\n" + "\n".join(f"    {line}" for line in KEY),
    "HTML": PEM.replace("\n", "&#10;"),
    "XML": f"<PrivateKey>\n{PEM}</PrivateKey>",
    "encrypted": "\n".join([KEY[0], "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,5A1B", "", *KEY[1:9]]),
    "OpenPGP": "\n".join(["-----BEGIN PGP PRIVATE KEY BLOCK-----", "Version: 2", "", *BODY, "=aB3d"]),
}  # fmt: skip


@pytest.mark.parametrize("text", KEYS.values(), ids=KEYS)
def test_private_keys_go_however_they_are_wrapped(text):
    scrubbed = scrub(f"before\n{text}\nafter = 1\n")
    assert not [line for line in BODY[5:7] if line in scrubbed]
    assert (scrubbed[:7], scrubbed[-10:]) == ("before\n", "after = 1\n")


@pytest.mark.parametrize(
    "text",
    [
        f"client-key-data: {ENCODED}",
        f"client-key-data: {ENCODED[:700]}",
        f'"client-key-data": "{ENCODED}",',
        f"KEY={base64_of(ENCODED)}",
        "tls.key: |\n    " + "\n    ".join(textwrap.wrap(ENCODED, 76)),
        "tls.key: >-\n  " + "\n  ".join(textwrap.wrap(ENCODED, 64)),
        f'key = bytes.fromhex("{PEM.encode().hex()}")',
    ],
)
def test_private_keys_go_in_base64_once_more(text):
    scrubbed = scrub(text)
    assert max(map(len, scrubbed.split())) < 60
    assert "<PRIVATE_KEY>" in scrubbed


def test_values_of_kubernetes_secrets_go_whatever_their_names():
    manifest = textwrap.dedent(f"""\
        apiVersion: v1
        kind: Secret
        metadata:
          name: database
        data:
          whatever: {base64_of(PASSWORD)}
          username: {base64_of("clerk")}
          placeholder: {base64_of("changeme")}
        ---
        kind: ConfigMap
        data:
          whatever: {base64_of("nothing to hide 17")}
        """)
    assert scrub(manifest) == manifest.replace(base64_of(PASSWORD), "<SECRET>")
    plain = f"kind: Secret\nstringData:\n  whatever: {PASSWORD}\n"
    assert scrub(plain) == plain.replace(PASSWORD, "<SECRET>")


PASSWORDS = """\
var c = "Server=tcp:db,1433;User ID=clerk;Password=@;Encrypt=True";
<add name="x" connectionString="Data Source=db;Initial Catalog=a;User Id=clerk;Pwd=@" />
DRIVER={ODBC Driver 17};SERVER=db;UID=clerk;PWD={@}
jdbc:mysql://db:3306/a?user=clerk&password=@&useSSL=false
jdbc:sqlserver://db:1433;databaseName=a;user=clerk;password=@
jdbc:oracle:thin:clerk/@@db:1521/x
psycopg2.connect("host=db dbname=a user=clerk password=@ sslmode=require")
postgresql://clerk:@@db:5432/a
mongodb+srv://clerk:@@c.db.internal/a?retryWrites=true
redis://:@@h:6379
amqp://clerk:@@mq:5672/v
spring.datasource.password=@
DB_PASSWORD: "@"
DB_PASSWORD=@
export DB_PASSWORD='@'
PGPASSWORD=@ psql -h db
ENV DB_PASSWORD @
ansible_ssh_pass=@
ansible_become_pass: @
db_password = "@"
password = @  ; a comment
<property name="hibernate.connection.password" value="@"/>
<add value="@" key="DbPassword"/>
<password>@</password>
<password><![CDATA[@]]></password>
<key>password</key>⏎<string>@</string>
<name>fs.s3a.secret.key</name>⏎<value>@</value>
body = "{\\"user\\": \\"clerk\\", \\"password\\": \\"@\\"}"
{"name": "DB_PASSWORD", "value": "@"}
{"key": "password", "value": "@", "type": "string"}
- name: DB_PASSWORD⏎  value: @
variable "db_password" {⏎  type = string⏎  default = "@"⏎}
    "text/plain": ["password = '@'\\n"]
connect(user='clerk', password='@')
'password' => '@',
Password: "@",
var password string = "@"
let password: &str = "@";
props.put("password", "@");
ds.setPassword("@");
val password: String = "@"
#define DB_PASSWORD "@"
std::string password{"@"};
private readonly password: string = "@";
public string Password { get; set; } = "@";
CREATE USER clerk IDENTIFIED BY '@';
ALTER USER clerk WITH PASSWORD '@';
storePassword "@"
process.env.DB_PASSWORD || "@"
os.environ.get("DB_PASSWORD", "@")
mysqli_connect('db', 'clerk', '@')
requests.get(u, auth=('clerk', '@'))
req.SetBasicAuth("clerk", "@")
mysql -u root -p@ db
sshpass -p '@' ssh h
["sshpass", "-p", "@", "ssh"]
curl -u clerk:@ https://h/
curl -sSLu clerk:@ https://h/
docker login -u clerk -p @ registry
tool --password @ x
subprocess.run(["tool", "--password", "@"])
wget --http-password=@ https://h
redis-cli -h h -a @
openssl rsa -passin pass:@ -in k
echo '@' | sudo -S ls
kubectl create secret generic x --from-literal=password=@
machine h login clerk password @
machine h⏎  login clerk⏎  password @
db:5432:a:clerk:@
https://h/login?user=clerk&password=@
ID/PW: clerk/@
Passwort: @
""".splitlines()


@pytest.mark.parametrize("form", PASSWORDS)
@pytest.mark.parametrize("password", [PASSWORD, PLAIN_PASSWORD], ids=["with a sign", "without"])
def test_passwords_go_in_every_form(form, password):
    text = form.replace("⏎", "\n")
    text = text.replace("@@", f"{password}@") if "@@" in text else text.replace("@", password)
    assert password not in scrub(f"{text}\n")


HEADERS = """\
headers = {"Authorization": "Bearer @"}
req.Header.Set("Authorization", "Bearer @")
.header("Authorization", "Bearer @")
xhr.setRequestHeader('Authorization', 'Bearer @');
headers: { Authorization: `Bearer @` }
Authorization: Bearer @
"Authorization: Bearer @\\r\\n"
headers['Authorization'] = 'token @'
Authorization: ApiKey @
new AuthenticationHeaderValue("Bearer", "@");
headers.insert(AUTHORIZATION, "Bearer @".parse().unwrap());
.bearer_auth("@")
curl -H 'Authorization: Bearer @' https://h
curl --header "PRIVATE-TOKEN: @"
curl --oauth2-bearer @ https://h
X-Api-Key: @
'X-Vault-Token' => '@'
Cookie: session=@
//npm.corp.test/:_authToken=@
tool --api-key=@
access_token=@&x=1
{"accessToken":"@"}
Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=r;SharedAccessKey=@=
DefaultEndpointsProtocol=https;AccountName=a;AccountKey=@==;EndpointSuffix=core.windows.net
""".splitlines()


@pytest.mark.parametrize("form", HEADERS)
@pytest.mark.parametrize("token", [TOKEN, drawn(32, HEX)], ids=["letters", "hexadecimal"])
def test_tokens_go_in_headers_and_options(form, token):
    assert token not in scrub(form.replace("@", token) + "\n")


@pytest.mark.parametrize(
    "form",
    [
        '"Authorization": "Basic @"',
        'curl -H "Proxy-Authorization: Basic @"',
        '{"auths": {"https://registry.internal/v1/": {"auth": "@"}}}',
        "//registry.internal/:_auth=@",
    ],
)
def test_credentials_in_base64_go(form):
    encoded = base64_of(f"clerk:{PASSWORD}")
    assert encoded not in scrub(form.replace("@", encoded) + "\n")


VENDORS = {
    "groq": "gsk_" + drawn(52),
    "docker": "dckr_pat_" + drawn(27),
    "databricks": "dapi" + drawn(32, HEX),
    "gitlab": "gloas-" + drawn(64, HEX),
    "linear": "lin_api_" + drawn(40),
    "postman": "PMAK-" + drawn(24, HEX) + "-" + drawn(34, HEX),
    "shopify": "shpat_" + drawn(32, HEX),
    "grafana": "glsa_" + drawn(32) + "_" + drawn(8, HEX),
    "doppler": "dp.pt." + drawn(43),
    "perplexity": "pplx-" + drawn(48),
    "sentry": "sntryu_" + drawn(64, HEX),
}


@pytest.mark.parametrize("token", VENDORS.values(), ids=VENDORS)
@pytest.mark.parametrize("code", ['client = connect("@")', "c := New(`@`)", "x(@)", "// @", "\ufeffé = '@';"])
def test_vendors_tokens_go_without_a_name(token, code):
    assert token not in scrub(code.replace("@", token) + "\n")


ADDRESSES = """\
# Author: <jörg.müller@firma-lindenhain.de>
# j.mueller@bücherstube-lindenhain.de in 2011
連絡先:taro.yamada@lindenhain.jp
taro.yamada@lindenhain.jpまで
иван.петров@почта-lindenhain.рф
张伟@lindenhain.cn
joe.doe@xn--bcher-lindenhain-kva.de
joe.doe [at] lindenhain [dot] de
joe.doe(at)lindenhain.de
joe.doe%40lindenhain.de
"joe doe"@lindenhain.de
""".splitlines()


@pytest.mark.parametrize(
    "line", [*ADDRESSES, *(f"joe.doe@lindenhain.de{sign}" for sign in "-_.,;:!?()[]{}<>'\"`*/|&=\\@。…»")]
)
def test_addresses_go_as_a_whole(line):
    scrubbed = scrub(f"{line}\n")
    assert "lindenhain" not in scrubbed
    assert not [name for name in ("jörg", "müller", "mueller", "taro", "петров", "张伟", "doe") if name in scrubbed]


@pytest.mark.parametrize(
    "line",
    [
        "# Call us: +49 30 23125 117 before noon",
        "tel: +33 1 42 68 53 00",
        "Tel.: 030 23125 117",
        "Telefon: 089/636-48018",
        "téléphone : 01 42 68 53 00",
        "Teléfono: 91 523 45 67",
        "電話: 03-3224-9999",
        "手机:13912345678",
        "전화: 02-730-5800",
        "телефон: 8 (495) 606-36-02",
        "Phone: (212) 736-5000",
        'phone_number: "2127365000"',
        '"+442079460123"',
        "Tel 0043 1 53115 0",
        "tlf: 22 24 90 90",
        "mobilnr: 070-740 12 34",
    ],
)
def test_phone_numbers_go(line):
    assert sum(map(str.isdigit, scrub(f"{line}\n"))) <= 1


SPARED = """\
password = get_password(); password = os.environ["DB_PASSWORD2"]; passwd = config.password2
String password = request.getParameter("password2"); let pwd = args.pwd2;
password: changeme
password=${DB_PASSWORD2} password=<password> password={{ vault_password2 }} password=$DB_PASSWORD2
password = "{cipher}9f8a"; password: ENC(9f8a7b6c5d4e) ; password = "$2b$12$WApznUPhDubN0oeveSXHp."
mysql -u root -p"$MYSQL_PASSWORD2" db; curl -u "$USER:$PASSWORD" https://h; sshpass -e ssh h; mkdir -p src/main2
headers = {"Authorization": f"Bearer {token2}"}; "Authorization: Bearer <token>"; Bearer authentication2
Server=db;Database=a;Integrated Security=True;Password=;Encrypt=True
https://alice:hunter2@example.com/x
token = tokens[i2]; token_type = "bearer"; nextToken: "CpHNsscimcV5oH7bSbub03CI2Qms5"
key = "content-type"; cache_key = "user:9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"
public_key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9f8a7b6c5d4e3f2a1b0c"
spdx_license_key: LicenseRef-scancode-some-eula-1.29
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
commit 9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c9f8a7b6c
"integrity": "sha512-9f8a7b6cZk3Vn9QbGm2RtYc8LpJw5sHfZk3Vn9QbGm2RtYc8LpJw5sHfDq0iUeXoKa1TgB6CrSvNyM=="
id: 550e8400-e29b-41d4-a716-446655440000
url(data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA)
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm2RtYc8LpJw5sHfDq0iUeXoKa1TgB6CrSvNyM9f8a
github.com ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQx7Zk3Vn9QbGm2RtYc8LpJw5sHfDq0iUeXoKa1TgB6CrSvNyM
-----BEGIN PUBLIC KEY-----⏎MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9f8a7b6c5d4e3f2a1b0c9d8e7f6a⏎-----END PUBLIC KEY-----
if "-----BEGIN RSA PRIVATE KEY-----" in text and text.endswith("-----END RSA PRIVATE KEY-----"):
ether 00:00:5e:00:53:af 01:23:45:67:89:ab 00:11:22:33:44:55 ff:ff:ff:ff:ff:ff de:ad:be:ef:12:34
offset +1234567890 x = y +4930231251 phone: 555-0100, 1-212-555-0123
x = a +1234567 +00:00 UTC+0200 1.2.3.4567
joe@example.com ann@sub.example.org weights@inputs.to(device) git@github.com:owner/name.git @Override pkg@1.2.3
pass `stream=True` to get a stream; user:password@host/dbname?charset=utf8mb4
MovedAttribute("HTTPPasswordMgr", "urllib2"); mainPassSampleCount=t.antialias?4:1
""".splitlines()  # fmt: skip


@pytest.mark.parametrize("line", SPARED)
def test_what_is_no_secret_stays(line):
    text = f"{line}\n".replace("⏎", "\n")
    assert scrub(text) == text


DOCUMENTS = st.lists(
    st.one_of(
        st.sampled_from([*KEYS.values(), *VENDORS.values(), *ADDRESSES]),
        st.sampled_from(PASSWORDS).map(lambda form: form.replace("@", PASSWORD)),
        st.sampled_from(HEADERS).map(lambda form: form.replace("@", TOKEN)),
        st.sampled_from([" ", "\n", '"', "'", "=", ":", "@", "password", "token: ", "Bearer ", "<", ">", "://", "é"]),
        st.text(max_size=6),
    ),
    max_size=8,
).map("".join)


@settings(deadline=None, max_examples=150)
@given(DOCUMENTS)
def test_scrubbing_twice_changes_nothing(text):
    once = scrub(text)
    assert scrub(once) == once


def test_threads_share_one_scanner_and_find_the_same():
    texts = [code * 20 for token in VENDORS.values() for code in (f'x("{token}")\n', f"{PEM}\n")]
    expected = [scrub(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(scrub, texts)) == expected
    assert load_scanner() is load_scanner()


def test_no_network_is_asked(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    fresh = FindPersonalData().load()
    text = "\n".join([*VENDORS.values(), "joe.doe@lindenhain.de"])
    assert len(fresh(pa.record_batch({"content": [text]})).column("pii")[0]) > len(VENDORS)


@pytest.mark.parametrize(
    "filler", ["password=", "Bearer ", "-----BEGIN PRIVATE KEY-----\n", "LS0tLS1CRUdJTi", "\0", "glpat-" * 3]
)
def test_hostile_texts_take_bounded_time_and_memory(filler):
    text = (filler * 40_000)[:200_000]
    assert scrub(text + f'\nx("{VENDORS["groq"]}")').endswith('")')
