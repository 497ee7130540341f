"""Requests that two parsers may read differently. See README.md."""
from dataclasses import dataclass, field

HOST = b"app.example.com"
PROXY = b"proxy.example.com"  # of a tunnel that asks for CONNECT; HOST's does not
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
ANY = None  # of Refused: whatever status, or none
CHUNKED_PREFIX = b"0\r\n\r\n" + SMUGGLED  # a body to who counts, an end and another request to who reads chunks


@dataclass
class Refused:
    status: object = 400  # or a tuple


@dataclass
class Broken:
    pass


@dataclass
class Seen:
    """What the origin sees of a request; `target` None: /v/NAME."""
    method: bytes = b"GET"
    body: bytes = b""
    target: bytes = None
    has: dict = field(default_factory=dict)  # field: its only value
    lacks: tuple = ()


@dataclass
class Passed:
    requests: list
    closes: bool = False  # the connection ends behind it
    status: int = 200


@dataclass
class Vector:
    name: str
    data: bytes
    want: object
    source: str


VECTORS = []


def add(source, name, data, want):
    VECTORS.append(Vector(name, data.replace(b"@PATH", b"/v/" + name.encode()), want, source))


def get(*lines, body=b"", start=b"GET @PATH HTTP/1.1", host=b"Host: " + HOST):
    return b"\r\n".join([start, *([host] if host else []), *lines, b"", b""]) + body


def post(*lines, body=b"", **more):
    return get(*lines, body=body, start=b"POST @PATH HTTP/1.1", **more)


CL = b"Content-Length: %d" % len(CHUNKED_PREFIX)
TE = b"Transfer-Encoding: chunked"
SIX = b"Content-Length: 6"


def one(method=b"POST", body=b"", closes=False, **more):
    return Passed([Seen(method, body, **more)], closes)


# --- Content-Length against Transfer-Encoding

KETTLE = "Kettle 2019, HTTP desync attacks"
add(KETTLE, "cl-te", post(CL, TE, body=CHUNKED_PREFIX), Refused())
add(KETTLE, "te-cl", post(TE, b"Content-Length: 4", body=b"5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"), Refused())
add(KETTLE, "cl-te-zero", post(b"Content-Length: 0", TE, body=CHUNKED_PREFIX), Refused())
add(KETTLE, "cl-te-get", get(SIX, TE, body=b"0\r\n\r\nG"), Refused())
add("RFC 9112 6.1", "cl-te-http10", get(SIX, TE, start=b"POST @PATH HTTP/1.0", body=b"0\r\n\r\nG"), Refused())
add("RFC 9112 6.1", "te-http10", get(TE, start=b"POST @PATH HTTP/1.0", body=CHUNKED_PREFIX), Refused())
add("RFC 9112 6.1", "te-http10-keepalive", get(b"Connection: keep-alive", TE, start=b"POST @PATH HTTP/1.0", body=CHUNKED_PREFIX), Refused())
add(KETTLE, "cl-te-far-apart", post(CL, *[b"X-%d: y" % i for i in range(40)], TE, body=CHUNKED_PREFIX), Refused())
add("RFC 9110 5.1", "cl-te-other-case", post(b"cOnTeNt-LeNgTh: 6", b"tRANSFER-eNCODING: CHUNKED", body=b"0\r\n\r\nG"), Refused())
add("RFC 9112 6.1", "cl-and-te-identity", post(SIX, b"Transfer-Encoding: identity", body=b"0\r\n\r\nG"), Refused((400, 501)))
add("RFC 9112 6.1", "cl-and-te-empty", post(SIX, b"Transfer-Encoding:", body=b"0\r\n\r\nG"), Refused((400, 501)))
add("RFC 9112 7", "te-uppercase", post(b"Transfer-Encoding: CHUNKED", body=b"3\r\nabc\r\n0\r\n\r\n"), one(body=b"abc", has={b"transfer-encoding": b"chunked"}))
add("RFC 9112 7", "te-alone", post(TE, body=b"3\r\nabc\r\n0\r\n\r\n"), one(body=b"abc", lacks=(b"content-length",)))

# --- Transfer-Encoding in disguise, beside a Content-Length that a parser which does not see it goes by

SMUGGLER = "smuggler.py's mutations"
for name, value in (
        ("xchunked", b"xchunked"), ("chunkedx", b"chunkedx"), ("chunk", b"chunk"), ("space-inside", b"chun ked"), ("identity", b"identity"),
        ("gzip-chunked", b"gzip, chunked"), ("chunked-identity", b"chunked, identity"), ("identity-chunked", b"identity, chunked"),
        ("chunked-chunked", b"chunked, chunked"), ("chunked-cow", b"chunked, cow"), ("comma-after", b"chunked,"), ("comma-before", b",chunked"),
        ("semicolon", b"chunked;"), ("parameter", b"chunked;q=0.5"), ("double-quoted", b"\"chunked\""), ("single-quoted", b"'chunked'"),
        ("null-after", b"chunked\0"), ("null-before", b"\0chunked"), ("vt-before", b"\x0bchunked"), ("vt-after", b"chunked\x0b"), ("ff-before", b"\x0cchunked"),
        ("backspace", b"chunked\x08"), ("del", b"chunked\x7f"), ("nbsp-before", b"\xa0chunked"), ("nbsp-after", b"chunked\xc2\xa0"),
        ("ff-byte", b"chunked\xff"), ("nel", b"\x85chunked"), ("colon", b": chunked"), ("dot", b"chunked."), ("kelvin-k", b"chun\xe2\x84\xaaed"),
        ("cr-after", b"chunked\r"), ("cr-before", b"\rchunked"), ("lf-before", b"\nchunked"), ("folded", b"\r\n chunked"), ("folded-tab", b"\r\n\tchunked"),
        ("folded-after", b"chunked\r\n ,identity"), ("empty", b"")):
    add(SMUGGLER, "te-value-" + name, post(CL, b"Transfer-Encoding: " + value, body=CHUNKED_PREFIX), Refused((400, 501)))
    if name in ("xchunked", "identity", "chunked-identity", "gzip-chunked", "parameter", "vt-before", "empty"):
        add(SMUGGLER, "te-value-alone-" + name, post(b"Transfer-Encoding: " + value, body=CHUNKED_PREFIX), Refused((400, 501)))
