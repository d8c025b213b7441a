"""TLS in front of a plain port: AWS's client sends bearer tokens over nothing else."""

import datetime
import functools
import ipaddress
import os
import socket
import ssl
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FOLDER = tempfile.TemporaryDirectory()


def certificate(folder):
    """A key and its own certificate for the loopback address, which AWS's clients are told to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tidegate test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    (folder / "certificate.pem").write_bytes(signed.public_bytes(pem))


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(listener, context, address):
    while True:
        connection, _ = listener.accept()
        try:
            outer = context.wrap_socket(connection, server_side=True)
        except OSError:
            continue
        inner = socket.create_connection(address)
        for ends in ((outer, inner), (inner, outer)):
            threading.Thread(target=copy, args=ends, daemon=True).start()


@functools.cache
def in_front_of(url):
    """The address where `url` is served over TLS, for as long as this process lives."""
    folder = Path(FOLDER.name)
    certificate(folder)
    os.environ["AWS_CA_BUNDLE"] = str(folder / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    parts = urlsplit(url)
    address = (parts.hostname, parts.port)
    threading.Thread(target=serve, args=(listener, context, address), daemon=True).start()
    return f"https://127.0.0.1:{listener.getsockname()[1]}"
