"""Authorities and the certificates they sign, made by the program `openssl`, which must be installed."""

import os
import subprocess

CONFIG = """
[ca]
default_ca = own
[own]
database = index
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def openssl(*arguments, cwd=None):
    done = subprocess.run(["openssl", *arguments], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError("openssl %s: %s" % (" ".join(arguments), done.stdout.decode()))
    return done.stdout


class Authority:
    """One in a directory of its own, which is made."""

    def __init__(self, directory, name):
        os.makedirs(directory)
        self.directory = directory
        for file, text in (("ca.cnf", CONFIG), ("index", ""), ("serial", "01\n"), ("crlnumber", "01\n")):
            with open(self.path(file), "w") as out:
                out.write(text)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=" + name, "-keyout", "ca.key", "-out", "ca.pem", cwd=directory)
        self.certificate = self.path("ca.pem")

    def path(self, name):
        return os.path.join(self.directory, name)

    def sign(self, name, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), expired=False):
        """A certificate for this name and the address 127.0.0.1; gives its file and that of its key."""
        request = self.path(name + ".csr")
        files = self.path(name + ".pem"), self.path(name + ".key")
        openssl("req", "-new", "-newkey", *key, "-nodes", "-subj", "/CN=" + name, "-addext",
                "subjectAltName=DNS:%s,IP:127.0.0.1" % name, "-keyout", files[1], "-out", request)
        dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z") if expired else ()
        openssl("ca", "-batch", "-notext", "-config", "ca.cnf", *dates, "-in", request, "-out", files[0],
                cwd=self.directory)
        return files

    def revoke(self, *certificates):
        """Calls these back; gives the file of the list."""
        for certificate in certificates:
            openssl("ca", "-config", "ca.cnf", "-revoke", certificate, cwd=self.directory)
        openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem", cwd=self.directory)
        return self.path("crl.pem")
