"""Certificates for tests, made by the real openssl."""
import subprocess

from processes import program


def openssl(*words, input="", patience=60):
    """The real openssl, whatever it ends with: a CompletedProcess with text."""
    return subprocess.run([program("openssl"), *map(str, words)], capture_output=True, text=True, errors="replace", input=input, timeout=patience)


def _openssl(work, *words, input=None):
    done = subprocess.run([program("openssl"), *words], cwd=work, capture_output=True, text=True, input=input, timeout=60)
    assert done.returncode == 0, done.stderr


class Authority:
    def __init__(self, work, name):
        self.work, self.name = work, name
        self.file = work / f"{name}.pem"
        _openssl(work, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                 "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name, *, names="DNS:localhost,IP:127.0.0.1", usage="serverAuth,clientAuth", rsa=False):
        """(certificate file, key file)"""
        work = self.work
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl(work, "req", "-newkey", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (work / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        _openssl(work, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", "-CAcreateserial", "-days", "2",
                 "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return work / f"{name}.pem", work / f"{name}.key"

    def ocsp(self, certificate, out):
        """The responder's good word for a certificate of this authority, as a file."""
        work, index = self.work, self.work / f"{out}.index"
        serial = openssl("x509", "-in", certificate, "-noout", "-serial").stdout.strip().removeprefix("serial=")
        index.write_text(f"V\t991231235959Z\t\t{serial}\tunknown\t/CN=any\n")
        ca = ["-issuer", f"{self.name}.pem"]
        _openssl(work, "ocsp", *ca, "-cert", str(certificate), "-no_nonce", "-reqout", f"{out}.request")
        _openssl(work, "ocsp", "-index", str(index), "-CA", f"{self.name}.pem", "-rsigner", f"{self.name}.pem", "-rkey", f"{self.name}.key",
                 "-reqin", f"{out}.request", "-ndays", "1", "-respout", str(out))
        return work / out
