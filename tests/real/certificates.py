"""Certificates for a server on loopback, each from an authority of its own."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)


def issue(folder: Path, authority: str) -> tuple[ssl.SSLContext, Path]:
    """What a server for `localhost` shows, and the file of the authority that vouches for it."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (authority, "localhost")]

    def certificate(subject: int) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(names[subject]).issuer_name(names[0])
        builder = builder.public_key(keys[subject].public_key()).serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - DAY).not_valid_after(now + DAY)

    root = certificate(0).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = certificate(1).add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    root, leaf = root.sign(keys[0], hashes.SHA256()), leaf.sign(keys[0], hashes.SHA256())
    pem = serialization.Encoding.PEM
    key = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    trusted, shown = folder / f"{authority}.pem", folder / f"{authority}-server.pem"
    trusted.write_bytes(root.public_bytes(pem))
    shown.write_bytes(leaf.public_bytes(pem) + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown)
    return context, trusted
