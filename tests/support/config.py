"""Documents for the tests, as the plain data that becomes YAML."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def service(*urls: str | Config, **options: Any) -> Config:
    return {"targets": list(urls), **options}


def route(name: str, path: str = "/*", **options: Any) -> Config:
    """`upstream="main"` unless it says otherwise; `match` may be given whole."""
    match = {"path": path, **options.pop("match", {})}
    if "reply" not in options:
        options.setdefault("upstream", "main")
    return {"name": name, "match": match, **options}


def simple(url: str, **top: Any) -> Config:
    """One upstream named main behind one route for everything. A scripted upstream shares its cores with the
    tests: whether it is reached within a second is not what they ask."""
    main = service(url, timeouts={"connect": "10s"})
    return {"upstreams": {"main": main}, "routes": [route("all")], **top}
