"""HTTP/2 requests that say something else once they are HTTP/1.1. See README.md."""
import struct
from dataclasses import dataclass, field

from smuggling_requests import CHUNKED_PREFIX, HOST, PROXY, SECURE, SMUGGLED, Broken, Refused, one

# --- frames, byte by byte: no library would send what is sent here

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value, bits, lead=0):
    """RFC 7541 section 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([lead | value])
    out, value = bytes([lead | most]), value - most
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def hpack(fields):
    """Literals without indexing and without Huffman coding: any byte may stand in them."""
    return b"".join(b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value for name, value in fields)


def status_of(block):
    """The :status that a response's first header block begins with, which our server never takes from the dynamic table there."""
    static = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
    at = 0
    while block[at] & 0xE0 == 0x20:  # a new size of the table
        more, at = block[at] & 0x1F == 0x1F, at + 1
        while more:
            more, at = block[at] & 128, at + 1
    first = block[at]
    if first & 0x80:
        return static[first & 0x7F]
    index = first & (0x3F if first & 0x40 else 0x0F)
    assert index in static, block.hex()
    huffman, size = block[at + 1] & 0x80, block[at + 1] & 0x7F
    text = block[at + 2:at + 2 + size]
    if not huffman:
        return int(text)
    bits, digits = "".join(f"{byte:08b}" for byte in text), ""
    codes = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9"}
    while len(digits) < 3:
        code = next(code for code in codes if bits.startswith(code))
        digits, bits = digits + codes[code], bits[len(code):]
    return int(digits)


@dataclass
class H2Vector:
    name: str
    fields: list
    want: object
    source: str
    data: list = field(default_factory=list)  # payloads of DATA frames
    trailers: list = None
    end: bool = True  # END_STREAM at the end


VECTORS = []


def add(source, name, fields, want, *data, **more):
    VECTORS.append(H2Vector(name, [(key, value.replace(b"@PATH", b"/v/" + name.encode())) for key, value in fields], want, source, list(data), **more))


