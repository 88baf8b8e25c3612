"""Prompts, one file each, with a header that says its name, version and variables.

Format: ``---``, lines ``key: value``, ``---``, then the text, in which ``$name`` stands for a variable
(``string.Template``).
"""

from dataclasses import dataclass
from string import Template


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
        ValueError: no header, or a variable of the text that the header does not name.
    """
    start, _, rest = source.partition("---\n")
    header, divider, text = rest.partition("---\n")
    if start or not divider:
        raise ValueError("a prompt file starts with a header between two lines of '---'")
    fields = dict(line.split(":", 1) for line in header.splitlines() if line.strip())
    prompt = Prompt(
        name=fields["name"].strip(),
        version=int(fields["version"]),
        variables=frozenset(fields["variables"].split()),
        text=text.strip(),
    )
    if set(Template(prompt.text).get_identifiers()) != prompt.variables:
        raise ValueError(f"prompt {prompt.name!r}: its header and its text name different variables")
    return prompt
