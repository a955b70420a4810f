"""What is in the PEM texts that an operator gives: certificates, a key, and whether they belong together.

Each function yields only the blocks that it is asked for, so that no comment and no key stays in a certificate's text;
ValueError says what is wrong, and never repeats a byte of it.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Final

BEGIN: Final = "-----BEGIN"
PRIVATE: Final = "PRIVATE KEY-----"
# RFC 7468. What stands between and before blocks is for people.
BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\s.*?-----END \1-----", re.DOTALL)
CERTIFICATE: Final = "CERTIFICATE"
KEY: Final = re.compile(r"(?:[A-Z]+ )?PRIVATE KEY")


def certificates(text: str) -> str:
    """A certificate and what leads from it to its CA, in the order given."""
    blocks = _blocks(text, CERTIFICATE)
    if not blocks:
        raise ValueError("there is no certificate in it; write -----BEGIN CERTIFICATE----- and what follows (PEM)")
    for number, block in enumerate(blocks, 1):
        _store(block, number)
    return "\n".join(blocks) + "\n"


def authorities(text: str) -> str:
    """Certificates of which at least one can have signed another."""
    found = certificates(text)
    if not _store(found, 1).cert_store_stats()["x509_ca"]:
        raise ValueError("no certificate in it is a CA's; give the certificate of the CA that signed the targets'")
    return found


def private_key(text: str) -> str:
    blocks = [match for match in BLOCK.finditer(text) if KEY.fullmatch(match[1])]
    if not blocks:
        raise ValueError("there is no private key in it; write -----BEGIN PRIVATE KEY----- and what follows (PEM)")
    if len(blocks) > 1:
        raise ValueError("there are several private keys in it; keep the certificate's only")
    block = blocks[0]
    if block[1].startswith("ENCRYPTED") or "ENCRYPTED" in block[0]:
        raise ValueError("the key is encrypted, and nobody can type its password here; decrypt it with openssl pkey")
    return block[0] + "\n"


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Certificate and key into a context. ssl reads them from files only: this one lives in memory, and not for long."""
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, f"{certificate}\n{key}".encode())
        context.load_cert_chain(f"/proc/self/fd/{file}", password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("the key is not the certificate's; give the key that the certificate was made for") from None
        if error.reason is not None:
            words = error.reason.lower().replace("_", " ")
            raise ValueError(f"OpenSSL refuses the certificate or its key: {words}; make a new pair") from None
        raise ValueError("the key cannot be read; make sure that the file is whole") from None
    finally:
        os.close(file)


def _no_password() -> str:
    """Otherwise OpenSSL would ask at the terminal."""
    return ""


def _blocks(text: str, kind: str) -> list[str]:
    return [match[0] for match in BLOCK.finditer(text) if match[1] == kind]


def _store(text: str, number: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, TypeError):
        raise ValueError(f"certificate {number} in it cannot be read; make sure that the file is whole") from None
    return context
