"""The Python package osint_events: models by datamodel-code-generator, and templates for the rest."""

import json
import textwrap
from typing import Any

import jinja2
import jsonschema
from datamodel_code_generator import InputFileType, LiteralType, PythonVersion, generate
from datamodel_code_generator.enums import DataModelType
from datamodel_code_generator.format import Formatter

from contract_generator import legacy
from contract_generator.close_codes import close_codes
from contract_generator.shapes import Shapes
from contract_generator.sources import DIRECTORY, SUFFIX, Schema, Sources
from contract_generator.templating import TEMPLATES, header

_PACKAGE = "generated/osint_events"
_SCHEMA_FILES = f"{DIRECTORY}/*{SUFFIX}"
_ASYNCAPI = f"{DIRECTORY}/asyncapi.yaml"
_LEGACY = f"{DIRECTORY}/legacy.yaml"
_CLOSE_CODES = f"{DIRECTORY}/close_codes.yaml"
_INPUTS = {
    "__init__": (_SCHEMA_FILES, _ASYNCAPI),
    "_wire": (),
    "close_codes": (_CLOSE_CODES,),
    "contract": (),
    "events": (_SCHEMA_FILES, _ASYNCAPI),
    "features": (_SCHEMA_FILES, _ASYNCAPI),
    "handlers": (_SCHEMA_FILES, _ASYNCAPI),
    "legacy": (_LEGACY,),
    "scopes": (_SCHEMA_FILES, _ASYNCAPI),
}


def files(sources: Sources, shapes: Shapes, templates: jinja2.Environment) -> dict[str, str]:
    """Give the text of each Python file by its path below the root."""
    unions = [union.name for union in shapes.unions] + [f"parse_{union.noun}" for union in shapes.unions]
    context = {
        "shapes": shapes,
        "close_codes": close_codes(sources.yaml("close_codes.yaml")),
        "legacy_rules": legacy.rules(sources.yaml("legacy.yaml")),
        "union_names": sorted(unions),
        "class_names": sorted(shapes.classes, key=str.lower),
        "all_names": sorted(["Classification", "classify", *unions, *shapes.classes]),
        "member_names": sorted(
            {union.other for union in shapes.unions}
            | {member.class_name for union in shapes.unions for member in union.members},
            key=str.lower,
        ),
    }
    made = {}
    for name, inputs in _INPUTS.items():
        top = header(sources, "#", *inputs, f"{TEMPLATES}/osint_events/{name}.py.j2")
        template = templates.get_template(f"osint_events/{name}.py.j2")
        made[f"{_PACKAGE}/{name}.py"] = template.render(context, header=top)
    made[f"{_PACKAGE}/models.py"] = _models(shapes, header(sources, "#", _SCHEMA_FILES))
    made[f"{_PACKAGE}/py.typed"] = ""
    return made


def _models(shapes: Shapes, top: str) -> str:
    document = {"$defs": {name: _for_models(schema) for name, schema in shapes.classes.items()}}
    made = generate(
        json.dumps(document),
        base_class="osint_events._wire.WireModel",
        builtin_format_line_length=110,  # given, so that no pyproject.toml nearby decides
        custom_file_header=f'{top}\n"""The messages, and the events by kind, one class each."""',
        disable_timestamp=True,
        enum_field_as_literal=LiteralType.All,
        field_constraints=True,
        field_extra_keys={"x-integer", "x-nullable", "x-number"},
        formatters=[Formatter.BUILTIN],
        input_file_type=InputFileType.JsonSchema,
        output_model_type=DataModelType.PydanticV2BaseModel,
        skip_root_model=True,
        strict_refs=True,
        target_python_version=PythonVersion.PY_311,
        use_annotated=True,
        use_double_quotes=True,
        use_field_description=True,
        use_schema_description=True,
        use_standard_collections=True,
        use_union_operator=True,
    )
    if not isinstance(made, str):
        raise TypeError("datamodel-code-generator gave no single module")
    return made


def _for_models(schema: Schema) -> Schema:
    """Say in the schema what a Python type does not: null, 1.0 as an integer, integers among the numbers."""
    result = {**schema, "description": "\n".join(textwrap.wrap(schema.get("description", ""), 100))}
    if "properties" in schema:
        result["properties"] = {name: _property(part) for name, part in schema["properties"].items()}
    return result


def _property(schema: Any) -> Any:  # any: a schema is an object, true or false
    if not isinstance(schema, dict):
        return schema
    result = _for_models(schema)
    match schema.get("type"):
        case "number":
            # So that an integer stays one, however large.
            result |= {"type": ["integer", "number"], "x-number": True}
        case "integer":
            result["x-integer"] = True
    if "$ref" not in str(schema) and jsonschema.Draft202012Validator(schema).is_valid(None):
        result["x-nullable"] = True
    return result
