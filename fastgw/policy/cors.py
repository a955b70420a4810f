"""Cross-origin requests (the Fetch standard's CORS protocol). Not built yet: only its options are here."""

from __future__ import annotations

from pydantic import model_validator

from fastgw.config.fields import Duration, FieldName, Flag, List, Method, Text
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration
from fastgw.policy.mode import ENFORCE, Mode


class CorsOptions(Options):
    origins: List[Text]
    methods: List[Method] = ("GET", "POST")
    headers: List[FieldName] = ()
    credentials: Flag = False
    max_age: Duration = written("10m", parse_duration)
    mode: Mode = ENFORCE

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> CorsOptions:
        if self.credentials and "*" in self.origins:
            raise wrong("credentials cannot be true for the origin *; list the origins")
        return self
