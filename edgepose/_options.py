"""Fields of option dataclasses that carry what the command line needs to make flags of them."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(default: Any, flag: str, text: str, **more: Any) -> Any:
    """Declare a field of an option dataclass.

    Args:
        default: The default value.
        flag: The flag of the command line, such as "--precision".
        text: The help of the flag.
        **more: `metavar`, `choices`, `min`, `max`, `exists` (a file that must exist) and `parse`, a function that
            turns the text of the flag into the value.
    """
    return field(default=default, metadata={"flag": flag, "help": text, **more})
