//! An example of every body, from `contract/examples.json`, and one of every error, from the table of codes.

use alter_api::{ErrorBody, ErrorCode};
use serde_json::{Map, Value};
use utoipa::openapi::{Components, Content, RefOr, Schema, example::ExampleBuilder, path::Operation};

/// Bodies by the name of their type.
const BODIES: &str = include_str!("../../../../contract/examples.json");

/// `components.examples`: one for each code, under its name in the table.
pub(super) fn of_errors(components: &mut Components) {
    for code in ErrorCode::ALL {
        let body = ErrorBody {
            error: code.as_str().to_owned(),
            message: code.meaning().to_owned(),
            request_id: "5f0c6d2e9b7a4813".to_owned(),
            details: None,
            more: Map::new(),
        };
        let value = serde_json::to_value(body).expect("an error body is JSON");
        let example = ExampleBuilder::new().summary(code.meaning()).value(Some(value)).build();
        components.examples.insert(format!("{code:?}"), example.into());
    }
}

/// The example of each body of an operation that is a type of the wire.
pub(super) fn of_bodies<'a>(operations: impl Iterator<Item = &'a mut Operation>) {
    let bodies: Map<String, Value> = serde_json::from_str(BODIES).expect("the examples are JSON");
    for operation in operations {
        if let Some(RefOr::T(request)) = &mut operation.request_body {
            give(request.content.values_mut(), &bodies);
        }
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                give(response.content.values_mut(), &bodies);
            }
        }
    }
}

fn give<'a>(contents: impl Iterator<Item = &'a mut RefOr<Content>>, bodies: &Map<String, Value>) {
    for content in contents {
        if let RefOr::T(content) = content
            && content.examples.is_empty()
        {
            content.example = content.schema.as_ref().and_then(|schema| example_of(schema, bodies));
        }
    }
}

fn example_of(schema: &RefOr<Schema>, bodies: &Map<String, Value>) -> Option<Value> {
    match schema {
        RefOr::Ref(schema) => bodies.get(schema.ref_location.rsplit('/').next()?).cloned(),
        // The status channel's `text/plain`: JSON as a text.
        RefOr::T(_) => Some(Value::String(bodies.get("StatusRequest")?.to_string())),
    }
}
