"""Hook of mkdocs: a table of each section's parameters, from their types and from what ``conf/base`` states."""

import html
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from steel_xai.parameters import Parameters
from steel_xai.parameters.base import Section

MARK = "<!-- tables of parameters -->"
BASE = Path(__file__).parents[2] / "conf" / "base"

Schema = dict[str, Any]


class Stated(NamedTuple):
    """What a file of the configuration states of a parameter: the value as written there, and the comment on it."""

    value: Any
    text: str
    comment: str


class Row(NamedTuple):
    """A row of a table, in Markdown."""

    name: str
    values: str
    default: str
    comment: str


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables in the place of the mark (called by mkdocs for every page)."""
    return markdown.replace(MARK, "\n\n".join(_tables())) if MARK in markdown else markdown


def _tables() -> Iterator[str]:
    stated = _read(BASE / "globals.yml")
    for path in sorted((BASE / "parameters").glob("*.yml")):
        stated |= {name: found for name, found in _read(path).items() if not found.text.startswith("${globals:")}
    schema = Parameters.model_json_schema()
    parts = schema["properties"].items()
    tables = _Tables(schema["$defs"], stated, {_model(part): name for name, part in parts if _model(part)})
    yield "### Globals { #parameters-globals }"
    yield _table([tables.row(name, part) for name, part in parts if not _model(part)])
    for name, part in parts:
        if model := _model(part):
            yield f"### `{name}` {{ #parameters-{name} }}"
            yield f"{_link(model)}: {schema['$defs'][model]['description'].splitlines()[0]}"
            yield _table(list(tables.rows(name, part)))


def _table(rows: list[Row]) -> str:
    lines = ["| name | type and range | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {_name(row)} | {row.values} | {row.default} | {row.comment} |" for row in rows)])


def _name(row: Row) -> str:
    """Write a name as code that is broken at its points only; the theme would break it anywhere."""
    return f'<code style="word-break: normal">{html.escape(row.name).replace(".", ".<wbr>")}</code>'


class _Tables(NamedTuple):
    models: Mapping[str, Schema]
    stated: Mapping[str, Stated]
    shared: Mapping[str, str]
    """Name of the section whose parameters are those of a model; tasks overlay it with what they state."""

    def rows(self, name: str, schema: Schema) -> Iterator[Row]:
        """Yield a row for each parameter of a section, and of the sections within."""
        for key, part in self.models[_model(schema)]["properties"].items():
            own = f"{name}.{key}"
            yield self.row(own, part)
            for inner, below in _sections(part, own):
                if _model(inner) not in self.shared:
                    yield from self.rows(below, inner)

    def row(self, name: str, schema: Schema) -> Row:
        found = self.stated.get(name)
        section = self.shared.get(_model(schema))
        if section:
            return Row(name, f"as [`{section}`](#parameters-{section})", _code(found.text) if found else "the same", "")
        # what a task does not state is that of the shared section
        found = found or self.stated.get(name.partition(".")[2])
        comment = _plain(found.comment) if found else ""
        if _model(schema):
            return Row(name, _link(_model(schema)), "", comment)
        return Row(name, _values(schema), self._default(found, schema), comment)

    def _default(self, found: Stated | None, schema: Schema) -> str:
        if found is None:
            return _code(json.dumps(schema["default"])) if "default" in schema else ""
        # of sections by name, which may be long, the names
        is_map = isinstance(found.value, dict) and any(_sections(schema, ""))
        return ", ".join(map(_code, found.value)) if is_map else _code(found.text)


def _sections(schema: Schema, name: str) -> Iterator[tuple[Schema, str]]:
    """Yield the sections that a parameter may hold, each with the name that its parameters begin with."""
    if _model(schema):
        yield schema, name
    for part in schema.get("anyOf", []):
        yield from _sections(part, name)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _sections(schema["additionalProperties"], f"{name}.<name>")


def _values(schema: Schema) -> str:
    """Say which values a parameter takes: type and range."""
    if _model(schema):
        return _link(_model(schema))
    if "anyOf" in schema:
        return " or ".join(map(_values, schema["anyOf"])) + _remark(schema)
    if "const" in schema:
        return _code(schema["const"])
    if "enum" in schema:
        return ", ".join(map(_code, schema["enum"])) + _remark(schema)
    if schema["type"] == "null":
        return _code("null")
    if schema["type"] == "array" and "prefixItems" in schema:
        return f"[{', '.join(map(_values, schema['prefixItems']))}]" + _remark(schema)
    if schema["type"] == "array":
        return f"list of {_values(schema['items'])}" + _length(schema) + _remark(schema)
    if schema["type"] == "object":
        keys = schema.get("propertyNames", {}).get("enum")
        names = ", ".join(map(_code, keys)) if keys else "names"
        return f"mapping of {names} to {_values(schema['additionalProperties'])}" + _remark(schema)
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema)
    pattern = f"like {_code(schema['pattern'])}" if "pattern" in schema else ""
    return f"{schema['type']} {bounds}{pattern}".strip() + _remark(schema)


def _length(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    bounds = [f"{word} {n}" for word, n in (("at least", least), ("at most", most)) if n is not None]
    return f", {', '.join(bounds)}" if bounds else ""


def _remark(schema: Schema) -> str:
    return f", {_plain(schema['description'])}" if "description" in schema else ""


def _model(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _link(model: str) -> str:
    module = {found.__name__: found.__module__ for found in _subclasses(Section)}[model]
    return f"[`{model}`][{module}.{model}]"


def _subclasses(model: type[Section]) -> Iterator[type[Section]]:
    for found in model.__subclasses__():
        yield found
        yield from _subclasses(found)


def _code(value: object) -> str:
    return f"`{value}`"


def _plain(text: str) -> str:
    """Escape what Markdown, a table or a list of attributes would take for its own."""
    return re.sub(r"[|{}\[\]*_]", lambda sign: f"&#{ord(sign[0])};", html.escape(text, quote=False))


def _read(path: Path) -> dict[str, Stated]:
    """Read what a file states: dotted name -> value and comment, of mappings as well as of what they hold."""
    text = path.read_text(encoding="utf-8")
    return dict(_walk(yaml.compose(text), text, ""))


def _walk(mapping: yaml.MappingNode, text: str, prefix: str) -> Iterator[tuple[str, Stated]]:
    for key, node in mapping.value:
        name = f"{prefix}{key.value}"
        value = yaml.safe_load(yaml.serialize(node))
        in_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
        written = (
            yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).strip()
            if in_block
            else " ".join(text[node.start_mark.index : node.end_mark.index].split())
        )
        comment = _comment(text.splitlines(), key, key if in_block else node, above=bool(prefix))
        yield name, Stated(value, written, comment)
        if isinstance(node, yaml.MappingNode):
            yield from _walk(node, text, f"{name}.")


def _comment(lines: list[str], key: yaml.Node, last: yaml.Node, *, above: bool) -> str:
    """Find the comment behind the last node of a parameter's line, or else those above a line of its own, if wanted."""
    end, start = last.end_mark, key.start_mark
    if found := re.fullmatch(r":?\s*#\s*(.*)", lines[end.line][end.column :]):
        return found[1]
    if not above or lines[start.line][: start.column].strip():
        return ""
    is_comment = [line.lstrip().startswith("#") for line in lines[: start.line]]
    first = len(is_comment) - is_comment[::-1].index(False)  # the section's own line is above
    return " ".join(line.strip(" #") for line in lines[first : start.line])
