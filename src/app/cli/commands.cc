#include "app/cli/commands.h"

#include <algorithm>
#include <array>
#include <vector>

namespace ferrotunnel::cli {
namespace {

constexpr std::array kOutputFlags = {
    Flag{"log-format", "FORMAT",
         "human: lines for a person. json: one JSON object a line. auto: human on a terminal, json elsewhere. Default "
         "auto."},
    Flag{"log-level", "LEVEL",
         "error, warn, info or debug: the least important kind of line to print. Addresses and the join line are "
         "always printed. Default info."},
    Flag{"drain-timeout", "SECONDS",
         "After SIGTERM or SIGINT, how long visitors that are there may take to finish. A second signal stops at once. "
         "Default 10."},
    Flag{"memory-limit", "SIZE", "All buffers together, in bytes or with K, M or G behind the number. Default 256M."},
    Flag{"busy-poll-us", "MICROSECONDS",
         "How long a thread that had something to do looks for more before it sleeps, at most 1000: bytes wait less, a "
         "core is kept busy. Default 0."},
};

constexpr Flag kServerConfigFlag{
    "config", "FILE",
    "Read the configuration from this TOML file; flags and environment go before what it says. SIGHUP and the command "
    "reload read it anew; without it, SIGHUP ends the program. docs/configuration.md has every key, check FILE what is "
    "wrong with one."};
constexpr Flag kConfigFlag{
    "config", "FILE",
    "Read the configuration from this TOML file; flags and environment go before what it says. SIGHUP and "
    "the command reload read it anew; without it, SIGHUP ends the program. The command client adds the tunnels that "
    "are typed to those of the file, http and tcp share theirs "
    "alone. docs/configuration.md has every key."};
constexpr Flag kWatchFlag{"watch", "", "Reload when the file of --config, or one that it names, has changed."};

// --- server ---

constexpr std::array kServerAddressFlags = {
    Flag{
        "listen", "ADDR",
        "Where clients sign in, HOST:PORT or :PORT for every address. Port 0 lets the system pick one. Default :7835."},
    Flag{"http-listen", "ADDR", "Where HTTP visitors arrive, HOST:PORT or :PORT; \"off\" for none. Default :8080."},
    Flag{"https-listen", "ADDR",
         "Where HTTPS visitors arrive, HOST:PORT or :PORT; \"off\" for none. Needs --https-cert and --https-key, "
         "--certificates-dir, or certificates in the file of --config. Default off."},
    Flag{"https-cert", "FILE",
         "The certificate (PEM, its chain behind it) of visitors of --https-listen who ask for its names, or for one "
         "that "
         "no other certificate has. Needs --https-key."},
    Flag{"https-key", "FILE", "The private key (PEM) of --https-cert."},
    Flag{"certificates-dir", "DIR",
         "More certificates for --https-listen: NAME.crt or NAME.pem with NAME.key, and directories with fullchain.pem "
         "and "
         "privkey.pem, as certbot has them."},
    Flag{"https-redirect", "", "Answer requests at --http-listen with a redirect (308) to --https-listen."},
    Flag{"tcp-listen-host", "IP", "The address on which TCP tunnels get their ports. Default: every address."},
    Flag{"public-address", "HOST:PORT",
         "How clients reach --listen from where they are; it goes into the join token. May be repeated. Default: this "
         "machine's name, or the "
         "address of --listen where that is a specific one.",
         true},
    Flag{"domain", "NAME",
         "Under which HTTP tunnels get their names: --host web is web.NAME, and a tunnel that asks for none gets one "
         "of random "
         "words there. Default: none; one word is a host as it stands, and random names are under the host of the "
         "first --public-address."},
};
constexpr std::array kServerTrustFlags = {
    Flag{"state", "DIR",
         "Where the server's key and the grants' secrets are kept; made when missing. Default: $STATE_DIRECTORY, else "
         "/var/lib/ferrotunnel for root, "
         "else $XDG_STATE_HOME/ferrotunnel or ~/.local/state/ferrotunnel."},
    Flag{"tls", "on|off", "off: clients sign in over plain TCP. Only for a network that is trusted. Default on."},
    Flag{"tls-cert", "FILE",
         "A certificate (PEM, its chain behind it) of your own instead of the key in the state directory. Needs "
         "--tls-key."},
    Flag{"tls-key", "FILE", "The private key (PEM) of --tls-cert."},
    Flag{"tls-client-ca", "FILE", "Clients must show a certificate signed by one of these (PEM)."},
    Flag{"grant", "NAME",
         "A grant of your own, instead of the grant \"default\", whose secret is made in the state directory. Needs "
         "--secret-file."},
    Flag{"secret-file", "FILE",
         "The file that holds the secret of --grant: 16 to 64 characters; of mode 0600 or stricter."},
    Flag{"token", "SECRET",
         "A secret of 16 to 64 characters that clients give as their --token: the grant \"default\". Then, without "
         "--tls-cert, TLS is off unless --tls on is given."},
    Flag{"token-file", "FILE",
         "The file, of mode 0600 or stricter, that holds the secret of --token, which other users of the machine can "
         "see."},
    Flag{"trusted-proxies", "NET,...",
         "Networks and addresses of proxies in front, such as 10.0.0.0/8,2001:db8::7, or all: whoever comes from there "
         "has to begin with a PROXY header (version 1 or 2), and the visitor's address is the one in it. May be "
         "repeated. Default: none.",
         true},
};
constexpr std::array kServerOtherFlags = {
    kServerConfigFlag,
    kWatchFlag,
    Flag{
        "max-visitors", "N",
        "Visitors at once, of all tunnels; who comes then is refused. Default 0: as many as there are descriptors for, "
        "less a reserve that keeps clients able to sign in."},
    Flag{"max-direct", "N",
         "Direct links of a client at once (--carry of the command tcp); past it visitors go over its link. "
         "Default 64; 0: none."},
    Flag{"host-lease", "SECONDS",
         "How long a host or port stays its grant's when the connection of the client that had it was lost. Default "
         "30."},
    Flag{"tcp-keepalive", "SECONDS",
         "Silence of a visitor after which the kernel asks whether its machine is still there. 0: never. Default 60."},
    Flag{"threads", "N", "Threads, each with its share of the connections. Default 0: one for each core."},
};
// The names that the Rust FerroTunnel has for these; compat.cc says what becomes of each.
constexpr std::array kServerCompatFlags = {
    Flag{"bind", "ADDR", "--listen."},
    Flag{"http-bind", "ADDR", "--http-listen."},
    Flag{"tcp-bind", "IP:PORT", "--tcp-listen-host IP; and PORT is the one that clients of --token may have."},
    Flag{"tls-ca", "FILE", "--tls-client-ca."},
    Flag{"tls-client-auth", "", "What --tls-ca does already."},
    Flag{"metrics-bind", "ADDR", "Accepted; without effect in this version."},
    Flag{"metrics", "", "Accepted; without effect in this version."},
    Flag{"observability", "", "Accepted; without effect in this version."},
};
constexpr std::array kServerGroups = {
    FlagGroup{"ADDRESSES", kServerAddressFlags},
    FlagGroup{"TRUST", kServerTrustFlags},
    FlagGroup{"RUNNING", kServerOtherFlags},
    FlagGroup{"", kOutputFlags},
    FlagGroup{kCompatibilityTitle, kServerCompatFlags},
};
constexpr std::array kServerExamples = {
    Example{"Everything by default; prints the line to run on the other machine:", "ferrotunnel server"},
    Example{"Behind a name of your own, visitors on port 80:",
            "ferrotunnel server --http-listen :80 --public-address eu.example.com:7835"},
    Example{"For a script: ports that the system picks, and JSON that says which:",
            "ferrotunnel server --listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --log-format json"},
};

// --- client, http, tcp ---

constexpr std::array kJoinFlags = {
    Flag{"join", "TOKEN|@FILE",
         "The join token that the server printed, or @ and a file of mode 0600 or stricter that holds it (other users "
         "of a machine can see the "
         "arguments of a "
         "command). After a first successful sign-in it is kept, and is the default from then on."},
    Flag{"no-save", "", "Do not keep the token."},
    Flag{"server", "HOST:PORT",
         "The server's address: without a token, or to reach it another way than the token says. May be repeated.",
         true},
    Flag{"grant", "NAME", "Without a token: the grant to sign in with. Needs --secret-file."},
    Flag{"secret-file", "FILE", "Without a token: the file that holds the grant's secret; of mode 0600 or stricter."},
    Flag{"token", "TOKEN",
         "A join token, or the secret of a server's --token. With a secret --server is needed, and TLS is off unless "
         "a flag of TLS is given."},
    Flag{"token-file", "FILE",
         "The file, of mode 0600 or stricter, that holds what --token would be. Where there is no token at all, a "
         "terminal is asked for one."},
    Flag{"tls", "on|off",
         "off: plain TCP, where the server does that too. --tls alone is on. Default: what the join token says, and on "
         "without one."},
    Flag{"tls-ca", "FILE",
         "Verify the server by these certificate authorities (PEM) and its name, not by the key in the token."},
    Flag{"tls-server-name", "NAME",
         "With --tls-ca: the name in the server's certificate. Default: the host of its address."},
    Flag{"tls-skip-verify", "",
         "Believe whoever answers. For trials only: somebody in between can then read and change everything."},
    Flag{"tls-cert", "FILE", "A certificate (PEM) to show to a server that asks for one. Needs --tls-key."},
    Flag{"tls-key", "FILE", "The private key (PEM) of --tls-cert."},
};
constexpr std::array kClientRunFlags = {
    kConfigFlag,
    kWatchFlag,
    Flag{"control-socket", "PATH",
         "Where status, reload and drain of this client are answered, a unix socket; off: nowhere. Default: for the "
         "command client $RUNTIME_DIRECTORY/client.sock, else $XDG_RUNTIME_DIR/ferrotunnel-client.sock, else for root "
         "/run/ferrotunnel-client.sock, unless another client answers there; for http and tcp off."},
    Flag{"fail-fast", "",
         "Give up when at first the server cannot be reached, or others have the host or port of every tunnel, instead "
         "of trying again until that changes."},
    Flag{"origin-timeout", "SECONDS", "How long the local service may take to accept a connection. Default 10."},
    Flag{"threads", "N",
         "Threads at most, over which the connections to the server are spread where it wants several. Default 0: one "
         "for each core."},
};

constexpr std::array kClientTunnelFlags = {
    Flag{"http", "NAME=TARGET[,host=HOST]",
         "A web service to share. TARGET is a PORT, HOST:PORT, http://, https://, h2c:// or h2s:// URL, unix:PATH or a "
         "directory such as ./dist; "
         "HOST is the name that visitors use, or *.NAME for "
         "every name under it; without one the server picks it. May be repeated.",
         true},
    Flag{"tcp", "NAME=TARGET[,port=PORT][,proxy=v1|v2][,carry=HOW]",
         "A TCP service to share. TARGET is a PORT, HOST:PORT or unix:PATH; PORT is the server's port for visitors; "
         "without one the server picks "
         "it. proxy, carry: as --proxy-protocol and --carry of the command tcp. May be repeated.",
         true},
};
// As kServerCompatFlags.
constexpr std::array kClientCompatFlags = {
    Flag{"local-addr", "HOST:PORT",
         "--http http=HOST:PORT. Default 127.0.0.1:8000, where --token or --server says that a tunnel is meant."},
    Flag{"tunnel-id", "NAME", "The host of --local-addr: requests with \"Host: NAME\" reach it."},
    Flag{"dashboard-port", "PORT", "Accepted; without effect in this version."},
    Flag{"no-dashboard", "", "Accepted; without effect in this version."},
    Flag{"metrics", "", "Accepted; without effect in this version."},
    Flag{"observability", "", "Accepted; without effect in this version."},
};
constexpr std::array kClientGroups = {
    FlagGroup{"TUNNELS", kClientTunnelFlags},
    FlagGroup{"SERVER", kJoinFlags},
    FlagGroup{"RUNNING", kClientRunFlags},
    FlagGroup{"", kOutputFlags},
    FlagGroup{kCompatibilityTitle, kClientCompatFlags},
};
constexpr std::array kClientExamples = {
    Example{"All that a file says, read anew when it changes:", "ferrotunnel client --config client.toml --watch"},
    Example{"Two services at once:",
            "ferrotunnel client --join ft1_AbC… --http web=8080,host=app.example.com --tcp ssh=22,port=2222"},
    Example{"The token from a file, the web service on a unix socket:",
            "ferrotunnel client --join @/etc/ferrotunnel/token --http web=unix:/run/app.sock"},
    Example{"At a server that was started with --token, in the words of the Rust FerroTunnel:",
            "ferrotunnel client --server eu.example.com:7835 --token-file token --local-addr 127.0.0.1:8080 "
            "--tunnel-id my-app"},
};

constexpr std::array kLimitFlags = {
    Flag{"max-visitors", "N", "Visitors at once (of a web service: requests). Default 0: no limit."},
    Flag{"max-visitors-per-address", "N", "Of them from one address (of IPv6: from one /64). Default 0: no limit."},
    Flag{"max-new-visitors-per-second", "N", "And how many may come in a second. Default 0: no limit."},
    Flag{"bandwidth", "SIZE",
         "Bytes a second, each way, of all visitors together, with K, M or G behind the number. Default: no limit."},
    Flag{"visitor-bandwidth", "SIZE", "The same of each visitor. Default: no limit."},
    Flag{"idle-timeout", "SECONDS",
         "A visitor's TCP connection without a byte either way is ended after this. Default 0: never."},
    Flag{"allow", "NET,...",
         "Networks and addresses whose visitors are let in, such as 10.0.0.0/8,2001:db8::7. May be repeated. Default: "
         "all.",
         true},
    Flag{"deny", "NET,...", "Networks and addresses whose visitors are refused. May be repeated. Default: none.", true},
};

constexpr std::array kOriginFlags = {
    Flag{
        "origin-tls-ca", "FILE",
        "For a service over TLS (https://, tls://): the certificate authorities (PEM) that its certificate has to lead "
        "to. Default: the system's."},
    Flag{"origin-tls-server-name", "NAME",
         "The name that such a service is asked for, and has to show. Default: its host."},
    Flag{"origin-tls-skip-verify", "", "Believe such a service with any certificate: for trials."},
    Flag{"origin-tls-cert", "FILE", "A certificate (PEM) to show to a service that asks for one."},
    Flag{"origin-tls-key", "FILE", "Its private key (PEM)."},
};

constexpr std::array kHttpTunnelFlags = {
    Flag{"host", "HOST",
         "The name that visitors use, or *.NAME for every name under it. Default: the server picks one."},
    Flag{"client-ca", "FILE",
         "Visitors come over TLS and show a certificate that one of these authorities (PEM) signed. Default: they show "
         "none."},
    Flag{"connect", "",
         "CONNECT to the tunnel's hosts is passed to the service, which is a proxy. Default: it is refused with 501."},
    Flag{"name", "NAME", "What the tunnel is called in logs. Default http."},
    Flag{"proxy-protocol", "v1|v2",
         "Tell the service each visitor's address in a PROXY header before the first byte; the service has to expect "
         "it. Each connection to it then carries one request. Default: none."},
};
constexpr std::array kRuleFlags = {
    Flag{"basic-auth", "NAME:PASSWORD",
         "Visitors have to be this user; a hash (bcrypt or yescrypt) does in place of the password. Others on this "
         "machine see what is typed: FERROTUNNEL_BASIC_AUTH is for secrets. May be repeated. Default: anybody.",
         true, true},
    Flag{"path", "PATH",
         "Share requests below this path only, such as /api; other tunnels may have the rest of the host. May be "
         "repeated. Default: all.",
         true},
    Flag{"method", "METHOD",
         "Share requests with this method only; other tunnels may have the rest. May be repeated. Default: all.", true},
    Flag{"with-header", "NAME: VALUE",
         "Share requests with this header only, or without a value with any of that name. May be repeated: all of "
         "them. Default: all.",
         true, true},
    Flag{"strip-prefix", "PATH", "A prefix of the path that the service does not see. Default: none."},
    Flag{"add-prefix", "PATH", "What comes before the path at the service. Default: none."},
    Flag{"host-rewrite", "HOST", "The Host that the service gets; origin for its own address. Default: the visitor's."},
    Flag{"header", "NAME: VALUE",
         "A header that the service gets, in place of the visitor's of that name; ${visitor.address}, ${request.id} "
         "and the like in it are filled in. May be repeated.",
         true, true},
    Flag{"response-header", "NAME: VALUE", "A header that visitors get, in place of the service's. May be repeated.",
         true, true},
    Flag{"cors", "ORIGIN",
         "Pages of this site, such as https://app.example.com, may ask the service; * for all. May be repeated. "
         "Default: as the service says.",
         true},
    Flag{"max-body", "SIZE",
         "Requests with a larger body get 413; with K, M or G behind the number. Default: no limit."},
    Flag{"compress", "",
         "Compress text that the service sends plain, as zstd, br or gzip, where the visitor takes that."},
};
constexpr std::array kHttpGroups = {
    FlagGroup{"TUNNEL", kHttpTunnelFlags}, FlagGroup{"RULES", kRuleFlags},  FlagGroup{"LIMITS", kLimitFlags},
    FlagGroup{"SERVICE", kOriginFlags},    FlagGroup{"SERVER", kJoinFlags}, FlagGroup{"RUNNING", kClientRunFlags},
    FlagGroup{"", kOutputFlags},
};
constexpr std::array kHttpExamples = {
    Example{"The first time, with the line that the server printed:", "ferrotunnel http 3000 --join ft1_AbC…"},
    Example{"From then on, under a name of your choice:", "ferrotunnel http 3000 --host app.example.com"},
    Example{"Every name under one, to a unix socket:",
            "ferrotunnel http unix:/run/app.sock --host '*.dev.example.com'"},
    Example{"The files of a directory:", "ferrotunnel http ./dist"},
    Example{"A service that speaks HTTPS, with a certificate of its own making:",
            "ferrotunnel http https://localhost:8443 --origin-tls-ca ca.pem"},
    Example{"One that speaks HTTP/2, such as gRPC (h2s:// over TLS):", "ferrotunnel http h2c://localhost:50051"},
    Example{"For those who know a password:", "ferrotunnel http 3000 --basic-auth ann:correct-horse"},
};

constexpr std::array kTcpTunnelFlags = {
    Flag{"port", "PORT", "The server's port for visitors. Default: the server picks one."},
    Flag{"proxy-protocol", "v1|v2",
         "Tell the service each visitor's address in a PROXY header before the first byte; the service has to expect "
         "it. Default: none."},
    Flag{"carry", "auto|mux|direct",
         "How visitors are carried: mux, all over the client's link to the server; direct, each over one of "
         "its own; auto, direct while the road between the two is lossy, and longer than a millisecond. Default auto."},
    Flag{"name", "NAME", "What the tunnel is called in logs. Default tcp."},
};
constexpr std::array kTcpGroups = {
    FlagGroup{"TUNNEL", kTcpTunnelFlags}, FlagGroup{"LIMITS", kLimitFlags},      FlagGroup{"SERVICE", kOriginFlags},
    FlagGroup{"SERVER", kJoinFlags},      FlagGroup{"RUNNING", kClientRunFlags}, FlagGroup{"", kOutputFlags},
};
constexpr std::array kTcpExamples = {
    Example{"This machine's SSH, on a port that the server picks:", "ferrotunnel tcp 22"},
    Example{"A database next door, on port 5432 of the server:", "ferrotunnel tcp 10.0.0.7:5432 --port 5432"},
};

// --- token, status, kick, drain ---

constexpr Flag kStateFlag{"state", "DIR",
                          "The state directory of the server. Default: as of the command server, for the same user."};
constexpr Flag kClientFlag{"client", "",
                           "Ask the client of this user that answers at the default --control-socket of the command "
                           "client, in place of a server. Others, and the commands http and tcp, are found where "
                           "their --control-socket is, by --socket."};
constexpr Flag kSocketFlag{"socket", "PATH", "Ask the client whose --control-socket this is."};
constexpr std::array kNewTokenFlags = {
    Flag{"name", "NAME", "What the grant is called, in logs and to revoke it. Needed."},
    Flag{"hosts", "LIST",
         "Hosts that its clients may have, separated by commas: names, *.NAME for every name under it, * for any, or "
         "none. Default *."},
    Flag{"ports", "LIST",
         "Ports that its clients may have for TCP, separated by commas: 2222, 3000-3010, or none. Default 1024-65535."},
    Flag{"expires", "WHEN",
         "When it ends: a date of the form 2027-01-31 (its beginning, UTC), or from now on 30d, 12h or 90m. Default: "
         "never."},
    Flag{"bandwidth", "SIZE",
         "Bytes a second that its clients' visitors may have together, each way, with K, M or G behind the number. "
         "Default: no limit."},
    kStateFlag,
};
constexpr std::array kNewTokenGroups = {FlagGroup{"FLAGS", kNewTokenFlags}};
constexpr std::array kNewTokenExamples = {
    Example{"For a laptop, two names and one port, for a month:",
            "ferrotunnel token new --name laptop --hosts app.example.com,'*.dev.example.com' --ports 2222 --expires "
            "30d"},
};
constexpr std::array kDrainFlags = {
    Flag{"drain-timeout", "SECONDS",
         "How long visitors that are there may take to finish. Default: what the server was told at its start."},
    kStateFlag,
    kClientFlag,
    kSocketFlag,
};
constexpr std::array kDrainGroups = {FlagGroup{"FLAGS", kDrainFlags}};
constexpr std::array kDrainExamples = {
    Example{"A new program in the place of the old one, which may take a minute to finish:",
            "ferrotunnel drain --drain-timeout 60 && ferrotunnel server"},
};
constexpr std::array kListExamples = {Example{"For a program:", "ferrotunnel token list --json"}};
constexpr std::array kShowExamples = {
    Example{"For the client of a grant in the server's file:", "ferrotunnel token show laptop"}};
constexpr std::array kRevokeExamples = {
    Example{"The token of a laptop that was lost:", "ferrotunnel token revoke laptop"}};
constexpr std::array kStatusExamples = {
    Example{"Of the server of this user:", "ferrotunnel status"},
    Example{"Of one that systemd runs, for a program:",
            "sudo ferrotunnel status --state /var/lib/ferrotunnel/main --json"},
};
constexpr std::array kKickExamples = {Example{"All that signed in with one token:", "ferrotunnel kick laptop"}};
constexpr std::array kVersionExamples = {Example{"For a program:", "ferrotunnel version --json"}};
constexpr std::array kStateAndJsonFlags = {kStateFlag, Flag{"json", "", "For programs: JSON."}};
constexpr std::array kStateAndJsonGroups = {FlagGroup{"FLAGS", kStateAndJsonFlags}};
constexpr std::array kStatusFlags = {kStateFlag, kClientFlag, kSocketFlag, Flag{"json", "", "For programs: JSON."}};
constexpr std::array kStatusGroups = {FlagGroup{"FLAGS", kStatusFlags}};
constexpr std::array kReloadFlags = {kStateFlag, kClientFlag, kSocketFlag};
constexpr std::array kReloadGroups = {FlagGroup{"FLAGS", kReloadFlags}};
constexpr std::array kReloadExamples = {
    Example{"After a change of the server's file, if it is right:",
            "ferrotunnel check server.toml && ferrotunnel reload"},
};
constexpr std::array kCheckExamples = {
    Example{"Of either kind of file:", "ferrotunnel check /etc/ferrotunnel/client.toml"},
    Example{"For an editor that knows JSON Schema:", "ferrotunnel check --schema > ferrotunnel.schema.json"},
};
constexpr std::array kCheckFlags = {
    Flag{"schema", "", "Print the JSON Schema of configuration files in place of checking one."}};
constexpr std::array kCheckGroups = {FlagGroup{"FLAGS", kCheckFlags}};
constexpr std::array kStateFlags = {kStateFlag};
constexpr std::array kStateGroups = {FlagGroup{"FLAGS", kStateFlags}};

// --- completion, man ---

constexpr std::array kCompletionExamples = {
    Example{"In this bash; in ~/.bashrc for each:", "source <(ferrotunnel completion bash)"},
    Example{"For each zsh, in a directory of $fpath:", "ferrotunnel completion zsh > ~/.zfunc/_ferrotunnel"},
    Example{"For each fish:", "ferrotunnel completion fish > ~/.config/fish/completions/ferrotunnel.fish"},
};
constexpr std::array kManExamples = {
    Example{"To read it:", "ferrotunnel man | man -l -"},
};

// --- version ---

constexpr std::array kVersionFlags = {
    Flag{"json", "", "As one JSON object."},
};
constexpr std::array kVersionGroups = {
    FlagGroup{"FLAGS", kVersionFlags},
};

constexpr std::array kCommands = {
    Command{"server", "where visitors arrive and clients sign in", "[FLAGS]", "",
            "Listens for clients and for visitors. With no flags it works at once: it makes its state (a key and the "
            "grant \"default\"), and "
            "prints the line to run on the machine whose service is to be shared.\n\n"
            "The join token in that line holds a secret: whoever has it may add tunnels to this server. It carries the "
            "fingerprint of the "
            "server's key too, so clients know the server without any certificate authority. It stays the same as long "
            "as the state "
            "directory and the addresses do.",
            kServerGroups, kServerExamples},
    Command{
        "http", "shares one local web service or directory", "TARGET [FLAGS]", "TARGET",
        "Signs in at a server and sends the HTTP requests for one host to a local web service. TARGET is a PORT of "
        "this machine, "
        "HOST:PORT (a name or an address), an http:// or https:// URL or unix:PATH; h2c://HOST:PORT is a service that "
        "speaks HTTP/2 without TLS (gRPC), h2s://HOST:PORT one that speaks it over TLS.\n\n"
        "A TARGET that begins with ./, ../ or /, or is dir:PATH, is a directory whose files are shared: index.html "
        "or a list for a "
        "directory, no hidden names but .well-known, no symlink that leads out of it. It is opened once: start "
        "again after the directory "
        "itself was replaced.\n\n"
        "The connection comes back by itself after a cut or a restart of the server. While the local service does "
        "not answer, "
        "visitors get a page that says so.",
        kHttpGroups, kHttpExamples},
    Command{
        "tcp", "shares one local TCP service", "TARGET [FLAGS]", "TARGET",
        "Signs in at a server and joins each connection to a port of the server to a local TCP service. TARGET is "
        "a PORT of this "
        "machine, HOST:PORT (a name or an address) or unix:PATH; tls://HOST:PORT is one that is spoken to over TLS.\n\n"
        "The connection comes back by itself after a cut or a restart of the server. Half-closed connections and "
        "resets arrive as what they are.",
        kTcpGroups, kTcpExamples},
    Command{"client", "shares several local services at once", "--http NAME=TARGET | --tcp NAME=TARGET ... [FLAGS]", "",
            "Signs in at a server and shares each service that is named: what http and tcp do, several times over one "
            "connection.",
            kClientGroups, kClientExamples},
    Command{"token new", "makes a join token with rights of its own", "--name NAME [FLAGS]", "",
            "Makes a grant in the server's state directory and prints the join token for it. A server that runs there "
            "knows it at once; "
            "one that starts later finds it. The token is printed this once: only its secret's owner has it.",
            kNewTokenGroups, kNewTokenExamples},
    Command{"token list", "lists the grants of the state directory", "[FLAGS]", "",
            "Lists the grants that token new made, and the one that the server made for itself, without their secrets.",
            kStateAndJsonGroups, kListExamples},
    Command{"token show", "prints the join token of a grant", "NAME [FLAGS]", "NAME",
            "Asks the server that runs in the state directory for the join token of one of its grants, be it made by "
            "token new or written in its "
            "configuration file. Whoever has the token may sign in.",
            kStateGroups, kShowExamples},
    Command{"token revoke", "ends a grant and its sessions", "NAME [FLAGS]", "NAME",
            "Removes a grant from the state directory. When the command is done, its sessions have ended and nobody "
            "signs in with its token "
            "any more.",
            kStateGroups, kRevokeExamples},
    Command{
        "status", "what a running server or client does", "[FLAGS]", "",
        "Asks the server that runs in the state directory for its sessions and tunnels, and prints them as a table, "
        "or as JSON. With --client or --socket, a client for its connection and tunnels. LINKS are the connections "
        "that "
        "carry a client's STREAMS (a visitor each, and those kept for the next request of HTTP); DIRECT is how many "
        "visitors "
        "have a connection of their own, and how many such wait for one.",
        kStatusGroups, kStatusExamples},
    Command{"kick", "ends the sessions of a client", "NAME [FLAGS]", "NAME",
            "Ends the session of that id, or every session of the grant of that name, at the server that runs in the "
            "state directory. The clients "
            "may sign in again: to keep them out, revoke the grant.",
            kStateGroups, kKickExamples},
    Command{"reload", "has a running server or client read its configuration anew", "[FLAGS]", "",
            "The server that runs in the state directory, or a client with --client or --socket, reads its file of "
            "--config, its certificates and what else it was given anew, as at SIGHUP. What has not changed goes on; a "
            "file "
            "with a mistake changes nothing, and the mistakes are printed. Done when the new configuration holds.",
            kReloadGroups, kReloadExamples},
    Command{"check", "checks a configuration file", "FILE | --schema", "FILE",
            "Reads a server's or a client's file as the command of that name would, and prints every mistake in it "
            "with line "
            "and column. Nothing is started but the commands of secrets.",
            kCheckGroups, kCheckExamples},
    Command{
        "drain", "ends a running server or client when its visitors have finished", "[FLAGS]", "",
        "Tells the server that runs in the state directory to end, as SIGTERM does: nobody new is let in, those "
        "who are there may finish "
        "within the time that is given. With --client or --socket, a client. The command is done when it has ended.",
        kDrainGroups, kDrainExamples},
    Command{"completion",
            "prints the completion for a shell",
            "bash|zsh|fish",
            "SHELL",
            "Prints a script that lets the shell complete commands, flags and their values.",
            {},
            kCompletionExamples},
    Command{"man",
            "prints the manual page",
            "",
            "",
            "Prints the help of all commands as one manual page, which man ferrotunnel shows after an installation.",
            {},
            kManExamples},
    Command{"version", "prints the version", "[--json]", "",
            "Prints the version of this program and of the wire protocol that it speaks.", kVersionGroups,
            kVersionExamples},
};

// Insertions, deletions, substitutions and swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string environment_name(const Flag& flag) {
  std::string name = "FERROTUNNEL_";
  for (const char c : flag.name) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

std::string text_of(const Flag& flag) {
  return std::string(flag.help) + (flag.by_line ? " In the variable each is a line." : "") + " [" +
         environment_name(flag) + "]";
}

std::span<const Command> commands() { return kCommands; }

const Command* find_command(std::string_view name) {
  const auto at = std::ranges::find(kCommands, name, &Command::name);
  return at == kCommands.end() ? nullptr : &*at;
}

const Flag* find_flag(const Command& command, std::string_view name) {
  for (const FlagGroup& group : command.groups)
    for (const Flag& flag : group.flags)
      if (flag.name == name) return &flag;
  return nullptr;
}

void Nearest::offer(std::string_view name) {
  constexpr std::size_t kMaxTyped = 64;
  if (typed_.size() > kMaxTyped) return;
  const std::size_t d = distance(typed_, name);
  // A third of it may be wrong; and "log" is near enough to "log-level".
  const bool near = d <= std::max<std::size_t>(1, std::max(typed_.size(), name.size()) / 3) ||
                    (typed_.size() >= 3 && name.starts_with(typed_));
  if (near && d < distance_) {
    distance_ = d;
    best_ = name;
  }
}

}  // namespace ferrotunnel::cli
