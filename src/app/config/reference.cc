// config_reference(): docs/configuration.md, its tables from the table of keys.
#include <string>

#include "app/config/keys.h"

namespace ferrotunnel::app::config {
namespace {

// Sections of prose are raw text as it is printed.
constexpr std::string_view kIntroduction = R"(# Configuration files

<!-- Made by config_reference() from the table that reads the files (src/app/config/): change it there. -->

One TOML file for each end; all that it does not say has a default. A server:

```toml
# /etc/ferrotunnel/server.toml
include = ["grants.d/*.toml"]

[server]
listen = ":7835"
http_listen = ":80"
public_address = "eu.example.com"

[limits]
max_visitors_per_address = 100

[grants.laptop]
secret = { file = "/etc/ferrotunnel/secrets/laptop" }
hosts = ["*.example.com"]
ports = [2222, "3000-3010"]
expires = 2027-01-31
bandwidth = "10M"
```

A client:

```toml
# /etc/ferrotunnel/client.toml
[client]
token = { file = "/etc/ferrotunnel/token" }

[tunnels.web]
to = "http://127.0.0.1:8080"
url = "http://app.example.com"

[tunnels.ssh]
to = "tcp://127.0.0.1:22"
url = "tcp://:2222"
allow = ["192.0.2.0/24"]

[tunnels.game]
to = "tcp://127.0.0.1:3000-3010"
url = "tcp://:3000-3010"
idle_timeout = "10m"

[log]
format = "json"
```

What is said twice: a flag of the command is stronger than its environment variable, that is stronger than the file, and the file is stronger than
the default.

## Mistakes

Files are read strictly. Unknown tables and keys, values of the wrong type or out of range, and what cannot go together are all reported at once,
each with its place:

```
server.toml:14:3: unknown key "htp_listen" in [server]; did you mean "http_listen"?
server.toml:21:1: grants.laptop.max_sessions: a whole number from 0 to 4294967295 is wanted, not a string
```

A file with a mistake is not used, at a start nor at a reload: what ran goes on as before.

## Values

- Durations: `"250ms"`, `"30s"`, `"5m"`, `"1h"`, `"365d"`, or a number of seconds.
- Sizes: `"64K"`, `"10M"`, `"1G"` (K is 1,024), or a number of bytes. Bandwidths are sizes a second.
- Dates have no quotes: `2027-01-31` is its beginning, UTC; `2027-01-31T18:00:00+01:00` has a zone.
- Relative paths are relative to the file that they stand in, not to where the program was started.

## include

`include`, above the first table, names more files: a string or an array of them, relative to the file, with `*`, `?` and `[...]` for any that
match (none is fine; a name without these has to be there). They may include others, up to 8 deep and 1,000 files in all; a file that is named twice
is read once, and one that includes itself is an error. Tables may be spread over files, but a key, a grant or a tunnel is in one file only.

## Variables

In every string, `${NAME}` is the environment variable of that name, and `${NAME:-text}` is `text` where there is none or it is empty. A variable
that is not set is an error. `$${` is a `${` as it stands.

## Secrets

A secret is written as one of these; white space around it is dropped:

```toml
secret = { file = "/etc/ferrotunnel/secrets/laptop" }  # a regular file of mode 0600 or stricter, this user's or root's
secret = { env = "LAPTOP_SECRET" }
secret = { command = ["pass", "show", "laptop"] }      # no shell; what it prints within 10 s
secret = "it stands right here"                        # then this file has to be such a file too
```

A new one, in a file that only this user can read, and the join token for its clients once the server runs:

```sh
(umask 077; openssl rand -hex 16 > /etc/ferrotunnel/secrets/laptop)
ferrotunnel token show laptop
```

Files and what commands print have at most 64 KiB. A command that fails, or takes longer and is killed, is an error with the first line of what it
said.
A command runs where the program was started, not where the file is. To change a secret without a gap, put both into `secrets`, reload, move the
clients, and take the old one out.

## Tunnels

`to` is the local service, `url` what visitors use. `to` needs no scheme: `url` says which kind of tunnel it is, and where that is left out too, it
is HTTP.

| `to` | `url` | |
|---|---|---|
| `"http://127.0.0.1:8080"`, `"8080"` | `"http://app.example.com"` | one host |
| `"https://localhost:8443"` | `"http://app.example.com"` | the same, where the service speaks HTTPS: `origin_tls_…` say how it is verified |
| `"h2c://localhost:50051"`, `"h2s://…"` | `"http://grpc.example.com"` | the same, where it speaks HTTP/2, such as gRPC; in the clear, and over TLS |
| `"unix:/run/app.sock"` | `"http://*.dev.example.com"` | every name under one |
| `"./dist"`, `"dir:/srv/www"` | `"http://"`, or none | the files of a directory, under a name that the server picks |
| `"tcp://127.0.0.1:22"` | `"tcp://:2222"` | one port |
| `"tls://10.0.0.7:993"` | `"tcp://:143"` | one port; to the service it is TLS |
| `"tcp://10.0.0.7:5432"` | `"tcp://"`, or none | a port that the server picks |
| `"tcp://127.0.0.1:3000-3010"` | `"tcp://:3000-3010"` | one tunnel for each port, up to 1,000, named NAME-3000 and so on |

Two ranges have to be equally long.

## Rules

What the server does to a request of an HTTP tunnel before it sends it on, or instead. Keys of `[tunnels.NAME]` hold for all of its requests, those of
a `[[tunnels.NAME.rules]]` for those that its `paths`, `methods` and `headers` match:

```toml
[tunnels.web]
to = "8080"
url = "http://app.example.com"
set_response_headers = ["X-Frame-Options: DENY"]

[[tunnels.web.rules]]
paths = ["/admin"]
basic_auth = ["ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"]

[[tunnels.web.rules]]
paths = ["/old"]
redirect = "https://new.example.com${request.uri}"
redirect_status = 308
```

- Whatever their order: `cors`, `basic_auth` and `max_body` come first, then `redirect` and `answer`, then what changes the request, then the response, and `compress` last.
  Nothing is answered or sent on before who asks is known. Of several that match, all hold; of `redirect` and `answer` the first, those of
  `[[tunnels.NAME.rules]]` before those of `[tunnels.NAME]`.
- All look at the request as the visitor sent it, not as another rule has changed it.
- `/api` is `/api`, `/api/` and all below it, and not `/apis`. Letters' case counts, as it does in URLs.
- Where a rule or a route looks at paths, a path goes on in the spelling that was looked at (RFC 3986 section 6.2.2): letters, digits and `-._~` decoded,
  `.` and `..` resolved, runs of slashes as one. What an origin could read as another path is refused with 400: `%2F`, `%5C`, `\`, `%00`, and `..;`.
- In values, `${visitor.address}`, `${visitor.port}`, `${request.id}`, `${request.host}` and `${request.scheme}` stand for what they say; of requests also
  `${request.method}`, `${request.path}`, `${request.uri}` (with the query) and `${request.query}`.
- A password stands there as its hash, bcrypt (of cost 4 to 12) or yescrypt (1 to 5): `htpasswd -nB ann` (in Debian of the package apache2-utils) and
  `mkpasswd -m yescrypt` (whois) make one. The origin
  does not get the Authorization header that was checked. Where `basic_auth` of the tunnel and of a part both ask, a visitor has to be a user of both.
- At most 64 rules and 32 KiB of them; of one, 256 values, such as header lines. All that a tunnel says to the server (hosts, paths, rules, networks,
  `client_ca`) is UTF-8, and at most 64 KiB as the JSON of one message. More of anything is a mistake in the file: `ferrotunnel check` says so.
- Methods match in any case, and `-`, `_` and `.` in the names of a request's headers are one, since many origins take `post` for POST and `X_User` for `X-User`.
- A server that is too old to know rules does not get such a tunnel; the client says so.
)";

std::string type_text(const Key& key) {
  switch (key.type) {
    case Type::Bool: return "true, false";
    case Type::Text: return "string";
    case Type::Path: return "path";
    case Type::Texts: return "string or array";
    case Type::TextsOrTrue: return "true, false, string or array";
    case Type::Ports: return "array of ports and ranges";
    case Type::Choice: {
      std::string list;
      for (const std::string_view word : words(key.choices))
        list += (list.empty() ? "`\"" : ", `\"") + std::string(word) + "\"`";
      return list;
    }
    case Type::Number: return "number";
    case Type::Size: return "size";
    case Type::Duration: return "duration";
    case Type::Date: return "date";
    case Type::Secret: return "secret";
    case Type::Secrets: return "array of secrets";
    case Type::Tables: return "tables";
  }
  return {};
}

