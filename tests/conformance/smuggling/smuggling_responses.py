"""Answers of origins whose end two parsers may read differently. See README.md.

The origin sends `data` whole, and keeps the connection. POISON, where it stands in it, is an answer that nobody asked for: no visitor may get it.
"""
from dataclasses import dataclass

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"
BAD = "bad"    # 502, bad-response
SPOILT = "spoilt"  # seen in the body: 502 where the head had not gone out yet, else the connection breaks off
CUT = "cut"    # the head went out before it was seen: the connection breaks off, without an end
CLEAN = "clean"  # passed on, with this body; what stands behind it goes to nobody


@dataclass
class Answer:
    name: str
    data: bytes
    want: str
    source: str
    body: bytes = b""
    status: int = 200
    method: str = "GET"
    closes: bool = False  # the origin closes behind it


ANSWERS = []


def add(source, name, data, want, body=b"", status=200, **more):
    ANSWERS.append(Answer(name, data, want, source, body, status, **more))


def ok(*lines, body=b"", start=b"HTTP/1.1 200 OK"):
    return b"\r\n".join([start, *lines, b"", b""]) + body


FIVE = b"Content-Length: 5"
TE = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

FRAMING = "RFC 9112 6.3"
add(FRAMING, "cl-te", ok(FIVE, TE, body=CHUNKS + POISON), BAD)
add(FRAMING, "te-cl", ok(TE, b"Content-Length: 3", body=CHUNKS + POISON), BAD)
add(FRAMING, "cl-zero-te", ok(b"Content-Length: 0", TE, body=CHUNKS + POISON), BAD)
add(FRAMING, "cl-cl-differ", ok(FIVE, b"Content-Length: 0", body=b"hello" + POISON), BAD)
add(FRAMING, "cl-cl-same", ok(FIVE, FIVE, body=b"hello" + POISON), BAD)
for name, value in (("list", b"5, 5"), ("list-differ", b"5, 0"), ("plus", b"+5"), ("minus", b"-5"), ("hex", b"0x5"), ("empty", b""), ("words", b"5 5"), ("fraction", b"5.0"),
                    ("letter", b"5a"), ("null", b"5\0"), ("vt", b"\x0b5"), ("int64", b"9223372036854775808"), ("wraps", b"18446744073709551621"), ("folded", b"\r\n 5")):
    add(FRAMING, "cl-" + name, ok(b"Content-Length: " + value, body=b"hello" + POISON), BAD)
for name, value in (("xchunked", b"xchunked"), ("gzip-chunked", b"gzip, chunked"), ("chunked-identity", b"chunked, identity"), ("identity", b"identity"), ("empty", b""),
                    ("quoted", b"\"chunked\""), ("vt", b"\x0bchunked"), ("parameter", b"chunked;a"), ("folded", b"\r\n chunked"), ("null", b"chunked\0")):
    add(FRAMING, "te-" + name, ok(b"Transfer-Encoding: " + value, body=CHUNKS + POISON), BAD)
add(FRAMING, "te-twice", ok(TE, TE, body=CHUNKS + POISON), BAD)
add(FRAMING, "te-on-http10", ok(TE, start=b"HTTP/1.0 200 OK", body=CHUNKS + POISON), BAD)
add(FRAMING, "te-space-colon", ok(FIVE, b"Transfer-Encoding : chunked", body=b"hello" + POISON), BAD)
add(FRAMING, "cl-space-colon", ok(b"Content-Length : 5", body=b"hello" + POISON), BAD)
add(FRAMING, "te-space-first", ok(FIVE, b" Transfer-Encoding: chunked", body=b"hello" + POISON), BAD)

