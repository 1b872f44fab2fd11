"""contract/openapi.json as a document: valid OpenAPI 3.1 by a published validator, and nothing in it left unsaid."""

import json
import pathlib
import re
import unittest

import openapi_schema_validator
import openapi_spec_validator

DOCUMENT = json.loads((pathlib.Path(__file__).resolve().parents[2] / "contract/openapi.json").read_text())


def operations():
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def contents():
    """Yields every body: a name for its place, and its media type object."""
    for where, operation in operations():
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for name, body in bodies.items():
            for media_type, content in body.get("content", {}).items():
                yield f"{where} {name} {media_type}", content


def resolved(value):
    """The value itself, or the one that its `#/a/b` reference points to."""
    if "$ref" not in value:
        return value
    found = DOCUMENT
    for name in value["$ref"].split("/")[1:]:
        found = found[name]
    return found


def faults(schema, value):
    whole = {**schema, "components": DOCUMENT["components"]}
    validator = openapi_schema_validator.OAS31Validator(
        whole, format_checker=openapi_schema_validator.oas31_format_checker
    )
    return [error.message for error in validator.iter_errors(value)]


class Document(unittest.TestCase):
    def test_a_published_validator_finds_nothing(self):
        openapi_spec_validator.validate(DOCUMENT, cls=openapi_spec_validator.OpenAPIV31SpecValidator)

    def test_the_validator_would_find_something(self):
        broken = json.loads(json.dumps(DOCUMENT))
        del broken["paths"]["/sdk/agents/{id}"]["get"]["parameters"]
        with self.assertRaises(openapi_spec_validator.validation.exceptions.OpenAPIValidationError):
            openapi_spec_validator.validate(broken, cls=openapi_spec_validator.OpenAPIV31SpecValidator)

    def test_it_says_which_version_and_which_licence(self):
        self.assertRegex(DOCUMENT["openapi"], r"\A3\.1\.")
        self.assertEqual(DOCUMENT["info"]["license"]["identifier"], "Apache-2.0")
        self.assertTrue(DOCUMENT["info"]["version"] and DOCUMENT["servers"])

    def test_every_operation_has_a_name_of_its_own_a_summary_an_area_and_its_security(self):
        names = [operation["operationId"] for _, operation in operations()]
        self.assertEqual(len(names), len(set(names)))
        areas = {tag["name"] for tag in DOCUMENT["tags"]}
        for where, operation in operations():
            with self.subTest(where):
                self.assertRegex(operation["operationId"], r"\A[a-z]+(_[a-z]+)+\Z")
                self.assertTrue(operation["summary"].endswith("."))
                self.assertEqual(len(operation["tags"]), 1)
                self.assertLessEqual(set(operation["tags"]), areas)
                signed = " /sdk/" in where
                self.assertEqual(operation["security"], [{"signed": []}] if signed else [])
                for parameter in operation.get("parameters", []):
                    self.assertTrue(parameter["description"], parameter["name"])

    def test_every_body_has_an_example_and_every_example_is_valid(self):
        checked = 0
        for where, content in contents():
            examples = [content["example"]] if "example" in content else []
            examples += [resolved(example)["value"] for example in content.get("examples", {}).values()]
            self.assertTrue(examples, where)
            for example in examples:
                with self.subTest(where):
                    self.assertEqual(faults(content["schema"], example), [])
                    checked += 1
        self.assertGreater(checked, 300)

    def test_a_wrong_example_would_be_found(self):
        [schema] = [
            content["schema"] for where, content in contents() if where.startswith("POST /sdk/grants/list 200")
        ]
        example = json.loads(json.dumps(DOCUMENT["paths"]["/sdk/grants/list"]["post"]))["responses"]["200"]
        example = example["content"]["application/json"]["example"]
        example["grants"][0]["status"] = "asleep"
        example["grants"][0]["created_at"] = "yesterday"
        self.assertEqual(len(faults(schema, example)), 2)

    def test_every_error_example_has_the_code_it_is_listed_under(self):
        for where, content in contents():
            for code, example in content.get("examples", {}).items():
                with self.subTest(where):
                    self.assertEqual(resolved(example)["value"]["error"], code)
                    self.assertTrue(re.search(r" [45]\d\d ", where), where)
