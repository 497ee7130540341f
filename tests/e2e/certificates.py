"""Certificates for tests, made by the real openssl."""
import subprocess

from processes import program


def _openssl(work, *words, input=None):
    done = subprocess.run([program("openssl"), *words], cwd=work, capture_output=True, text=True, input=input, timeout=60)
    assert done.returncode == 0, done.stderr


class Authority:
    def __init__(self, work, name):
        self.work, self.name = work, name
        self.file = work / f"{name}.pem"
        _openssl(work, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                 "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name, *, names="DNS:localhost,IP:127.0.0.1", usage="serverAuth,clientAuth"):
        """(certificate file, key file)"""
        work = self.work
        _openssl(work, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                 "-out", f"{name}.csr")
        (work / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        _openssl(work, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", "-CAcreateserial", "-days", "2",
                 "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return work / f"{name}.pem", work / f"{name}.key"
