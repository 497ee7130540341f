"""Local services behind the tunnel: a real nginx, and small ones of our own for what nginx cannot be made to do."""
import contextlib
import os
import socket
import struct
import subprocess
import threading

from processes import program, until


class TcpOrigin:
    """Calls handler(connection) in a thread for each connection; the handler's end closes it. Listens on 127.0.0.1, or a unix path."""

    def __init__(self, world, handler, path=None, port=0, backlog=1024):
        self.handler = handler
        self.errors = []
        self.connections = 0
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(path))
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", port))
            self.port = self.socket.getsockname()[1]
        self.socket.listen(backlog)
        self.open = set()
        self.lock = threading.Lock()
        self.closing = False
        world.later(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                if self.closing:
                    connection.close()
                    return
                self.open.add(connection)
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.settimeout(60)
            self.handler(connection)
        except OSError:
            pass  # the other side went away: what a test thinks of that, it sees at the visitor
        except Exception as error:  # noqa: BLE001 shown by check()
            self.errors.append(error)
        finally:
            with self.lock:
                self.open.discard(connection)
            connection.close()

    def check(self):
        assert not self.errors, self.errors

    def close(self):
        with self.lock:
            self.closing = True
            left = list(self.open)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def reset(connection):
    """Closes with an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_head(stream):
    """The lines of a message head from a binary file object, without the empty one; [] at the end."""
    lines = []
    while True:
        line = stream.readline(65537)
        if not line:
            return []
        line = line.rstrip(b"\r\n")
        if not line:
            return lines
        lines.append(line.decode("latin-1"))


def fields(head):
    """The fields of a head's lines; names in lower case."""
    found = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    return found


class HttpOrigin(TcpOrigin):
    """An HTTP/1.1 service whose requests a test answers by hand: respond(request line, fields, stream, connection) -> whether to go on."""

    def __init__(self, world, respond, **where):
        self.requests = []

        def serve(connection):
            with connection.makefile("rb") as stream:
                while head := read_head(stream):
                    self.requests.append(head)
                    if not respond(head[0], fields(head), stream, connection):
                        return

        super().__init__(world, serve, **where)


class Nginx:
    """A real nginx with its own configuration, in the test's directory; its port is one that the system picked."""

    CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  log_format connections '$connection $request $status';
  access_log {work}/access.log connections;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  client_max_body_size 0;
  large_client_header_buffers 4 16k;
  keepalive_requests 100000;
  types {{ text/html html; text/plain txt; application/octet-stream bin; }}
  server {{
    listen {listen};
    server_name _;
    root {root};
    etag on;
    location / {{ dav_methods PUT; create_full_put_path on; }}
    location = /headers {{ default_type text/plain; return 200 "host=$host xff=$http_x_forwarded_for xfh=$http_x_forwarded_host xfp=$http_x_forwarded_proto te=$http_te connection=$http_connection keep=$http_keep_alive\\n"; }}
    location = /empty {{ return 204; }}
  }}
}}
"""

    def __init__(self, world, unix=None):
        self.work = world.work / world.name("nginx")
        self.root = self.work / "www"
        self.root.mkdir(parents=True)
        listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if unix:
            listener.bind(str(unix))
            listen = f"unix:{unix}"
        else:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
            listen = f"127.0.0.1:{self.port}"
        listener.listen(1024)
        config = self.work / "nginx.conf"
        config.write_text(self.CONFIG.format(work=self.work, root=self.root, listen=listen, user="user root;" if os.geteuid() == 0 else ""))
        # nginx takes listening sockets over from an earlier one by this variable: so no port is guessed.
        fd = listener.fileno()
        self.child = subprocess.Popen([program("nginx"), "-c", str(config), "-p", str(self.work), "-e", str(self.work / "error.log")],
                                      env={**world.env, "NGINX": f"{fd};"}, pass_fds=[fd])
        listener.close()
        world.later(self.close)
        until(lambda: (self.work / "nginx.pid").exists() or self.child.poll() is not None, "nginx runs")
        assert self.child.poll() is None, (self.work / "error.log").read_text()

    def file(self, name, content):
        path = self.root / name
        path.write_bytes(content)
        os.chmod(path, 0o644)
        return path

    def close(self):
        self.child.terminate()
        self.child.wait(20)
