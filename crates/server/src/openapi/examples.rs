//! An example of every body, from `contract/examples.json`, and one of every error, from the table of codes.

use alter_api::{ErrorBody, ErrorCode};
use serde_json::{Map, Value};
use utoipa::openapi::{Components, Content, RefOr, example::ExampleBuilder, path::Operation};

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
            let json = request.content.values().find_map(type_of).map(str::to_owned);
            give(request.content.values_mut(), json.as_deref(), &bodies);
        }
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                give(response.content.values_mut(), None, &bodies);
            }
        }
    }
}

/// `json`: the type of the same body as JSON, for the one that is sent as a text.
fn give<'a>(
    contents: impl Iterator<Item = &'a mut RefOr<Content>>,
    json: Option<&str>,
    bodies: &Map<String, Value>,
) {
    for content in contents {
        let example = match type_of(content) {
            Some(name) => bodies.get(name).cloned(),
            None => json.and_then(|name| Some(Value::String(bodies.get(name)?.to_string()))),
        };
        if let RefOr::T(content) = content
            && content.examples.is_empty()
        {
            content.example = example;
        }
    }
}

fn type_of(content: &RefOr<Content>) -> Option<&str> {
    match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => schema.ref_location.rsplit('/').next(),
        _ => None,
    }
}