// "--log-level, FERROTUNNEL_LOG_LEVEL": as cli/commands.h makes the variable's name of the flag's.
std::string flag_text(std::string_view flag) {
  if (flag.empty()) return {};
  std::string variable = "FERROTUNNEL_";
  for (const char c : flag) variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return "`--" + std::string(flag) + "`, `" + variable + "`";
}

void print_section(const Section& section, std::string& out) {
  const std::string name(section.name);
  out += "\n## " +
         (section.within.empty() ? "[" + name + (section.named ? ".NAME]" : "]")
                                 : "[[" + std::string(section.within) + ".NAME." + name + "]]") +
         "\n\n";
  out += std::string(section.text) + (section.both ? " In both kinds of file.\n\n" : "\n\n");
  // Those of limits are of the commands that share a tunnel.
  const bool may_have_flags = section.file == FileKind::Client || section.name != "limits";
  bool flags = false;
  for (const auto rows : section.keys)
    for (const Key& key : rows) flags = flags || (may_have_flags && !key.flag.empty());
  out += flags ? "| key | value | default | | flag, variable |\n|---|---|---|---|---|\n"
               : "| key | value | default | |\n|---|---|---|---|\n";
  for (const auto rows : section.keys) {
    for (const Key& key : rows) {
      out += "| `" + std::string(key.name) + "` | " + type_text(key) + " | " + std::string(key.fallback) + " | " +
             std::string(key.text) + " Such as `" + std::string(key.example) + "`. |";
      if (flags) out += " " + flag_text(key.flag) + " |";
      out += '\n';
    }
  }
}

}  // namespace
}  // namespace ferrotunnel::app::config

namespace ferrotunnel {

std::string config_reference() {
  using namespace app::config;
  std::string text(kIntroduction);
  for (const FileKind kind : {FileKind::Server, FileKind::Client}) {
    text += kind == FileKind::Server ? "\n# A server's file\n" : "\n# A client's file\n";
    for (const Section& section : sections())
      if (!section.both && section.file == kind) print_section(section, text);
  }
  text += "\n# Both\n";
  for (const Section& section : sections())
    if (section.both) print_section(section, text);
  return text;
}

}  // namespace ferrotunnel