for name, line in (
        ("space-colon", b"Transfer-Encoding : chunked"), ("tab-colon", b"Transfer-Encoding\t: chunked"), ("null-colon", b"Transfer-Encoding\0: chunked"),
        ("space-first", b" Transfer-Encoding: chunked"), ("tab-first", b"\tTransfer-Encoding: chunked"), ("cr-first", b"\rTransfer-Encoding: chunked"),
        ("space-inside", b"Transfer Encoding: chunked"), ("quoted", b"\"Transfer-Encoding\": chunked"), ("no-colon", b"Transfer-Encoding chunked"),
        ("colon-first", b":Transfer-Encoding: chunked"), ("nbsp", b"Transfer-Encoding\xa0: chunked"), ("ff", b"\xffTransfer-Encoding: chunked"),
        ("vt", b"Transfer-Encoding\x0b: chunked"), ("bom", b"\xef\xbb\xbfTransfer-Encoding: chunked"), ("del", b"Transfer-Encoding\x7f: chunked"),
        ("folded-name", b"Transfer-\r\n Encoding: chunked"), ("semicolon", b"Transfer-Encoding; chunked"), ("equals", b"Transfer-Encoding=chunked")):
    add(SMUGGLER, "te-name-" + name, post(CL, line, body=CHUNKED_PREFIX), Refused())
add(SMUGGLER, "te-behind-bare-lf", post(CL, b"X: y\nTransfer-Encoding: chunked", body=CHUNKED_PREFIX), Refused())
add(SMUGGLER, "te-behind-bare-cr", post(CL, b"X: y\rTransfer-Encoding: chunked", body=CHUNKED_PREFIX), Refused())
add(SMUGGLER, "te-behind-cr-cr-lf", post(CL, b"X: y\r\r\nTransfer-Encoding: chunked", body=CHUNKED_PREFIX), Refused())
add(SMUGGLER, "te-behind-lf-cr", post(CL, b"X: y\n\rTransfer-Encoding: chunked", body=CHUNKED_PREFIX), Refused())
add(SMUGGLER, "te-behind-null", post(CL, b"X: y\0Transfer-Encoding: chunked", body=CHUNKED_PREFIX), Refused())
add(KETTLE, "te-twice", post(TE, TE, body=CHUNKED_PREFIX), Refused())
add(KETTLE, "te-te-cow", post(TE, b"Transfer-Encoding: cow", body=CHUNKED_PREFIX), Refused((400, 501)))
add(KETTLE, "te-cow-te", post(CL, b"Transfer-Encoding: cow", TE, body=CHUNKED_PREFIX), Refused((400, 501)))
add(KETTLE, "te-identity-te", post(CL, b"Transfer-encoding: identity", TE, body=CHUNKED_PREFIX), Refused((400, 501)))
add("CGI aliases", "te-underscore", post(b"Content-Length: 3", b"Transfer_Encoding: chunked", body=b"abc"), one(body=b"abc", lacks=(b"transfer_encoding",)))
add("near misses", "te-other-names", post(b"Content-Length: 3", b"X-Transfer-Encoding: chunked", b"Transfer-Encodin: chunked", b"Content-Encoding: chunked", body=b"abc"),
    one(body=b"abc", lacks=(b"transfer-encoding",)))

# --- Content-Length

LINHART = "Linhart et al. 2005, HTTP request smuggling"
add(LINHART, "cl-cl-differ", post(b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), Refused())
add(LINHART, "cl-cl-differ-reversed", post(b"Content-Length: %d" % len(SMUGGLED), b"Content-Length: 0", body=SMUGGLED), Refused())
add("RFC 9112 6.3", "cl-cl-same", post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), Refused())
add("RFC 9112 6.3", "cl-cl-one-empty", post(b"Content-Length: 3", b"Content-Length:", body=b"abc"), Refused())
for name, value in (
        ("list-same", b"3, 3"), ("list-differ", b"3, 0"), ("list-empty", b"3,"), ("list-first-empty", b",3"), ("two-words", b"3 3"), ("plus", b"+3"), ("minus", b"-3"),
        ("minus-zero", b"-0"), ("hex", b"0x3"), ("octal-o", b"0o3"), ("exponent", b"3e0"), ("fraction", b"3.0"), ("underscore", b"0_3"), ("thousands", b"0,003"),
        ("quoted", b"\"3\""), ("empty", b""), ("spaces", b"   "), ("letter-after", b"3a"), ("semicolon", b"3;"), ("null", b"3\0"), ("vt", b"\x0b3"),
        ("vt-after", b"3\x0b"), ("nbsp", b"3\xa0"), ("full-width", "３".encode()), ("arabic-digit", "٣".encode()), ("cr", b"3\r"), ("folded", b"\r\n 3"), ("folded-second", b"3\r\n 0"),
        ("uint64-wraps", b"18446744073709551619"), ("int64-over", b"9223372036854775808"),
        ("many-digits", b"0" * 5000 + b"99999999999999999999999"), ("nan", b"NaN"), ("inf", b"inf"), ("brackets", b"(3)"), ("equals", b"=3")):
    add("Linhart 2005, and number parsers", "cl-value-" + name, post(b"Content-Length: " + value, body=b"abc"), Refused())
