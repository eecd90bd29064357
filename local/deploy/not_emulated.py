"""What the program asks for and the embedded cloud does not do: declared, so that nothing is silent.

`docs/embedded-cloud.md` lists this table, and a test keeps the two equal.
"""

from __future__ import annotations

NOT_EMULATED: dict[tuple[str, str], str] = {}
"""(resource type, input path with `[]` for list items) to the reason."""
