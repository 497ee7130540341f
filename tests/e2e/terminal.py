"""A pseudo-terminal with a child on it, as a person has one."""
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading

from processes import PATIENCE, Process, until


class Terminal(Process):
    """Its child has this terminal as stdin, stdout and stderr, so that what is typed (Ctrl-C) reaches it as signals do."""

    def __init__(self, argv, work, name, env, columns=120):
        self.argv, self.name = [str(a) for a in argv], name
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._screen = bytearray()
        self._lock = threading.Lock()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.child = subprocess.Popen(self.argv, stdin=slave, stdout=slave, stderr=slave, env=env, preexec_fn=take_terminal)
        self.pid = self.child.pid
        os.close(slave)
        self._reader = threading.Thread(target=self._read_screen, daemon=True)
        self._reader.start()

    def _read_screen(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            if not data:
                break
            with self._lock:
                self._screen += data

    def screen(self):
        with self._lock:
            return self._screen.decode(errors="replace")

    def wait_screen(self, text, patience=PATIENCE):
        try:
            until(lambda: text in self.screen() or not self.alive() and not self._reader.is_alive(), text, patience)
        except AssertionError:
            pass
        assert text in self.screen(), f"{self.name} did not show {text!r}\n{self.story()}"

    def type(self, data):
        os.write(self.master, data)

    def events(self, name=None, /, **fields):
        return []

    def stderr(self):
        return self.screen()

    def story(self):
        return f"--- {self.name}: {' '.join(self.argv)}\n{self.screen()!r}"