LINES = "RFC 9112 2.2"
add(LINES, "bare-lf", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello" + POISON, BAD)
add(LINES, "bare-lf-once", b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\r\nhello" + POISON, BAD)
add(LINES, "bare-cr", b"HTTP/1.1 200 OK\r\nX: y\rContent-Length: 5\r\n\r\nhello" + POISON, BAD)
add(LINES, "header-behind-bare-lf", ok(b"X: y\nSet-Cookie: evil=1", FIVE, body=b"hello"), BAD)
add(LINES, "null", ok(b"X: a\0b", FIVE, body=b"hello"), BAD)
add(LINES, "folded", ok(b"X: a\r\n b", FIVE, body=b"hello"), BAD)
add(LINES, "empty-line-first", b"\r\n" + ok(FIVE, body=b"hello"), BAD)
add(LINES, "no-colon", ok(b"nonsense", FIVE, body=b"hello"), BAD)
add("RFC 9112 4", "status-99", ok(FIVE, start=b"HTTP/1.1 99 Low", body=b"hello"), BAD)
add("RFC 9112 4", "status-600", ok(FIVE, start=b"HTTP/1.1 600 High", body=b"hello"), BAD)
add("RFC 9112 4", "status-word", ok(FIVE, start=b"HTTP/1.1 2OO OK", body=b"hello"), BAD)
add("RFC 9112 4", "status-two-spaces", ok(FIVE, start=b"HTTP/1.1  200 OK", body=b"hello"), BAD)
add("RFC 9112 4", "http2-version", ok(FIVE, start=b"HTTP/2.0 200 OK", body=b"hello"), BAD)
add("RFC 9112 4", "other-protocol", b"ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello", BAD)
add("HTTP/0.9", "no-head", b"<html>hello</html>\r\n\r\n" + POISON, BAD)
add("limits", "head-too-large", ok(b"X: " + b"y" * 40000, FIVE, body=b"hello"), BAD)
add("limits", "too-many-fields", ok(*[b"X-%d: y" % i for i in range(200)], FIVE, body=b"hello"), BAD)

INTERIM = "RFC 9110 15.2"
add(INTERIM, "flood", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200 + ok(FIVE, body=b"hello"), CUT)
add(INTERIM, "flood-of-100", b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + ok(FIVE, body=b"hello"), CUT)
add(INTERIM, "100-with-length", ok(FIVE, start=b"HTTP/1.1 100 Continue", body=b"hello" + POISON), BAD)
add(INTERIM, "103-with-chunks", ok(TE, start=b"HTTP/1.1 103 Early Hints", body=CHUNKS + POISON), BAD)
add(INTERIM, "101-unasked", ok(b"Upgrade: websocket", b"Connection: Upgrade", start=b"HTTP/1.1 101 Switching Protocols", body=POISON), BAD)
add(INTERIM, "101-h2c", ok(b"Upgrade: h2c", b"Connection: Upgrade", start=b"HTTP/1.1 101 Switching Protocols", body=POISON), BAD)
add(INTERIM, "100-then-answer", b"HTTP/1.1 100 Continue\r\n\r\n" + ok(FIVE, body=b"hello"), CLEAN, b"hello")

CHUNK = "RFC 9112 7.1"
for name, body in (("hex-prefix", b"0x5\r\nhello\r\n0\r\n\r\n"), ("minus", b"-1\r\nhello\r\n0\r\n\r\n"), ("wraps", b"10000000000000005\r\nhello\r\n0\r\n\r\n"), ("bare-lf", b"5\nhello\n0\n\n"),
                   ("no-size", b"\r\nhello\r\n0\r\n\r\n"), ("space-after", b"5 \r\nhello\r\n0\r\n\r\n"), ("extension-lf", b"5;a\nb\r\nhello\r\n0\r\n\r\n"), ("too-long", b"4\r\nhello\r\n0\r\n\r\n"),
                   ("no-crlf", b"5\r\nhello0\r\n\r\n"), ("trailer-length", b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"), ("trailer-cookie", b"5\r\nhello\r\n0\r\nSet-Cookie: a=b\r\n\r\n"),
                   ("trailer-bare-lf", b"5\r\nhello\r\n0\r\nX: y\n\r\n"), ("end-bare-lf", b"5\r\nhello\r\n0\r\n\n")):
    add(CHUNK, "chunk-" + name, ok(TE, body=body + POISON), SPOILT)

EXCESS = "response queue poisoning (Kettle 2022)"
add(EXCESS, "behind-length", ok(FIVE, body=b"hello" + POISON), CLEAN, b"hello")
add(EXCESS, "behind-chunks", ok(TE, body=CHUNKS + POISON), CLEAN, b"hello")
add(EXCESS, "behind-empty", ok(b"Content-Length: 0", body=POISON), CLEAN)
add(EXCESS, "body-on-204", ok(FIVE, start=b"HTTP/1.1 204 No Content", body=b"hello" + POISON), CLEAN, status=204)
add(EXCESS, "bare-body-on-204", ok(start=b"HTTP/1.1 204 No Content", body=b"hello" + POISON), CLEAN, status=204)
add(EXCESS, "chunks-on-204", ok(TE, start=b"HTTP/1.1 204 No Content", body=CHUNKS + POISON), CLEAN, status=204)
add(EXCESS, "body-on-304", ok(FIVE, start=b"HTTP/1.1 304 Not Modified", body=b"hello" + POISON), CLEAN, status=304)
add(EXCESS, "body-on-head", ok(FIVE, body=b"hello" + POISON), CLEAN, method="HEAD")
add(EXCESS, "chunks-on-head", ok(TE, body=CHUNKS + POISON), CLEAN, method="HEAD")
add(EXCESS, "half-a-line-behind", ok(FIVE, body=b"helloHTTP/1.1 2"), CLEAN, b"hello")
add(EXCESS, "lf-behind", ok(FIVE, body=b"hello\n"), CLEAN, b"hello")
add(FRAMING, "cut-length", ok(b"Content-Length: 50", body=b"hello"), CUT, closes=True)
add(FRAMING, "cut-chunks", ok(TE, body=b"5\r\nhello\r\n"), CUT, closes=True)
add(FRAMING, "cut-in-a-chunk", ok(TE, body=b"50\r\nhello\r\n"), CUT, closes=True)
add(FRAMING, "cut-in-the-head", b"HTTP/1.1 200 OK\r\nContent-Le", BAD, closes=True)
add(FRAMING, "until-close", ok(body=b"hello"), CLEAN, b"hello", closes=True)
add(FRAMING, "until-close-http10", ok(start=b"HTTP/1.0 200 OK", body=b"hello"), CLEAN, b"hello", closes=True)
