"""What an operator can say about TLS to targets."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema, model_validator

from fastgw.config.address import HOST_NAME
from fastgw.config.errors import shown
from fastgw.config.fields import Flag
from fastgw.config.options import Options, wrong
from fastgw.upstream.certificates import BEGIN, PRIVATE, authorities, certificates, load_pair, private_key


def _pem(read: Callable[[str], str], what: str) -> Any:
    def validate(value: object) -> str:
        # Never repeated: it may be a key.
        if type(value) is not str or BEGIN not in value:
            raise wrong(f"this is no {what}; write the path of a PEM file, or in the admin API the PEM itself")
        try:
            return read(value)
        except ValueError as error:
            raise wrong(str(error)) from None

    return PlainValidator(validate), WithJsonSchema({"type": "string", "description": "the path of a PEM file"})


def _public(read: Callable[[str], str]) -> Callable[[str], str]:
    """Text that is shown to whoever may see the configuration."""

    def refuse_keys(text: str) -> str:
        if PRIVATE in text:
            raise ValueError("there is a private key in it; write the certificates only, and the key under key")
        return read(text)

    return refuse_keys


def _server_name(value: object) -> str:
    if type(value) is str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            if HOST_NAME.fullmatch(value):
                return value.lower()
    raise wrong(f"{shown(value)} is no name; write the host name or address that the targets' certificate is for")


class UpstreamTlsOptions(Options):
    """How `https://` targets are spoken to. The content of files, read when the document was loaded."""

    ca: Annotated[str, *_pem(_public(authorities), "certificate of a CA")] | None = None
    certificate: Annotated[str, *_pem(_public(certificates), "certificate")] | None = None
    key: Annotated[str, *_pem(private_key, "private key")] | None = None
    verify: Flag = True
    server_name: (
        Annotated[str, PlainValidator(_server_name), WithJsonSchema({"type": "string"})] | None
    ) = None

    @model_validator(mode="after")
    def _pair(self) -> UpstreamTlsOptions:
        if self.certificate is not None and self.key is not None:
            try:
                load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.certificate, self.key)
            except ValueError as error:
                raise wrong(str(error)) from None
        elif self.certificate is not None:
            raise wrong("certificate has no key; give the file of its private key under key")
        elif self.key is not None:
            raise wrong("key has no certificate; give the file of its certificate under certificate")
        if self.ca is not None and not self.verify:
            raise wrong("with verify: false nothing is compared with ca; remove one of the two")
        return self