for name, line in (
        ("space-colon", b"Content-Length : 3"), ("tab-colon", b"Content-Length\t: 3"), ("space-first", b" Content-Length: 3"), ("null", b"Content-Length\0: 3"),
        ("vt", b"Content-Length\x0b: 3"), ("nbsp", b"Content-Length\xa0: 3"), ("space-inside", b"Content Length: 3"), ("quoted", b"'Content-Length' : 3"),
        ("no-colon", b"Content-Length 3"), ("bare-lf", b"X: y\nContent-Length: 3"), ("bare-cr", b"X: y\rContent-Length: 3")):
    add("Linhart 2005, and field names", "cl-name-" + name, post(line, body=b"abc"), Refused())
add("leading zeros", "cl-leading-zeros", post(b"Content-Length: 0003", body=b"abc"), one(body=b"abc", has={b"content-length": b"3"}))
add("RFC 9110 5.5", "cl-white-space", post(b"Content-Length: \t 3 \t ", body=b"abc"), one(body=b"abc", has={b"content-length": b"3"}))
add("CGI aliases", "cl-underscore", post(b"Content-Length: 3", b"Content_Length: 0", body=b"abc"), one(body=b"abc", lacks=(b"content_length",)))
add("CGI aliases", "cl-underscore-alone", post(b"Content_Length: 49") + SMUGGLED.replace(b"/smuggled", b"/v/cl-underscore-alone-2"),
    Passed([Seen(b"POST", b"", lacks=(b"content_length",)), Seen(target=b"/v/cl-underscore-alone-2")]))
add("near misses", "cl-other-names", post(b"Content-Length: 3", b"X-Content-Length: 0", b"Content-Lengt: 0", b"Content-Length2: 0", body=b"abc"), one(body=b"abc"))
for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"SEARCH"):
    add("Kettle 2022, browser-powered desync (a method's body ignored)", "cl-on-" + method.decode().lower(),
        get(b"Content-Length: %d" % len(SMUGGLED), start=method + b" @PATH HTTP/1.1", body=SMUGGLED), one(method, SMUGGLED))
add("Kettle 2022 (a method's body ignored)", "te-on-get", get(TE, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), one(b"GET", SMUGGLED))
add("Kettle 2022 (CL.0)", "cl-post-to-a-file", post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), one(body=SMUGGLED))
add("RFC 9112 6.3", "cl-none-on-post", post(), one())
add("RFC 9112 6.3", "cl-none-on-post-with-body", post() + SMUGGLED.replace(b"/smuggled", b"/v/cl-none-on-post-with-body-2"),
    Passed([Seen(b"POST"), Seen(target=b"/v/cl-none-on-post-with-body-2")]))

# --- chunks

