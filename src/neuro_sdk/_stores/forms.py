"""What the signatures of many requests share."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Form:
    """What many requests of one second share: all but their path and the value of one header, the open one."""

    headers: list[tuple[str, str]]
    """To be sent, besides the open one and the authorization."""
    credential: str = field(repr=False)
    """How the authorization begins."""
    canonical: str = field(repr=False)
    sign: Callable[[str], str] = field(repr=False)

    def signature(self, *path_and_value: str) -> str:
        """How the authorization of one request ends; the value is that of the open header."""
        return self.sign(self.canonical % path_and_value)
