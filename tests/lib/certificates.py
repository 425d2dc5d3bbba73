"""Certificates for tests, from the openssl command: an authority and what it signs."""
import subprocess


def openssl(folder, *words):
    subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True)


class Authority:
    """ca.pem in `folder`; sign() puts NAME.pem and NAME.key beside it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                "-subj", "/CN=authority of this test")
        self.certificate = folder / "ca.pem"

    def sign(self, name, host="localhost"):
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}")
        (self.folder / "names").write_text(f"subjectAltName=DNS:{host},IP:127.0.0.1\n")
        openssl(self.folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem",
                "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "1",
                "-extfile", "names")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"