CHUNKS = "RFC 9112 7.1"
for name, body in (
        ("hex-prefix", b"0x3\r\nabc\r\n0\r\n\r\n"), ("plus", b"+3\r\nabc\r\n0\r\n\r\n"), ("minus", b"-3\r\nabc\r\n0\r\n\r\n"), ("space-before", b" 3\r\nabc\r\n0\r\n\r\n"),
        ("space-after", b"3 \r\nabc\r\n0\r\n\r\n"), ("tab-after", b"3\t\r\nabc\r\n0\r\n\r\n"), ("null", b"3\0\r\nabc\r\n0\r\n\r\n"), ("letter", b"3g\r\nabc\r\n0\r\n\r\n"),
        ("underscore", b"0_3\r\nabc\r\n0\r\n\r\n"), ("empty", b"\r\nabc\r\n0\r\n\r\n"), ("decimal-point", b"3.0\r\nabc\r\n0\r\n\r\n"), ("comma", b"3,3\r\nabc\r\n0\r\n\r\n"),
        ("wraps-64", b"10000000000000003\r\nabc\r\n0\r\n\r\n"), ("all-ones", b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("sign-bit", b"8000000000000000\r\nabc\r\n0\r\n\r\n"), ("many-zeros", b"0" * 100 + b"3\r\nabc\r\n0\r\n\r\n"), ("full-width", "３".encode() + b"\r\nabc\r\n0\r\n\r\n")):
    add(CHUNKS + ", number parsers", "chunk-size-" + name, post(TE, body=body + SMUGGLED), Broken())
for name, body in (
        ("size-bare-lf", b"3\nabc\r\n0\r\n\r\n"), ("size-bare-cr", b"3\rabc\r\n0\r\n\r\n"), ("size-lf-cr", b"3\n\rabc\r\n0\r\n\r\n"), ("payload-bare-lf", b"3\r\nabc\n0\r\n\r\n"),
        ("payload-bare-cr", b"3\r\nabc\r0\r\n\r\n"), ("payload-no-end", b"3\r\nabc0\r\n\r\n"), ("payload-too-long", b"2\r\nabc\r\n0\r\n\r\n"),
        ("payload-too-short", b"4\r\nabc\r\n0\r\n\r\n"), ("end-bare-lf", b"3\r\nabc\r\n0\n\n"), ("end-second-bare-lf", b"3\r\nabc\r\n0\r\n\n"),
        ("end-bare-cr", b"3\r\nabc\r\n0\r\r"), ("two-bytes-for-crlf", b"3\r\nabcXY0\r\n\r\n")):
    add(CHUNKS + ", line ends; Kettle 2025 for 'two bytes skipped'", "chunk-" + name, post(TE, body=body + SMUGGLED), Broken())
for name, line in (
        ("bare-lf", b"3;a\nb"), ("bare-lf-end", b"3;a\n"), ("bare-cr", b"3;a\rb"), ("null", b"3;a\0"), ("quoted-crlf", b"3;a=\"\r\n\""), ("quoted-lf", b"3;a=\"\n\""),
        ("open-quote", b"3;a=\""), ("empty", b"3;"), ("two-semicolons", b"3;;a"), ("no-name", b"3;=b"), ("space-only", b"3; "), ("no-semicolon", b"3 a"),
        ("too-long", b"3;" + b"a" * 4000), ("control", b"3;a\x01"), ("equals-twice", b"3;a=b=c"), ("obs-text", b"3;a=\xff")):
    add("Zhong 2025 and CVE-2025-55315, chunk extensions", "chunk-extension-" + name, post(TE, body=line + b"\r\nabc\r\n0\r\n\r\n" + SMUGGLED), Broken())
# RFC 9112 7.1.1 has BWS there, which a sender must not write and which some take for the end of the size (RFC 9110 5.6.3).
for name, line in (
        ("before-semicolon", b"3 ;a=b"), ("tab-before-semicolon", b"3\t;a=b"), ("before-name", b"3; a=b"), ("before-equals", b"3;a =b"), ("before-value", b"3;a= b"),
        ("between", b"3;a=b ;c"), ("behind-quoted", b"3;a=\"b\" ;c")):
    add("RFC 9110 5.6.3, chunk extensions", "chunk-space-" + name, post(TE, body=line + b"\r\nabc\r\n0\r\n\r\n" + SMUGGLED), Broken())
add("RFC 9110 5.6.3, chunk extensions", "chunk-space-last-chunk", post(TE, body=b"3\r\nabc\r\n0 ;a\r\n\r\n" + SMUGGLED), Broken())
add("CVE-2024-27982, extensions that cost nothing", "chunk-extensions-flood", post(TE, body=(b"1;" + b"a" * 200 + b"\r\nx\r\n") * 200 + b"0\r\n\r\n" + SMUGGLED), Broken())
for name, lines in (
        ("content-length", b"Content-Length: 49"), ("transfer-encoding", b"Transfer-Encoding: chunked"), ("host", b"Host: evil.example"), ("connection", b"Connection: close"),
        ("authorization", b"Authorization: Basic eDp5"), ("x-forwarded-for", b"X-Forwarded-For: 127.0.0.1"), ("alias", b"Content_Length: 49"), ("cookie", b"Cookie: a=b"),
        ("no-colon", b"GET /smuggled HTTP/1.1"), ("space-colon", b"X : y"), ("folded", b"X: y\r\n z"), ("leading-space", b" X: y"), ("bare-lf", b"X: y\nZ: a"),
        ("bare-cr", b"X: y\rZ: a"), ("null", b"X: \0"), ("no-name", b": y"), ("too-large", b"X: " + b"y" * 20000)):
    add("RFC 9110 6.5.1", "trailer-" + name, post(TE, body=b"3\r\nabc\r\n0\r\n" + lines + b"\r\n\r\n" + SMUGGLED), Broken())
for name, body, payload in (
        ("plain", b"3\r\nabc\r\n0\r\n\r\n", b"abc"), ("leading-zeros", b"003\r\nabc\r\n000\r\n\r\n", b"abc"), ("upper-hex", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        ("extension", b"3;a=b;c=\"d;e\"\r\nabc\r\n0;last\r\n\r\n", b"abc"), ("quoted-space", b"3;a=\"b \\\t c\"\r\nabc\r\n0\r\n\r\n", b"abc"), ("trailer", b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\n\r\n", b"abc"),
        ("empty", b"0\r\n\r\n", b""), ("crlf-inside", b"7\r\n0\r\n\r\nGE\r\n0\r\n\r\n", b"0\r\n\r\nGE"), ("a-request-inside", b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n", SMUGGLED),
        ("one-byte-each", b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", b"abc")):
    add(CHUNKS, "chunked-good-" + name, post(TE, body=body), one(body=payload))

# --- lines

LINES = "RFC 9112 2.2"
add(LINES, "all-bare-lf", b"GET @PATH HTTP/1.1\nHost: app.example.com\n\n", Refused())
add(LINES, "bare-lf-after-start", b"GET @PATH HTTP/1.1\nHost: app.example.com\r\n\r\n", Refused())
add(LINES, "bare-lf-ends-head", b"GET @PATH HTTP/1.1\r\nHost: app.example.com\r\n\n", Refused())
add(LINES, "bare-lf-after-field", b"GET @PATH HTTP/1.1\r\nHost: app.example.com\n\r\n", Refused())
add(LINES, "bare-cr-between-lines", b"GET @PATH HTTP/1.1\rHost: app.example.com\r\r", Refused(ANY))
add(LINES, "bare-cr-in-value", get(b"X: a\rb"), Refused())
add(LINES, "cr-cr-lf", b"GET @PATH HTTP/1.1\r\r\nHost: app.example.com\r\r\n\r\r\n", Refused())
add(LINES, "lf-first", b"\n" + get(), Refused())
add(LINES, "cr-first", b"\r" + get(), Refused())
add(LINES, "two-empty-lines-first", b"\r\n\r\n" + get(), Refused())
add(LINES, "one-empty-line-first", b"\r\n" + get(), one(b"GET"))
add(LINES, "null-first", b"\0" + get(), Refused())
add(LINES, "space-first", b" " + get(), Refused())
add("RFC 9112 5.2", "folded", get(b"X: a\r\n b"), Refused())
add("RFC 9112 5.2", "folded-into-a-request", get(b"X: a\r\n GET /smuggled HTTP/1.1\r\n Host: x"), Refused())
add("RFC 9112 5.2", "folded-host", b"GET @PATH HTTP/1.1\r\nHost:\r\n app.example.com\r\n\r\n", Refused())
add("RFC 9112 2.2", "space-before-first-field", b"GET @PATH HTTP/1.1\r\n Host: app.example.com\r\n\r\n", Refused())
add("RFC 9112 2.2", "space-line-before-fields", b"GET @PATH HTTP/1.1\r\n \r\nHost: app.example.com\r\n\r\n", Refused())
add("RFC 9110 5.5", "null-in-value", get(b"X: a\0b"), Refused())
add("RFC 9110 5.5", "control-in-value", get(b"X: a\x01b"), Refused())
add("RFC 9110 5.5", "del-in-value", get(b"X: a\x7fb"), Refused())
add("RFC 9110 5.1", "empty-name", get(b": x"), Refused())
add("RFC 9110 5.1", "no-colon", get(b"X"), Refused())
add("RFC 9110 5.1", "name-with-parenthesis", get(b"X(Y): z"), Refused())
add("RFC 9110 5.1", "name-not-ascii", get("Ñ: z".encode()), Refused())
add("RFC 9110 5.5", "value-not-ascii", get("X: ñ".encode()), one(b"GET"))
add("encoded line ends", "encoded-crlf-in-target", get(start=b"GET @PATH?a=%0d%0aHost:%20evil HTTP/1.1"),
    one(b"GET", target=b"/v/encoded-crlf-in-target?a=%0d%0aHost:%20evil"))
add("unicode line ends (U+010A, U+560A)", "unicode-crlf-in-value", get("X: a\u010d\u010aHost: evil\u560d\u560a".encode()), one(b"GET"))

# --- the request line

START = "RFC 9112 3"
for name, start, status in (
        ("two-spaces", b"GET  @PATH HTTP/1.1", 400), ("two-spaces-before-version", b"GET @PATH  HTTP/1.1", 400), ("tab", b"GET\t@PATH\tHTTP/1.1", 400),
        ("trailing-space", b"GET @PATH HTTP/1.1 ", 400), ("no-version", b"GET @PATH", 400), ("http09", b"GET @PATH HTTP/0.9", (400, 505)), ("http12", b"GET @PATH HTTP/1.2", (400, 505)),
        ("http20", b"GET @PATH HTTP/2.0", (400, 505)), ("http1", b"GET @PATH HTTP/1", (400, 505)), ("http-1-01", b"GET @PATH HTTP/1.01", (400, 505)),
        ("lower-case-version", b"GET @PATH http/1.1", 400), ("other-protocol", b"GET @PATH ICY/1.1", 400), ("version-twice", b"GET @PATH HTTP/1.1 HTTP/1.1", 400),
        ("space-in-target", b"GET @PATH /smuggled HTTP/1.1", 400), ("null-in-target", b"GET @PATH\0 HTTP/1.1", 400), ("control-in-target", b"GET @PATH\x01 HTTP/1.1", 400),
        ("vt-in-target", b"GET @PATH\x0b HTTP/1.1", 400), ("del-in-target", b"GET @PATH\x7f HTTP/1.1", 400), ("utf8-in-target", "GET @PATHñ HTTP/1.1".encode(), 400),
        ("fragment", b"GET @PATH#x HTTP/1.1", 400), ("bare-cr-in-target", b"GET @PATH\rX HTTP/1.1", 400), ("no-slash", b"GET v HTTP/1.1", 400), ("asterisk-on-get", b"GET * HTTP/1.1", 400),
        ("query-alone", b"GET ?x HTTP/1.1", 400), ("connect", b"CONNECT app.example.com:80 HTTP/1.1", (400, 405, 501)), ("connect-path", b"CONNECT @PATH HTTP/1.1", (400, 405, 501)),
        ("method-with-colon", b"GET: @PATH HTTP/1.1", 400), ("method-with-null", b"G\0ET @PATH HTTP/1.1", 400), ("method-with-slash", b"GET/ @PATH HTTP/1.1", 400),
        ("method-too-long", b"G" * 100 + b" @PATH HTTP/1.1", (400, 501)), ("target-too-long", b"GET @PATH" + b"x" * 9000 + b" HTTP/1.1", 414),
        ("empty", b" ", 400), ("method-alone", b"GET", 400), ("version-alone", b"HTTP/1.1", 400), ("quoted-target", b"GET \"@PATH\" HTTP/1.1", 400),
        ("backslash-target", b"GET \\v HTTP/1.1", 400)):
    add(START, "line-" + name, get(start=start), Refused(status))

# --- CONNECT: what stands behind it is for the other end of the pipe, once there is one, and a request to nobody

CONNECT = "RFC 9110 9.3.6, RFC 9112 3.2.3"
SECURE = PROXY + b":443"


def connect(*lines, target=SECURE, host=SECURE, version=b"HTTP/1.1", body=SMUGGLED):
    return get(*lines, start=b"CONNECT " + target + b" " + version, host=host and b"Host: " + host, body=body)


add(CONNECT, "connect-nobody-asked", connect(target=HOST + b":443", host=HOST + b":443"), Refused(501))
add(CONNECT, "connect-nobody-asked-http10", connect(target=HOST + b":443", host=None, version=b"HTTP/1.0"), Refused(501))
add(CONNECT, "connect-nobody-there", connect(target=b"nobody.example.com:443", host=b"nobody.example.com:443"), Refused(501))
for name, lines in (("cl", [b"Content-Length: %d" % len(SMUGGLED)]), ("cl-zero", [b"Content-Length: 0"]), ("te", [TE]), ("cl-te", [CL, TE]), ("te-identity", [b"Transfer-Encoding: identity"]),
                    ("cl-words", [b"Content-Length: 5x"])):
    add(CONNECT, "connect-" + name, connect(*lines, body=CHUNKED_PREFIX), Refused((400, 501)))
    add(CONNECT, f"connect-{name}-http10", connect(*lines, version=b"HTTP/1.0", body=CHUNKED_PREFIX), Refused((400, 501)))
for name, target in (("no-port", PROXY), ("port-empty", PROXY + b":"), ("port-zero", PROXY + b":0"), ("port-large", PROXY + b":65536"), ("port-word", PROXY + b":https"), ("port-twice", SECURE + b":443"),
                     ("slash", SECURE + b"/"), ("path", SECURE + b"/smuggled"), ("query", SECURE + b"?x"), ("user", b"user@" + SECURE), ("absolute", b"http://" + SECURE + b"/"), ("no-host", b":443"),
                     ("asterisk", b"*"), ("origin-form", b"/smuggled"), ("two", SECURE + b"," + HOST + b":443"), ("escaped", b"proxy%2Eexample.com:443"), ("null", SECURE + b"\0"),
                     ("fragment", SECURE + b"#x"), ("space", SECURE + b" x")):
    add(CONNECT, "connect-target-" + name, connect(target=target), Refused())
for name, host in (("differs", HOST + b":443"), ("other-port", PROXY + b":80"), ("user", b"user@" + SECURE), ("empty", b" "), ("twice", SECURE + b"\r\nHost: " + SECURE),
                   ("twice-differs", SECURE + b"\r\nHost: " + HOST)):
    add(CONNECT, "connect-host-" + name, connect(host=host), Refused())
add(CONNECT, "connect-without-host", connect(host=None), Refused())
add(CONNECT, "connect-lower-case", get(start=b"connect " + SECURE + b" HTTP/1.1", host=b"Host: " + SECURE, body=SMUGGLED), Refused())
add(CONNECT, "connect-of-get", get(start=b"GET " + SECURE + b" HTTP/1.1", host=b"Host: " + SECURE, body=SMUGGLED), Refused())
add(CONNECT, "connect-expect", connect(b"Expect: tunnel"), Refused(417))
add("RFC 9113 3.4", "line-h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n", Refused(ANY))
add("RFC 1945 4.1", "line-http09-simple", b"GET /smuggled\r\n", Refused())
add(START, "line-lower-case-method", get(start=b"get @PATH HTTP/1.1"), one(b"get"))
add(START, "line-odd-method", get(start=b"M-SEARCH @PATH HTTP/1.1"), one(b"M-SEARCH"))
add(START, "line-options-asterisk", get(start=b"OPTIONS * HTTP/1.1"), one(b"OPTIONS", target=b"*"))
add(START, "line-double-slash", get(start=b"GET //evil.example@PATH HTTP/1.1"), one(b"GET", target=b"//evil.example/v/line-double-slash"))
add(START, "line-dots", get(start=b"GET @PATH/../../x HTTP/1.1"), one(b"GET", target=b"/v/line-dots/../../x"))

# --- who is asked: Host and the absolute form

HOSTS = "RFC 9112 3.2"
add(HOSTS, "host-none", get(host=None), Refused())
add(HOSTS, "host-twice", get(b"Host: evil.example"), Refused())
add(HOSTS, "host-twice-same", get(b"Host: app.example.com"), Refused())
add(HOSTS, "host-twice-other-case", get(b"hOsT: evil.example"), Refused())
add(HOSTS, "host-behind-bare-lf", get(b"X: y\nHost: evil.example"), Refused())
add(HOSTS, "host-folded-second", get(b" Host: evil.example"), Refused())
for name, value in (
        ("empty", b""), ("list", b"app.example.com, evil.example"), ("two-words", b"app.example.com evil.example"), ("userinfo", b"evil.example@app.example.com"),
        ("userinfo-behind", b"app.example.com@evil.example"), ("port-and-userinfo", b"evil.example:80@app.example.com"), ("path", b"app.example.com/x"),
        ("query", b"app.example.com?x"), ("fragment", b"app.example.com#x"), ("port-0", b"app.example.com:0"), ("port-large", b"app.example.com:65536"),
        ("port-empty", b"app.example.com:"), ("port-word", b"app.example.com:http"), ("two-ports", b"app.example.com:80:80"), ("null", b"app.example.com\0.evil"),
        ("tab-inside", b"app.example.com\tevil"), ("backslash", b"app.example.com\\evil"), ("encoded", b"app%2eexample.com"), ("scheme", b"http://app.example.com"),
        ("two-dots", b"app..example.com"), ("dot-first", b".app.example.com"), ("open-bracket", b"[::1"), ("not-ascii", "äpp.example.com".encode()), ("quoted", b"\"app.example.com\"")):
    add(HOSTS, "host-" + name, get(host=b"Host: " + value), Refused())
for name, line in (("space-colon", b"Host : app.example.com"), ("tab-colon", b"Host\t: app.example.com"), ("null", b"Host\0: app.example.com")):
    add(HOSTS, "host-name-" + name, get(host=line), Refused())
add(HOSTS, "host-upper-case", get(host=b"HOST:APP.EXAMPLE.COM"), one(b"GET"))
add(HOSTS, "host-dot-last", get(host=b"Host: app.example.com."), one(b"GET"))
add(HOSTS, "host-port", get(host=b"Host: app.example.com:8080"), one(b"GET"))
add(HOSTS, "host-unknown-with-body", post(b"Content-Length: %d" % len(SMUGGLED), host=b"Host: nobody.example", body=SMUGGLED), Refused(404))
ABSOLUTE = "RFC 9112 3.2.2"
for name, target in (
        ("other-host", b"http://evil.example@PATH"), ("other-port", b"http://app.example.com:81@PATH"), ("userinfo", b"http://evil@app.example.com@PATH"),
        ("other-scheme", b"ftp://app.example.com@PATH"), ("no-host", b"http://@PATH"), ("one-slash", b"http:/app.example.com@PATH"), ("fragment", b"http://app.example.com#x"),
        ("host-with-backslash", b"http://app.example.com\\evil@PATH"), ("host-encoded", b"http://app%2eexample.com@PATH"), ("https-port-80", b"https://app.example.com:80@PATH"),
        ("space-behind-scheme", b"http:// app.example.com@PATH"), ("javascript", b"javascript:alert")):
    add(ABSOLUTE, "absolute-" + name, get(start=b"GET " + target + b" HTTP/1.1"), Refused())
add(ABSOLUTE, "absolute-without-host", get(start=b"GET http://app.example.com@PATH HTTP/1.1", host=None), Refused())
add(ABSOLUTE, "absolute-right", get(start=b"GET http://app.example.com@PATH HTTP/1.1"), one(b"GET", has={b"host": b"app.example.com"}))
add(ABSOLUTE, "absolute-other-case", get(start=b"GET HTTP://APP.example.COM@PATH HTTP/1.1"), one(b"GET"))
add(ABSOLUTE, "absolute-query-alone", get(start=b"GET http://app.example.com?x HTTP/1.1"), one(b"GET", target=b"/?x"))

# --- fields of the hop, and of who the visitor is

HOP = "RFC 9110 7.6.1"
add(HOP, "connection-names-content-length", post(b"Connection: Content-Length", b"Content-Length: 3", body=b"abc"), one(body=b"abc"))
add(HOP, "connection-names-transfer-encoding", post(b"Connection: Transfer-Encoding", TE, body=b"3\r\nabc\r\n0\r\n\r\n"), one(body=b"abc"))
add(HOP, "connection-names-host", get(b"Connection: Host"), one(b"GET"))
add("Nathan Davison 2019, hop-by-hop headers", "connection-names-forwarded", get(b"Connection: close, X-Forwarded-For, X-Forwarded-Host, X-Real-IP"),
    one(b"GET", closes=True, has={b"x-forwarded-for": b"127.0.0.1"}))
add(HOP, "connection-names-a-field", get(b"Connection: X-Hop", b"X-Hop: 1", b"X-End: 2"), one(b"GET", lacks=(b"x-hop", b"connection"), has={b"x-end": b"2"}))
add(HOP, "connection-names-connection", get(b"Connection: Connection, keep-alive"), one(b"GET", lacks=(b"connection",)))
add(HOP, "connection-too-many", get(b"Connection: " + b",".join(b"a%d" % i for i in range(100))), Refused())
add(HOP, "keep-alive-and-proxy-connection", get(b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"Proxy-Authorization: x", b"Proxy: http://evil"),
    one(b"GET", lacks=(b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy")))
add(HOP, "te-field", get(b"TE: chunked, trailers;q=0.5", b"Connection: TE"), one(b"GET"))
add(HOP, "trailer-field", get(b"Trailer: Content-Length"), one(b"GET"))
add("spoofed visitor", "forwarded-for", get(b"X-Forwarded-For: 6.6.6.6", b"X_Forwarded_For: 6.6.6.7", b"Forwarded: for=6.6.6.8", b"X-Real-IP: 6.6.6.9", b"X-Forwarded-Host: evil", b"X-Forwarded-Proto: gopher"),
    one(b"GET", has={b"x-forwarded-for": b"127.0.0.1", b"x-forwarded-host": b"app.example.com", b"x-forwarded-proto": b"http", b"forwarded": b"for=127.0.0.1;host=\"app.example.com\";proto=http"}, lacks=(b"x_forwarded_for", b"x-real-ip")))
add("spoofed visitor", "ferrotunnel-field", get(b"Ferrotunnel-Error: x", b"Ferrotunnel_Error: y"), one(b"GET", lacks=(b"ferrotunnel-error", b"ferrotunnel_error")))
add("CGI aliases", "dots-and-more", get(b"X.Forwarded.For: 6.6.6.6", b"X-Forwarded.Host: evil", b"X~Real-IP: 6.6.6.7", b"X.Request.Id: x", b"X.Forwarded.Client.Cert: x", b"My.Own: 1"),
    one(b"GET", has={b"x-forwarded-for": b"127.0.0.1", b"my.own": b"1"}, lacks=(b"x.forwarded.for", b"x-forwarded.host", b"x~real-ip", b"x.request.id", b"x.forwarded.client.cert")))
add("CGI aliases", "host-underscore-and-more", get(b"X_Forwarded_Host: evil", b"Proxy_Connection: x", b"X_Request_Id: x"), one(b"GET", lacks=(b"x_forwarded_host", b"proxy_connection", b"x_request_id")))

# --- Upgrade, Expect

UPGRADE = "RFC 9110 7.8; Bleeping 2020, h2c smuggling"
add(UPGRADE, "upgrade-h2c", get(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", b"Connection: Upgrade, HTTP2-Settings"),
    one(b"GET", lacks=(b"upgrade", b"http2-settings", b"connection")))
add(UPGRADE, "upgrade-h2c-no-settings-named", get(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", b"Connection: Upgrade"), one(b"GET", lacks=(b"upgrade", b"http2-settings")))
add(UPGRADE, "upgrade-h2", get(b"Upgrade: h2", b"Connection: Upgrade"), one(b"GET", lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-http", get(b"Upgrade: HTTP/2.0", b"Connection: Upgrade"), one(b"GET", lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-list", get(b"Upgrade: websocket, h2c", b"Connection: Upgrade"), one(b"GET", lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-twice", get(b"Upgrade: websocket", b"Upgrade: h2c", b"Connection: Upgrade"), one(b"GET", lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-not-in-connection", get(b"Upgrade: websocket"), one(b"GET", lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-with-body", post(b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), one(body=SMUGGLED, lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-with-chunks", post(b"Upgrade: websocket", b"Connection: Upgrade", TE, body=b"3\r\nabc\r\n0\r\n\r\n"), one(body=b"abc", lacks=(b"upgrade",)))
add(UPGRADE, "upgrade-http10", get(b"Upgrade: websocket", b"Connection: Upgrade, keep-alive", start=b"GET @PATH HTTP/1.0"), one(b"GET", lacks=(b"upgrade",)))
add("RFC 9110 7.8", "upgrade-declined", get(b"Upgrade: websocket", b"Connection: Upgrade"), one(b"GET", has={b"upgrade": b"websocket"}))
EXPECT = "RFC 9110 10.1.1; Kettle 2025, HTTP/1.1 must die"
add(EXPECT, "expect-with-body", post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"), one(body=b"abc"))
add(EXPECT, "expect-with-chunks", post(b"Expect: 100-continue", TE, body=b"3\r\nabc\r\n0\r\n\r\n"), one(body=b"abc"))
add(EXPECT, "expect-without-body", get(b"Expect: 100-continue"), one(b"GET", lacks=(b"expect",)))
add(EXPECT, "expect-http10", get(b"Expect: 100-continue", b"Content-Length: 3", start=b"POST @PATH HTTP/1.0", body=b"abc"), one(body=b"abc", closes=True, lacks=(b"expect",)))
for name, value in (("other", b"200-ok"), ("y-100-continue", b"y 100-continue"), ("list", b"100-continue, x"), ("parameter", b"100-continue;x"), ("empty", b""), ("almost", b"100-continu")):
    add(EXPECT, "expect-" + name, post(b"Expect: " + value, b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), Refused((400, 417)))
add(EXPECT, "expect-folded", post(b"Expect:\r\n 100-continue", b"Content-Length: 3", body=b"abc"), Refused((400, 417)))

# --- one behind the other

PIPELINE = "RFC 9112 9.3.2"
add(PIPELINE, "pipeline-two", get() + get(start=b"GET @PATH-2 HTTP/1.1"), Passed([Seen(), Seen(target=b"/v/pipeline-two-2")]))
add(PIPELINE, "pipeline-body-then-get", post(b"Content-Length: 3", body=b"abc") + get(start=b"GET @PATH-2 HTTP/1.1"),
    Passed([Seen(b"POST", b"abc"), Seen(target=b"/v/pipeline-body-then-get-2")]))
add(PIPELINE, "pipeline-chunks-then-get", post(TE, body=b"3\r\nabc\r\n0\r\n\r\n") + get(start=b"GET @PATH-2 HTTP/1.1"),
    Passed([Seen(b"POST", b"abc"), Seen(target=b"/v/pipeline-chunks-then-get-2")]))
add(PIPELINE, "pipeline-head-then-get", get(start=b"HEAD @PATH HTTP/1.1") + get(start=b"GET @PATH-2 HTTP/1.1"),
    Passed([Seen(b"HEAD"), Seen(target=b"/v/pipeline-head-then-get-2")]))
add(PIPELINE, "pipeline-empty-line-between", get() + b"\r\n" + get(start=b"GET @PATH-2 HTTP/1.1"), Passed([Seen(), Seen(target=b"/v/pipeline-empty-line-between-2")]))
add(PIPELINE, "pipeline-good-then-ambiguous", get() + post(CL, TE, body=CHUNKED_PREFIX), Passed([Seen()], closes=True))
add("RFC 9112 9.6", "pipeline-behind-close", get(b"Connection: close") + SMUGGLED, Passed([Seen()], closes=True))
add("RFC 9112 9.6", "pipeline-behind-close-in-list", get(b"Connection: x, CLOSE") + SMUGGLED, Passed([Seen()], closes=True))
add("RFC 9112 9.3", "pipeline-behind-http10", get(start=b"GET @PATH HTTP/1.0") + SMUGGLED, Passed([Seen()], closes=True))
add("RFC 9112 9.3", "pipeline-http10-keep-alive", get(b"Connection: keep-alive", start=b"GET @PATH HTTP/1.0") + get(start=b"GET @PATH-2 HTTP/1.1"),
    Passed([Seen(), Seen(target=b"/v/pipeline-http10-keep-alive-2")]))
add("RFC 9112 9.6", "pipeline-close-and-keep-alive", get(b"Connection: keep-alive, close") + SMUGGLED, Passed([Seen()], closes=True))
add("Kettle 2022 (pause)", "body-ends-in-half-a-head", post(b"Content-Length: 20", body=b"GET /smuggled HTTP/1"), one(body=b"GET /smuggled HTTP/1"))

# --- limits: what is cut must not leave a rest that is read as a request

LIMITS = "limits"
add(LIMITS, "limit-head", get(b"X: " + b"y" * 40000) + SMUGGLED, Refused(431))
add(LIMITS, "limit-fields", get(*[b"X-%d: y" % i for i in range(200)]) + SMUGGLED, Refused(431))
add(LIMITS, "limit-field-name", get(b"X" * 40000 + b": y") + SMUGGLED, Refused(431))
add(LIMITS, "limit-just-below", get(b"X: " + b"y" * 8000), one(b"GET"))
