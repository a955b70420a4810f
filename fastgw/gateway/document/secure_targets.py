"""What a document says about TLS to targets, seen as a whole: doubts for the operator to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastgw.config.findings import Finding
from fastgw.upstream.options import UpstreamOptions


def tls_doubts(upstreams: Mapping[str, UpstreamOptions]) -> Iterator[Finding]:
    """Of a document that is right."""
    for name, upstream in upstreams.items():
        if upstream.tls is None:
            continue
        place = ("upstreams", name, "tls")
        if all(target.scheme != "https" for target in upstream.targets):
            yield Finding(place, "no target of this upstream is https://, so that tls is of no use; "
                                 "write https:// targets, or remove tls")  # fmt: skip
        elif not upstream.tls.verify:
            yield Finding((*place, "verify"), "who stands on the way can pretend to be the target, read everything and "
                                              "change it; name the CA that signed its certificate under ca")  # fmt: skip