def request(*fields, method=b"GET", path=b"@PATH", authority=HOST, scheme=b"http"):
    pseudo = [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(fields)


def post(*fields, **more):
    return request(*fields, method=b"POST", **more)


def length(n):
    return b"content-length", b"%d" % n


KETTLE = "Kettle 2021, HTTP/2: the sequel is always worse"
MALFORMED = "RFC 9113 8.1.1"

# --- what is right, so that the rest is not refused for another reason
add("RFC 9113 8.1", "h2-get", request(), one(b"GET"))
add("RFC 9113 8.1", "h2-post-length", post(length(3)), one(body=b"abc", has={b"content-length": b"3"}, lacks=(b"transfer-encoding",)), b"abc")
add("RFC 9113 8.1", "h2-post-chunked", post(), one(body=b"abcdef", has={b"transfer-encoding": b"chunked"}, lacks=(b"content-length",)), b"abc", b"def")
add("RFC 9113 8.1", "h2-post-empty", post(), one(body=b"", has={b"content-length": b"0"}))
add("RFC 9113 8.1", "h2-get-body", request(length(3)), one(b"GET", body=b"abc"), b"abc")
add("RFC 9113 8.1", "h2-trailers", post((b"te", b"trailers")), one(body=b"abc"), b"abc", trailers=[(b"x-sum", b"1")])
add("RFC 9113 8.2.3", "h2-cookie-crumbs", request((b"cookie", b"a=1"), (b"cookie", b"b=2")), one(b"GET", has={b"cookie": b"a=1; b=2"}))
add("RFC 9113 8.3.1", "h2-host-same", request((b"host", HOST)), one(b"GET"))
add("RFC 9113 8.3.1", "h2-host-alone", request((b"host", HOST), authority=None), one(b"GET"))
add("RFC 9113 8.1", "h2-body-that-is-a-request", post(length(len(SMUGGLED))), one(body=SMUGGLED), SMUGGLED)
add("RFC 9113 8.1", "h2-body-that-is-chunks", post(length(len(CHUNKED_PREFIX))), one(body=CHUNKED_PREFIX), CHUNKED_PREFIX)
add("RFC 9113 8.1", "h2-chunked-body-that-is-chunks", post(), one(body=CHUNKED_PREFIX), CHUNKED_PREFIX)
add("RFC 9113 8.1", "h2-chunked-body-with-an-end", post(), one(body=b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"), b"0\r\n\r\n", b"GET /smuggled HTTP/1.1\r\n\r\n")

# --- Content-Length against what DATA brings: H2.CL
add(KETTLE, "h2-cl-too-short", post(length(0)), Refused(), SMUGGLED)
add(KETTLE, "h2-cl-shorter", post(length(2)), Broken(), b"abc")
add(KETTLE, "h2-cl-shorter-pieces", post(length(2)), Broken(), b"a", b"b", SMUGGLED)
add(KETTLE, "h2-cl-longer", post(length(10)), Broken(), b"abc")
add(KETTLE, "h2-cl-without-data", post(length(3)), Refused())
add(KETTLE, "h2-cl-of-get", request(length(3)), Refused())
add(MALFORMED, "h2-cl-longer-with-trailers", post(length(10)), Broken(), b"abc", trailers=[(b"x-a", b"b")])
for name, value in (("plus", b"+3"), ("minus", b"-3"), ("hex", b"0x3"), ("list", b"3, 3"), ("list-differs", b"3, 4"), ("empty", b""), ("word", b"abc"), ("dot", b"3.0"),
                    ("underscore", b"1_0"), ("inner-space", b"1 0"), ("huge", b"18446744073709551619"), ("space-before", b" 3"), ("space-after", b"3 "), ("tab", b"\t3"),
                    ("fullwidth", "３".encode()), ("null", b"3\0"), ("crlf", b"3\r\n")):
    add(MALFORMED, "h2-cl-value-" + name, post((b"content-length", value)), Refused(), b"abc")
add(MALFORMED, "h2-cl-twice", post(length(3), length(3)), Refused(), b"abc")
add(MALFORMED, "h2-cl-twice-differs", post(length(3), length(0)), Refused(), b"abc")

# --- Transfer-Encoding: H2.TE
TE = b"transfer-encoding"
for name, value in (("chunked", b"chunked"), ("identity", b"identity"), ("trailers", b"trailers"), ("xchunked", b"xchunked"), ("empty", b""), ("list", b"identity, chunked")):
    add(KETTLE, "h2-te-" + name, post((TE, value)), Refused(), CHUNKED_PREFIX)
    add(KETTLE, "h2-te-cl-" + name, post((TE, value), length(len(CHUNKED_PREFIX))), Refused(), CHUNKED_PREFIX)
add(KETTLE, "h2-te-in-capitals", post((b"Transfer-Encoding", b"chunked")), Refused(), CHUNKED_PREFIX)
add(KETTLE, "h2-te-one-capital", post((b"transfer-Encoding", b"chunked")), Refused(), CHUNKED_PREFIX)
for name, key in (("space-after", b"transfer-encoding "), ("space-before", b" transfer-encoding"), ("tab", b"transfer-encoding\t"), ("colon", b"transfer-encoding:"),
                  ("null", b"transfer-encoding\0"), ("cr", b"transfer-encoding\r"), ("lf", b"transfer-encoding\n"), ("with-value", b"transfer-encoding: chunked"),
                  ("high-byte", b"transfer-encoding\xa0"), ("del", b"transfer-encoding\x7f")):
    add(KETTLE, "h2-te-name-" + name, post((key, b"chunked")), Refused(), CHUNKED_PREFIX)

# --- bytes of a field that end it in HTTP/1.1
for name, bad in (("crlf", b"\r\n"), ("lf", b"\n"), ("cr", b"\r"), ("null", b"\0"), ("vt", b"\x0b"), ("ff", b"\x0c"), ("del", b"\x7f"), ("esc", b"\x1b")):
    add(KETTLE, f"h2-value-{name}", request((b"x-a", b"b" + bad + b"transfer-encoding: chunked")), Refused())
    add(KETTLE, f"h2-value-{name}-end", request((b"x-a", b"b" + bad)), Refused())
    add(KETTLE, f"h2-value-{name}-first", request((b"x-a", bad + b"b")), Refused())
    add(KETTLE, f"h2-name-{name}", request((b"x-a" + bad + b"b", b"c")), Refused())
    add(KETTLE, f"h2-path-{name}", request(path=b"/v/x" + bad + b"y"), Refused())
    add(KETTLE, f"h2-method-{name}", request(method=b"GET" + bad + b"X"), Refused())
    add(KETTLE, f"h2-authority-{name}", request(authority=HOST + bad + b"x"), Refused())
    add(KETTLE, f"h2-scheme-{name}", request(scheme=b"http" + bad + b"x"), Refused())
    add(KETTLE, f"h2-cookie-{name}", request((b"cookie", b"a=1" + bad + b"x: y"), (b"cookie", b"b=2")), Refused())
    add(KETTLE, f"h2-trailer-value-{name}", post(), Broken(), b"abc", trailers=[(b"x-a", b"b" + bad + b"c")])
    add(KETTLE, f"h2-trailer-name-{name}", post(), Broken(), b"abc", trailers=[(b"x-a" + bad, b"b")])
add(KETTLE, "h2-value-whole-request", request((b"x-a", b"b\r\n\r\n" + SMUGGLED)), Refused())
add(KETTLE, "h2-name-whole-request", request((b"x-a: b\r\n\r\n" + SMUGGLED, b"c")), Refused())
for name, key in (("space", b"x a"), ("colon", b"x-a: b"), ("colon-first", b":x-a"), ("empty", b""), ("capital", b"X-A"), ("slash", b"x/a"), ("high", b"x-\xc3\xa4"), ("quote", b'"x"'), ("comma", b"x,a"), ("at", b"x@a")):
    add("RFC 9113 8.2.1", "h2-name-" + name, request((key, b"v")), Refused())
add("RFC 9113 8.2.1", "h2-value-space-first", request((b"x-a", b" b")), Refused())
add("RFC 9113 8.2.1", "h2-value-space-last", request((b"x-a", b"b ")), Refused())
add("RFC 9113 8.2.1", "h2-value-tab-last", request((b"x-a", b"b\t")), Refused())

# --- request lines made of pseudo-headers
for name, method in (("space", b"GET /smuggled HTTP/1.1"), ("crlf-request", b"GET /smuggled HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\nGET"), ("empty", b""), ("colon", b"GET:"), ("high", b"G\xcbT")):
    add(KETTLE, "h2-method-" + name, request(method=method), Refused())
for name, path in (("space", b"/v/x HTTP/1.1"), ("request", b"/v/x HTTP/1.1\r\nHost: x\r\n\r\n"), ("empty", b""), ("no-slash", b"v/x"), ("absolute", b"http://" + HOST + b"/v/x"),
                   ("fragment", b"/v/x#y"), ("star", b"*"), ("tab", b"/v\tx"), ("high", b"/v/\xff"), ("authority", b"//other.example/v@x#")):
    add(KETTLE, "h2-path-" + name, request(path=path), Refused())
for name, scheme in (("request", b"http://other.example/smuggled?"), ("empty", b""), ("ftp", b"ftp"), ("javascript", b"javascript"), ("space", b"http x")):
    add(KETTLE, "h2-scheme-" + name, request(scheme=scheme), Refused())
for name, authority in (("user", b"user@" + HOST), ("path", HOST + b"/x"), ("space", HOST + b" x"), ("two-ports", HOST + b":80:81"), ("port-word", HOST + b":x"), ("port-large", HOST + b":65536"),
                        ("question", HOST + b"?x"), ("hash", HOST + b"#x"), ("backslash", HOST + b"\\x"), ("comma", HOST + b",x"), ("empty", b""), ("high", b"app\xff.example.com")):
    add(KETTLE, "h2-authority-" + name, request(authority=authority), Refused())
add("RFC 9113 8.3.1", "h2-host-differs", request((b"host", b"other.example.com")), Refused())
add("RFC 9113 8.3.1", "h2-host-twice", request((b"host", HOST), (b"host", HOST)), Refused())
add("RFC 9113 8.3.1", "h2-host-twice-differs", request((b"host", HOST), (b"host", b"other.example.com")), Refused())
add("RFC 9113 8.3.1", "h2-no-host", request(authority=None), Refused())
for name in (b":method", b":scheme", b":authority", b":path"):
    word = name[1:].decode()
    value = dict(request())[name].replace(b"@PATH", b"/v/x")
    add("RFC 9113 8.3", f"h2-{word}-twice", [(name, value), *request()], Refused())
    add("RFC 9113 8.3", f"h2-{word}-twice-differs", [*request(), (name, b"POST" if name == b":method" else b"other")], Refused())
    add("RFC 9113 8.3", f"h2-{word}-last", [pair for pair in request((b"x-a", b"b")) if pair[0] != name] + [(name, value)], Refused())
    if name != b":authority":
        add("RFC 9113 8.3.1", f"h2-{word}-missing", [pair for pair in request() if pair[0] != name], Refused())
add("RFC 9113 8.3", "h2-pseudo-unknown", [*request(), (b":unknown", b"x")], Refused())
add("RFC 9113 8.3", "h2-pseudo-of-a-response", [*request(), (b":status", b"200")], Refused())
add("RFC 9113 8.3", "h2-pseudo-capital", [(b":Method", b"GET"), *request()[1:]], Refused())
add("RFC 9113 8.3", "h2-pseudo-in-trailers", post(), Broken(), b"abc", trailers=[(b":path", b"/smuggled")])
add("RFC 9113 8.5", "h2-connect", [(b":method", b"CONNECT"), (b":authority", HOST + b":80")], Refused(), end=False)
add("RFC 9113 8.5", "h2-connect-with-path", request(method=b"CONNECT"), Refused(), end=False)
for name, fields in (("not-asked", [(b":authority", HOST + b":443")]), ("no-port", [(b":authority", PROXY)]), ("port-zero", [(b":authority", PROXY + b":0")]), ("user", [(b":authority", b"user@" + SECURE)]),
                     ("target-path", [(b":authority", SECURE + b"/x")]), ("crlf", [(b":authority", SECURE + b" HTTP/1.1\r\nX: y")]), ("space", [(b":authority", SECURE + b" x")]), ("empty", [(b":authority", b"")]),
                     ("no-authority", []), ("host-alone", [(b"host", SECURE)]), ("scheme", [(b":scheme", b"http"), (b":authority", SECURE)]), ("path", [(b":path", b"/"), (b":authority", SECURE)]),
                     ("host-differs", [(b":authority", SECURE), (b"host", HOST + b":443")]), ("host-other-port", [(b":authority", SECURE), (b"host", PROXY + b":80")]),
                     ("cl", [(b":authority", SECURE), length(len(SMUGGLED))]), ("cl-zero", [(b":authority", SECURE), length(0)]), ("te", [(b":authority", SECURE), (b"transfer-encoding", b"chunked")]),
                     ("upgrade", [(b":authority", SECURE), (b"upgrade", b"websocket")]), ("connection", [(b":authority", SECURE), (b"connection", b"close")]),
                     ("twice", [(b":authority", SECURE), (b":authority", HOST + b":443")])):
    add("RFC 9113 8.5", "h2-connect-" + name, [(b":method", b"CONNECT"), *fields], Refused(), SMUGGLED, end=False)
add("RFC 8441 4", "h2-protocol-without-connect", [*request(), (b":protocol", b"websocket")], Refused())
add("RFC 8441 4", "h2-protocol-unknown", [*request(method=b"CONNECT"), (b":protocol", b"raw")], Refused(), end=False)

# --- fields of one connection
for name, key, value in (("connection", b"connection", b"transfer-encoding"), ("connection-close", b"connection", b"close"), ("keep-alive", b"keep-alive", b"timeout=5"),
                         ("proxy-connection", b"proxy-connection", b"keep-alive"), ("upgrade", b"upgrade", b"websocket"), ("upgrade-h2c", b"upgrade", b"h2c"),
                         ("http2-settings", b"http2-settings", b"AAMAAABk"), ("te-field-chunked", b"te", b"chunked"), ("te-field-list", b"te", b"trailers, chunked"), ("te-field-gzip", b"te", b"gzip;q=1")):
    add("RFC 9113 8.2.2", "h2-" + name, request((key, value)), Refused())
    if key != b"te":
        add("RFC 9113 8.2.2", f"h2-trailer-{name}", post(), Broken(), b"abc", trailers=[(key, value)])

# --- trailers that would be a head's
for key in (b"host", b"authorization", b"cookie", b"x-forwarded-for", b"ferrotunnel-error", b"content-encoding", b"trailer"):
    add("RFC 9110 6.5.1", f"h2-trailer-{key.decode()}", post(), one(body=b"abc", lacks=(key,) if key not in (b"host", b"x-forwarded-for") else ()), b"abc", trailers=[(key, b"1")])
add("RFC 9110 6.5.1", "h2-trailer-content-length", post(), Broken(), b"abc", trailers=[length(1)])
add("RFC 9110 6.5.1", "h2-trailer-transfer-encoding", post(), Broken(), b"abc", trailers=[(TE, b"chunked")])

# --- what a gateway reads in the names of variables
for key in (b"x_forwarded_for", b"x_forwarded_host", b"content_length", b"transfer_encoding"):
    forwarded = key.startswith(b"x_forwarded")
    add("CGI, RFC 3875 4.1.18", f"h2-underscore-{key.decode()}", request((key, b"3")), one(b"GET", lacks=(key,) if forwarded else ()))
for key in (b"ferrotunnel-error", b"x-request-id", b"forwarded"):
    add("what the server says itself", f"h2-own-{key.decode()}", request((key, b"for=spoofed")), one(b"GET", lacks=(b"ferrotunnel-error",)))
_names = [vector.name for vector in VECTORS]
assert len(set(_names)) == len(_names), sorted(name for name in _names if _names.count(name) > 1)
