"""Prompts, one file each, with a header that says its name, version and variables.

Format: ``---``, lines ``key: value``, ``---``, then the text, in which ``$name`` stands for a variable
(``string.Template``).
"""

from dataclasses import dataclass
from string import Template

_FIELDS = ("name", "version", "variables")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named, versioned text with variables."""

    name: str
    version: int
    variables: frozenset[str]
    text: str

    def render(self, **values: str) -> str:
        """The text with its variables filled in.

        Raises:
            ValueError: a variable is missing, or one is given that the prompt has not.
        """
        if values.keys() != self.variables:
            raise ValueError(f"prompt {self.name!r} takes {sorted(self.variables)}, not {sorted(values)}")
        return Template(self.text).substitute(values)


def parse_prompt(source: str) -> Prompt:
    """Read a prompt file.

    Raises:
        ValueError: no header, a field that it lacks, a ``$`` in the text that stands for nothing, or a variable of the
            text that the header does not name.
    """
    start, _, rest = source.partition("---\n")
    header, divider, text = rest.partition("---\n")
    if start or not divider:
        raise ValueError("a prompt file starts with a header between two lines of '---'")
    fields = _header(header)
    prompt = Prompt(
        name=fields["name"],
        version=_version(fields["version"]),
        variables=frozenset(fields["variables"].split()),
        text=text.strip(),
    )
    template = Template(prompt.text)
    if not template.is_valid():
        raise ValueError(f"prompt {prompt.name!r}: a '$' in its text is no variable; write '$$' for the sign itself")
    if set(template.get_identifiers()) != prompt.variables:
        raise ValueError(f"prompt {prompt.name!r}: its header and its text name different variables")
    return prompt


def _header(header: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in filter(str.strip, header.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"the header of a prompt has lines 'key: value', not {line!r}")
        fields[name.strip()] = value.strip()
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        raise ValueError(f"the header of prompt {fields.get('name', '')!r} lacks {', '.join(missing)}")
    return fields


def _version(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"the version of a prompt is a whole number, not {text!r}")
    return int(text)
